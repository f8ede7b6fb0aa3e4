"""CPU of the server's own code per invocation and per step: one process, no sockets, no disk, no threads.

    python -m bench.micro_engine [--rounds 9] [--together 64] [--batches 40] [--profile]

Real: the ingress' HTTP/1.1 parser and dispatch, the engine, a partition with its tables in memory, attempts,
the HTTP/2 connection. Stood in for: the loop (a list of calls), both sockets (bytes are taken and given), and
the deployment, whose frames are prepared. What is left out, system calls and the disk, is what `python -m
bench` adds to it; what is measured here depends less on how busy the machine is. Objects left to the garbage
collector are counted too: the path should make no reference cycles.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import gc
import math
import pstats
import struct
import time
from collections.abc import Callable
from typing import cast

from holdfast.catalog.model import Deployment, Handler, Mode
from holdfast.cli.serve import GC_THRESHOLD
from holdfast.core.model import RetryPolicy, TargetKind
from holdfast.http2.fields import Headers
from holdfast.ingress.dispatch import Dispatcher
from holdfast.ingress.exchange import IngressLimits
from holdfast.ingress.http1 import Http1Connection
from holdfast.ingress.site import Site
from holdfast.invoker.http import HttpClient
from holdfast.invoker.http.api import Endpoint, Stream, StreamListener
from holdfast.invoker.http.h2_transport import H2Transport
from holdfast.invoker.http.header_blocks import PreparedHeaders, RequestEncoder, ResponseCache
from holdfast.invoker.http.transport import Limits, Transport
from holdfast.invoker.runner import InvokerLimits, Runner
from holdfast.partition import committer
from holdfast.partition.engine import LocalEngine
from holdfast.partition.loop import PartitionLoop
from holdfast.partition.placement import Minter
from holdfast.protocol.manifest import InputRule, OutputRule, ServiceType
from holdfast.storage.partition_tables import PartitionTables
from holdfast.timers.clock import WallClock

STEPS = 10
SERVICE = "LeanBench"
CONTENT_TYPE = b"application/vnd.restate.invocation.v7"

_FRAME = struct.Struct(">HHI")
_H2 = struct.Struct(">HBBBI")
_RESPONSE_BLOCK = b"\x88\x5f" + bytes((len(CONTENT_TYPE),)) + CONTENT_TYPE
_SETTINGS = _H2.pack(0, 0, 4, 0, 0) + _H2.pack(0, 0, 4, 1, 0)


def _message(type_: int, body: bytes, flags: int = 0) -> bytes:
    return _FRAME.pack(type_, flags, len(body)) + body


REQUEST = (
    b"POST /LeanBench/run HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nContent-Type: application/json\r\n"
    b"Accept: */*\r\nContent-Length: 4\r\n\r\nnull"
)
OUTPUT = _message(0x0401, b'\x72\x08\x0a\x06"done"') + _message(0x0003, b"")
PROPOSALS = [
    _message(0x0411, b"\x58" + bytes((n,)) + b"\x62\x04step")
    + _message(0x0005, b"\x08" + bytes((n,)) + b"\x72\x011", 0x8000)
    for n in range(1, STEPS + 1)
]


class Loop:
    """The event loop as far as the path uses it: calls, later ones never."""

    def __init__(self) -> None:
        self._ready: list[tuple[Callable[..., object], tuple[object, ...]]] = []

    def call_soon(self, call: Callable[..., object], *args: object) -> None:
        self._ready.append((call, args))

    def call_later(self, delay: float, call: Callable[..., object], *args: object) -> asyncio.TimerHandle:
        return cast(asyncio.TimerHandle, None)

    def create_future(self) -> asyncio.Future[str | None]:
        return asyncio.Future(loop=cast(asyncio.AbstractEventLoop, self))

    def get_debug(self) -> bool:
        return False

    def time(self) -> float:
        return time.monotonic()

    def run(self) -> None:
        """Until nothing is left to do."""
        while self._ready:
            ready, self._ready = self._ready, []
            for call, args in ready:
                call(*args)


class Socket:
    """Counts what was written."""

    def __init__(self) -> None:
        self.writes = 0
        self.last = b""

    def write(self, data: bytes) -> None:
        self.writes += 1
        self.last = data

    def is_closing(self) -> bool:
        return False

    def set_write_buffer_limits(self, high: int) -> None: ...
    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...


class Pool:
    """One connection that always has room. Stands in for the HttpClient and for its pool."""

    def __init__(self, loop: asyncio.AbstractEventLoop, endpoint: Endpoint) -> None:
        limits = Limits(streams_per_connection_max=1 << 20)
        encoder = RequestEncoder(endpoint.scheme, endpoint.authority, endpoint.base_path)
        self.transport = H2Transport(loop, self, endpoint, encoder, ResponseCache(), limits)
        self.opened = 0

    def open(
        self,
        endpoint: Endpoint,
        method: str,
        path: str,
        headers: Headers,
        listener: StreamListener,
        *,
        body: bytes = b"",
        end: bool = False,
        prepared: PreparedHeaders | None = None,
    ) -> Stream:
        self.opened += 1
        return self.transport.start(method, path, headers, prepared, listener, body, end)

    @property
    def requests_per_connection_max(self) -> int:
        return 1 << 30

    def request_limit_seen(self, requests: int) -> None: ...
    def room_made(self) -> None: ...
    def retired(self, transport: Transport) -> None: ...
    def lost(self, transport: Transport) -> None: ...

    def listener_failed(self, error: Exception) -> None:
        raise error


class OneService:
    """The catalog: one service on one deployment."""

    def __init__(self) -> None:
        self._deployment = Deployment(
            "dp_1", "http://127.0.0.1:9080", Endpoint.parse("http://127.0.0.1:9080", False), Mode.BIDI_STREAM,
            "HTTP/2", 5, 7, 0,
        )  # fmt: skip
        day_ms = 86_400_000
        self._handler = Handler(
            SERVICE, "run", ServiceType.SERVICE, TargetKind.SERVICE, "dp_1", True,
            InputRule(content_type="*/*"), OutputRule("application/json"),
            day_ms, day_ms, day_ms, 60_000, 60_000, False, RetryPolicy(),
        )  # fmt: skip

    def handler(self, service: str, handler: str) -> Handler | None:
        return self._handler

    def pinned_handler(self, deployment_id: str, service: str, handler: str) -> Handler | None:
        return self._handler

    def deployment(self, id_: str) -> Deployment | None:
        return self._deployment

    def service_type(self, service: str) -> ServiceType | None:
        return ServiceType.SERVICE

    def service_names(self) -> list[str]:
        return [SERVICE]


class World:
    """A server with `together` clients on it."""

    def __init__(self, together: int) -> None:
        self._own_loop = Loop()
        loop = cast(asyncio.AbstractEventLoop, self._own_loop)
        catalog, clock = OneService(), WallClock()
        deployment = catalog.deployment("")
        if deployment is None:
            raise RuntimeError("the catalog has one deployment")
        self._pool = Pool(loop, deployment.endpoint)
        self._runner = Runner(loop, clock, cast(HttpClient, self._pool), catalog, InvokerLimits())
        committer.INLINE_COMMIT_S_MAX = math.inf  # a busy machine must not bring the thread in
        tables = PartitionTables(None)
        partition = PartitionLoop(tables, loop, self._runner, _nothing, _nothing, _fatal)
        engine = LocalEngine([partition], [Minter(0, 1, 1)], clock, loop)
        self._runner.attach_engine(engine)
        limits = IngressLimits()
        site = Site(limits, Dispatcher(engine, catalog, limits).handle, loop)
        site.start()
        self.clients = [Socket() for _ in range(together)]
        self._connections = [Http1Connection(site, cast(asyncio.Transport, each)) for each in self.clients]
        self._pool.transport.connection_made(cast(asyncio.BaseTransport, Socket()))
        self._pool.transport.data_received(_SETTINGS)
        self._own_loop.run()
        self._tables = tables
        self._next_stream = 1

    def batch(self, steps: int) -> None:
        """One request of every client, to its end."""
        run, receive = self._own_loop.run, self._pool.transport.data_received
        for connection in self._connections:
            connection.data_received(REQUEST)
        run()
        first = self._next_stream
        ids = range(first, first + 2 * len(self._connections), 2)
        self._next_stream = ids.stop
        head = _H2.pack(0, len(_RESPONSE_BLOCK), 1, 4, 0)[:5], _RESPONSE_BLOCK
        receive(b"".join([head[0] + id_.to_bytes(4, "big") + head[1] for id_ in ids]))
        for frames in [*PROPOSALS[:steps], OUTPUT]:
            prefix = _H2.pack(0, len(frames), 0, 0, 0)[:5]
            receive(b"".join([prefix + id_.to_bytes(4, "big") + frames for id_ in ids]))
            run()
        end = _H2.pack(0, 0, 0, 1, 0)[:5]
        receive(b"".join([end + id_.to_bytes(4, "big") for id_ in ids]))
        run()

    def forget(self) -> None:
        """Keep the tables small: what is stored costs memory, not the time this measures."""
        database = self._tables.database
        for table in ("invocation", "journal"):
            database.execute(f"DELETE FROM {table}")


def _nothing(_: int) -> None: ...


def _fatal(error: BaseException) -> None:
    raise error


def measure(together: int, batches: int, steps: int) -> float:
    """CPU microseconds per invocation, checked to have been answered."""
    world = World(together)
    world.batch(steps)
    world.forget()
    gc.collect()
    gc.freeze()
    before = time.process_time_ns()
    for _ in range(batches):
        world.batch(steps)
    spent = time.process_time_ns() - before
    for client in world.clients:
        if client.writes != batches + 1 or not client.last.endswith(b'"done"'):
            raise RuntimeError(f"{client.writes} answers, expected {batches + 1}; last {client.last!r}")
    return spent / (batches * together) / 1000


def cyclic_objects(together: int) -> int:
    """How many objects a batch of trivial invocations leaves to the collector."""
    world = World(together)
    world.batch(0)
    gc.collect()
    world.batch(0)
    return gc.collect()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--together", type=int, default=64)
    parser.add_argument("--batches", type=int, default=40)
    parser.add_argument("--profile", type=int, choices=(0, STEPS), help="profile that many steps and stop")
    options = parser.parse_args()
    gc.set_threshold(GC_THRESHOLD)
    if options.profile is not None:
        world = World(options.together)
        world.batch(options.profile)
        profile = cProfile.Profile()
        profile.enable()
        for _ in range(options.batches):
            world.batch(options.profile)
        profile.disable()
        stats = pstats.Stats(profile)
        stats.sort_stats("tottime").print_stats(70)
        count = options.batches * options.together
        print(f"{stats.total_calls / count:.0f} calls per invocation")  # type: ignore[attr-defined]
        return
    trivial = min(measure(options.together, options.batches, 0) for _ in range(options.rounds))
    ten = min(measure(options.together, options.batches // 4, STEPS) for _ in range(options.rounds))
    garbage = cyclic_objects(options.together)
    print(f"c={options.together}: trivial {trivial:.1f} us, each step {(ten - trivial) / STEPS:.1f} us")
    print(f"{garbage} objects in cycles")


if __name__ == "__main__":
    main()
