"""The floor: a plain HTTP proxy that makes each request and each answer durable, and does nothing else.

It appends the request to a file, waits for one fdatasync per batch (whatever arrived while the last one ran),
forwards it to a plain endpoint, appends the answer, waits for the next fdatasync and replies. No state
machine, no protocol, no journal, no retries: what a durable server in Python on this machine cannot go
below. Compared in one run, in interleaved rounds, with the server doing a trivial invocation.

    python -m bench.floor [--rounds 3] [--seconds 3] [--connections 64]
"""

import argparse
import asyncio
import os
import socket
import statistics
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import cast

import httptools
import uvloop

from tests.harness.processes import Process, free_port, wait_until

from .load import ROOT, Measured, run
from .world import running

ANSWER = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 11\r\n\r\n" + b'"hello bob"'
START_DEADLINE_S = 10.0


class Disk:
    """Appends, and calls back when they are on the disk: one sync for what arrived during the last."""

    def __init__(self, path: Path, loop: asyncio.AbstractEventLoop) -> None:
        self._file = os.open(path, os.O_CREAT | os.O_APPEND | os.O_WRONLY)
        self._loop = loop
        self._waiting: list[tuple[bytes, Callable[[], None]]] = []
        self._syncing = False

    def append(self, data: bytes, then: Callable[[], None]) -> None:
        self._waiting.append((data, then))
        if not self._syncing:
            self._syncing = True
            self._loop.call_soon(self._sync)

    def _sync(self) -> None:
        batch, self._waiting = self._waiting, []
        os.write(self._file, b"".join(data for data, _ in batch))
        os.fdatasync(self._file)
        for _, then in batch:
            then()
        if self._waiting:
            self._loop.call_soon(self._sync)
        else:
            self._syncing = False


class Http(asyncio.Protocol):
    """One connection that reads whole messages."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.raw = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def write(self, data: bytes) -> None:
        if self.transport is not None:
            self.transport.write(data)


class Backend(Http):
    """The plain endpoint: answers everything."""

    def __init__(self) -> None:
        super().__init__()
        self._parser = httptools.HttpRequestParser(self)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        self.write(ANSWER)


class Upstream(Http):
    """A kept connection to the endpoint, one request at a time."""

    def __init__(self) -> None:
        super().__init__()
        self._then: Callable[[bytes], None] | None = None
        self._parser = httptools.HttpResponseParser(self)

    def ask(self, request: bytes, then: Callable[[bytes], None]) -> None:
        self._then = then
        self._parser = httptools.HttpResponseParser(self)
        self.write(request)

    def data_received(self, data: bytes) -> None:
        self.raw += data
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        raw, self.raw, then, self._then = self.raw, b"", self._then, None
        if then is not None:
            then(raw)


class Proxy(Http):
    """One client's connection; each request takes a free connection to the endpoint for as long as it lasts.
    There are as many of them as clients."""

    def __init__(self, disk: Disk, free: list[Upstream]) -> None:
        super().__init__()
        self._disk = disk
        self._free = free
        self._parser = httptools.HttpRequestParser(self)

    def data_received(self, data: bytes) -> None:
        self.raw += data
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        request, self.raw = self.raw, b""
        self._disk.append(request, lambda: self._forward(request))

    def _forward(self, request: bytes) -> None:
        upstream = self._free.pop()

        def answered(answer: bytes) -> None:
            self._free.append(upstream)
            self._disk.append(answer, lambda: self.write(answer))

        upstream.ask(request, answered)


async def serve_backend(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Backend, "127.0.0.1", port)
    await server.serve_forever()


async def serve_proxy(port: int, backend_port: int, path: Path, connections: int) -> None:
    loop = asyncio.get_running_loop()
    disk = Disk(path, loop)
    free = [
        (await loop.create_connection(Upstream, "127.0.0.1", backend_port))[1] for _ in range(connections)
    ]
    server = await loop.create_server(lambda: Proxy(disk, free), "127.0.0.1", port)
    await server.serve_forever()


def start(role: str, port: int, work_dir: Path, *more: str) -> Process:
    command = [sys.executable, "-m", "bench.floor", "--role", role, "--port", str(port), *more]
    process = Process(f"floor-{role}", command, work_dir / f"{role}.log", {"PYTHONPATH": str(ROOT)})
    process.start()
    return process


def measure(rounds: int, seconds: float, connections: int) -> None:
    windows: dict[str, list[Measured]] = {"floor": [], "holdfast": []}
    with TemporaryDirectory(prefix="holdfast-floor-") as folder, running(["holdfast"], ["Lean"]) as world:
        work_dir, backend_port = Path(folder), free_port()
        server, endpoint = world.servers["holdfast"], world.services["Lean"]
        backend = start("backend", backend_port, work_dir)
        try:
            wait_until(lambda: listens(backend_port), "the endpoint", START_DEADLINE_S)
            for number in range(rounds):
                proxy_port = free_port()
                more = ("--backend", str(backend_port), "--file", str(work_dir / f"log-{number}"))
                proxy = start("proxy", proxy_port, work_dir, *more, "--connections", str(connections))
                try:
                    wait_until(lambda port=proxy_port: listens(port), "the proxy", START_DEADLINE_S)
                    pids = [proxy.pid, backend.pid]
                    windows["floor"].append(run(proxy_port, "/", connections, seconds, pids))
                finally:
                    proxy.kill9()
                pids = [server.pid, endpoint.pid]
                windows["holdfast"].append(
                    run(server.ingress_port, "/LeanBench/trivial", connections, seconds, pids)
                )
        finally:
            backend.kill9()
    print("\n| trivial call | CPU us | per s | p50 ms | p99 ms |\n|---|---:|---:|---:|---:|")
    for name, found in windows.items():
        cpu = statistics.median(m.cpu_us[0] / max(m.completed, 1) for m in found)
        rate = statistics.median(m.completed / m.seconds for m in found)
        p50, p99 = (statistics.median(getattr(m, f) for m in found) for f in ("p50_ms", "p99_ms"))
        print(f"| {name} c={connections} | {cpu:.0f} | {rate:.0f} | {p50:.1f} | {p99:.1f} |")


def listens(port: int) -> bool:
    """Whether somebody does."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.floor", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--role", choices=("measure", "proxy", "backend"), default="measure")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--backend", type=int, default=0)
    parser.add_argument("--file", type=Path, default=Path("floor.log"))
    given = parser.parse_args()
    match given.role:
        case "backend":
            uvloop.run(serve_backend(given.port))
        case "proxy":
            uvloop.run(serve_proxy(given.port, given.backend, given.file, given.connections))
        case _:
            measure(given.rounds, given.seconds, given.connections)


if __name__ == "__main__":
    main()
