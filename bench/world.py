"""The processes a benchmark measures: both servers, and the services they push to.

Every service is shared: each server has it registered, only one server is loaded at a time. A server is
started as its documentation starts it: Restate on its default of 24 partitions, ours on one.
"""

import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.harness import Effects, HoldfastServer, PythonService, RestateServer, Server, Service
from tests.harness import TypeScriptService as TypeScript
from tests.harness.processes import free_port

from .load import ROOT

PARTITIONS = {"restate": 24, "holdfast": 1}
SERVERS: dict[str, type[Server]] = {"restate": RestateServer, "holdfast": HoldfastServer}
SERVE = (sys.executable, "-m", "holdfast.cli.main", "serve")
SERVICES = ("Ts", "Py", "Hf", "Lean")


class LeanService(Service):
    """The endpoint of `bench.lean_endpoint`."""

    def __init__(self, work_dir: Path) -> None:
        super().__init__(
            "service-lean",
            [sys.executable, "-m", "bench.lean_endpoint"],
            free_port(),
            work_dir / "service-lean.log",
            {"PYTHONPATH": str(ROOT)},
        )


class SdkService(Service):
    """The handlers of `bench.sdk_service`: our SDK, served as users serve it."""

    def __init__(self, work_dir: Path) -> None:
        super().__init__(
            "service-sdk",
            [*SERVE, "bench.sdk_service:app", "--log-level", "error"],
            free_port(),
            work_dir / "service-sdk.log",
            {"PYTHONPATH": str(ROOT)},
        )


@dataclass(frozen=True)
class World:
    """Running servers and services, by name."""

    servers: dict[str, Server]
    services: dict[str, Service]


def _service(name: str, work_dir: Path) -> Service:
    effects = Effects(work_dir / "unused.txt")
    match name:
        case "Ts":
            return TypeScript(work_dir, effects, script="bench.mjs")
        case "Py":
            return PythonService(work_dir, effects, script="bench.py")
        case "Hf":
            return SdkService(work_dir)
        case _:
            return LeanService(work_dir)


@contextmanager
def running(
    servers: Sequence[str], services: Sequence[str], env: dict[str, str] | None = None
) -> Iterator[World]:
    """Start everything, register every service everywhere, and end everything afterwards.

    Args:
        servers: names out of `SERVERS`.
        services: names out of `SERVICES`.
        env: added to each server's environment.
    """
    with (
        TemporaryDirectory(prefix="holdfast-bench-", ignore_cleanup_errors=True) as folder,
        ExitStack() as ends,
    ):
        work_dir = Path(folder)
        world = World({}, {})
        for name in services:
            service = _service(name, work_dir)
            ends.callback(service.kill9)
            service.start()
            world.services[name] = service
        for name in servers:
            server = SERVERS[name](work_dir / name, PARTITIONS[name], env)
            ends.callback(server.kill9)
            server.start()
            with server.admin() as admin:
                for service in world.services.values():
                    admin.register(service.uri)
            world.servers[name] = server
        yield world
