"""The processes of one run: our server, our SDK on `holdfast serve`, the official SDK on Hypercorn."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.harness import Effects, HoldfastServer, Process, Service, free_port

ROOT = Path(__file__).resolve().parents[2]
PREFIXES = ("Own", "Off")


@dataclass
class World:
    server: HoldfastServer
    services: tuple[Service, ...]
    effects: Effects
    work_dir: Path

    def processes(self) -> list[Process]:
        return [self.server.process, *(service.process for service in self.services)]


def own_service(work_dir: Path, effects: Effects) -> Service:
    port = free_port()
    command = [str(Path(sys.executable).with_name("holdfast")), "serve", "--log-level", "error"]
    command += ["--port", str(port), "tests.torture.services.own:app"]
    return Service("service-own", command, port, work_dir / "service-own.log", _env(effects))


def official_service(work_dir: Path, effects: Effects) -> Service:
    command = [sys.executable, "-m", "tests.torture.services.official"]
    return Service("service-official", command, free_port(), work_dir / "service-official.log", _env(effects))


def _env(effects: Effects) -> dict[str, str]:
    return {"SIDE_EFFECTS_FILE": str(effects.path), "PYTHONPATH": str(ROOT)}


@contextmanager
def world(work_dir: Path, data_parent: Path | None = None) -> Iterator[World]:
    """Everything started and registered; the server's data below `data_parent`, else below `work_dir`."""
    work_dir.mkdir(parents=True, exist_ok=True)
    effects = Effects(work_dir / "effects.txt")
    server = HoldfastServer((data_parent or work_dir) / "server")
    server.process.log_path = work_dir / "server.log"
    services = (own_service(work_dir, effects), official_service(work_dir, effects))
    built = World(server, services, effects, work_dir)
    try:
        server.start()
        with server.admin() as admin:
            for service in services:
                service.start()
                admin.register(service.uri)
        yield built
    finally:
        for process in built.processes():
            signal_all(process, signal.SIGCONT)
            process.kill9()


def signal_all(process: Process, what: signal.Signals) -> None:
    """A signal to a process and what it started, which shares its session."""
    with suppress(ProcessLookupError, RuntimeError):
        os.killpg(process.pid, what)
