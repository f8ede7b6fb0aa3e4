"""The ingress in memory, fed by a stranger: connection, parser, routes, rules and waits, on a fake engine.

Promised whatever comes: no exception, no 500, and when the client is gone nothing of it is left, neither
buffered bytes nor anybody waiting.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Hashable
from typing import cast

from holdfast.core.model import Success
from holdfast.ingress.dispatch import Dispatcher
from holdfast.ingress.exchange import IngressLimits
from holdfast.ingress.server import accept
from holdfast.ingress.site import Site
from tests.ingress.support import CATALOG, FakeEngine, echo, slow

from .targets import pieces

LIMITS = IngressLimits(
    request_bytes_max=4096, header_bytes_max=2048, header_count_max=20, buffered_bytes_max=20_000
)
OUTPUT_BYTES_MAX = 1 << 20
_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3})")
_loop = asyncio.new_event_loop()


class MemoryTransport:
    """What the ingress needs of a transport. Its peer reads everything at once."""

    def __init__(self) -> None:
        self.protocol: asyncio.Protocol | None = None
        self.output = bytearray()
        self.closed = False
        self.paused = False

    def set_protocol(self, protocol: asyncio.Protocol) -> None:
        self.protocol = protocol

    def write(self, data: bytes) -> None:
        self.output += data
        assert len(self.output) <= OUTPUT_BYTES_MAX

    def writelines(self, parts: tuple[bytes, ...]) -> None:
        self.write(b"".join(parts))

    def close(self) -> None:
        self.closed = True

    abort = close

    def write_eof(self) -> None:
        pass

    def can_write_eof(self) -> bool:
        return True

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False

    def get_write_buffer_size(self) -> int:
        return 0

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def get_extra_info(self, name: str, default: object = None) -> object:
        return default


def ingress(data: bytes) -> Hashable:
    """One connection, HTTP/1.1 or HTTP/2 as its first bytes say."""
    return _loop.run_until_complete(_connection(data))


async def _connection(data: bytes) -> Hashable:
    unheard: list[str] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: unheard.append(str(context)))
    # `fails` says what status it wants, in its body; a stranger could ask for 500.
    engine = FakeEngine({"greet": echo, "echo": echo, "slow": slow, "add": slow, "run": echo, "fails": echo})
    dispatcher = Dispatcher(engine, CATALOG, LIMITS)
    site = Site(LIMITS, dispatcher.handle, loop)
    transport = MemoryTransport()
    first = accept(site)
    transport.protocol = first
    first.connection_made(cast(asyncio.Transport, transport))
    for piece in pieces(data):
        if transport.closed:
            break
        transport.protocol.data_received(piece)
        assert site.buffered_bytes <= LIMITS.buffered_bytes_max + len(data)
        await asyncio.sleep(0)
    await asyncio.sleep(0)
    if data[:1] and data[0] & 128:
        engine.finish_all(Success(b"late"))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    site.now_s = 1e6
    for connection in tuple(site.connections):
        connection.sweep(site.now_s)
    transport.protocol.connection_lost(None)
    await asyncio.sleep(0)
    assert unheard == [], unheard
    assert not site.connections
    assert site.buffered_bytes == 0, f"{site.buffered_bytes} bytes are still counted"
    assert len(dispatcher.waits) == 0
    statuses = tuple(_STATUS.findall(transport.output))
    # A look-up that cannot be read is a 500 to existing clients.
    unread = transport.output.count(b'"code":500,"message":"cannot read body: invalid')
    assert statuses.count(b"500") == unread, bytes(transport.output)
    return statuses[:4], len(engine.made), len(engine.signals), _kinds(bytes(transport.output))


def _kinds(output: bytes) -> tuple[int, ...]:
    """The kinds of HTTP/2 frames answered, when it is HTTP/2."""
    if output.startswith(b"HTTP/"):
        return ()
    found, at = [], 0
    while at + 9 <= len(output) and len(found) < 8:
        found.append(output[at + 3])
        at += 9 + int.from_bytes(output[at : at + 3], "big")
    return tuple(found)
