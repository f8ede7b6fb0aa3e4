"""Deployments on the official SDKs, each a process of its own.

A service process hosts the same handlers under one or two name prefixes, so that every language and
transport lives beside the others on one server: `Ts` and `TsIdle` over HTTP/2, `TsRr` over HTTP/1.1, and
the same with `Py`. The `Idle` twins set an inactivity timeout of zero: they suspend at every await.
"""

import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

import httpx

from .effects import Effects
from .processes import Process, free_port
from .servers import SERVICES

NODE = shutil.which("node")
POLYFILL = SERVICES / "typescript" / "promise-with-resolvers.mjs"
PROBE_TIMEOUT_S = 2.0


class Service:
    """A deployment: its process, address and transport."""

    def __init__(self, name: str, command: list[str], port: int, log: Path, env: Mapping[str, str]) -> None:
        self.port = port
        self.http_11 = False
        self.process = Process(name, command, log, {**env, "PORT": str(port)})

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        return self.process.pid

    def start(self) -> None:
        """Start and return once it answers."""
        self.process.start()
        self.wait_healthy()

    def wait_healthy(self) -> None:
        self.process.wait_healthy(self._healthy)

    def stop(self) -> None:
        """End it at once: a service keeps nothing, and the Python SDK takes SIGTERM away from Hypercorn."""
        self.process.kill9()

    def kill9(self) -> None:
        self.process.kill9()

    def restart(self) -> None:
        self.stop()
        self.start()

    def _healthy(self) -> bool:
        try:
            with httpx.Client(
                http1=self.http_11, http2=not self.http_11, timeout=PROBE_TIMEOUT_S, trust_env=False
            ) as http:
                return http.get(f"{self.uri}/health").status_code == 200
        except httpx.HTTPError:
            return False


class TypeScriptService(Service):
    """The handlers on the official TypeScript SDK.

    Args:
        request_response: serve HTTP/1.1 and say so in discovery; else HTTP/2 and full duplex.
    """

    def __init__(
        self,
        work_dir: Path,
        effects: Effects,
        *,
        request_response: bool = False,
        script: str = "app.mjs",
        env: Mapping[str, str] | None = None,
    ) -> None:
        if NODE is None:
            raise RuntimeError("no `node` on the PATH; install Node 20 or newer")
        folder = SERVICES / "typescript"
        name = "service-ts-rr" if request_response else "service-ts"
        super().__init__(
            name,
            [NODE, "--import", str(POLYFILL), str(folder / script)],
            free_port(),
            work_dir / f"{name}.log",
            {
                "SIDE_EFFECTS_FILE": str(effects.path),
                "REQUEST_RESPONSE": "1" if request_response else "",
                "RESTATE_LOGGING": "ERROR",
                **(env or {}),
            },
        )
        self.http_11 = request_response


class PythonService(Service):
    """The handlers on the official Python SDK, served by Hypercorn."""

    def __init__(
        self,
        work_dir: Path,
        effects: Effects,
        *,
        request_response: bool = False,
        script: str = "app.py",
        env: Mapping[str, str] | None = None,
    ) -> None:
        name = "service-py-rr" if request_response else "service-py"
        super().__init__(
            name,
            [sys.executable, str(SERVICES / "python" / script)],
            free_port(),
            work_dir / f"{name}.log",
            {
                "SIDE_EFFECTS_FILE": str(effects.path),
                "REQUEST_RESPONSE": "1" if request_response else "",
                **(env or {}),
            },
        )
        self.http_11 = request_response
