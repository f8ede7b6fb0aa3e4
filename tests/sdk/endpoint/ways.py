"""The ways to serve an app that are tried: each a process of its own."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx
from harness import Service, free_port

TESTS = Path(__file__).resolve().parents[2]
HOLDFAST = str(Path(sys.executable).with_name("holdfast"))
MODULE = "sdk.endpoint.trips"


@dataclass(frozen=True)
class Way:
    """A server and what is expected of it.

    Attributes:
        command: `{port}` is filled in.
        http_11: how it is registered.
        path: where the app is.
        duplex: whether one attempt goes through all waits; None: as the server likes.
        env: for the process.
    """

    name: str
    command: tuple[str, ...]
    http_11: bool
    path: str = ""
    duplex: bool | None = False
    env: tuple[tuple[str, str], ...] = ()


_UVICORN = (sys.executable, "-m", "uvicorn", "--port", "{port}", "--log-level", "warning")
_HYPERCORN = (sys.executable, "-m", "hypercorn", "--bind", "127.0.0.1:{port}", "--log-level", "warning")
_FULL_DUPLEX = (("DUPLEX", "1"),)

_SERVE = (HOLDFAST, "serve", f"{MODULE}:app", "--port", "{port}")
_GRANIAN = (*_SERVE, "--server", "granian")

WAYS = (
    Way("Serve", _SERVE, False, duplex=True),
    Way("Workers", (*_SERVE, "--workers", "2"), False, duplex=True),
    Way("Granian", _GRANIAN, False, duplex=True),
    Way("Hypercorn", (*_HYPERCORN, f"{MODULE}:app"), False, duplex=True),
    Way("Uvicorn", (*_UVICORN, f"{MODULE}:app"), True),
    Way("FastApi", (*_UVICORN, f"{MODULE}:site"), True, path="/agents"),
    Way("Serve11", _SERVE, True, "", None, _FULL_DUPLEX),
    Way("Granian11", _GRANIAN, True, "", None, _FULL_DUPLEX),
    Way("Lambda", (sys.executable, "-m", "sdk.endpoint.lambda_shim"), True),
)


class Deployed(Service):
    """A way under way."""

    def __init__(self, way: Way, work_dir: Path, env: Mapping[str, str]) -> None:
        port = free_port()
        super().__init__(
            way.name,
            [part.format(port=port) for part in way.command],
            port,
            work_dir / f"{way.name}.log",
            {**env, **dict(way.env), "PREFIX": way.name, "PYTHONPATH": str(TESTS)},
        )
        self.way = way
        self.http_11 = way.http_11

    @property
    def app_uri(self) -> str:
        """To register."""
        return f"{self.uri}{self.way.path}"

    def client(self) -> httpx.Client:
        """One connection to the app, of the kind that the server would open."""
        return httpx.Client(
            base_url=self.app_uri,
            http1=self.http_11,
            http2=not self.http_11,
            timeout=30,
            trust_env=False,
            limits=httpx.Limits(max_connections=1),
        )

    def _healthy(self) -> bool:
        try:
            with self.client() as http:
                return http.get("/health").status_code == 200
        except httpx.HTTPError:
            return False
