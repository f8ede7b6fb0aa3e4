"""The HTTP/1.1 client, answered by a stranger: every stream hears one last call, and nothing raises."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable
from typing import cast

from holdfast.invoker.http.api import Endpoint
from holdfast.invoker.http.h1_transport import H1Transport
from holdfast.invoker.http.transport import Limits
from tests.invoker.http.peers import ENCODER, Recorder

from .ingress import MemoryTransport
from .targets import pieces

STREAMS_MAX = 3
_loop = asyncio.new_event_loop()
_endpoint = Endpoint.parse("http://127.0.0.1:9080", True)


class Pool:
    """What a transport tells its pool."""

    def __init__(self) -> None:
        self.lost_count = 0
        self.errors: list[Exception] = []

    def room_made(self) -> None:
        pass

    def lost(self, transport: object) -> None:
        self.lost_count += 1

    def listener_failed(self, error: Exception) -> None:
        self.errors.append(error)


class Socket(MemoryTransport):
    """Reads until told to pause."""

    def is_reading(self) -> bool:
        return not self.paused


def h1_client(data: bytes) -> Hashable:
    """One connection, used again for as long as it may be."""
    return _loop.run_until_complete(_connection(data))


async def _connection(data: bytes) -> Hashable:
    pool, socket, heard = Pool(), Socket(), list[Recorder]()
    transport = H1Transport(asyncio.get_running_loop(), pool, _endpoint, ENCODER, Limits())
    transport.connection_made(cast(asyncio.Transport, socket))
    for piece in pieces(data):
        if transport.has_room() and len(heard) < STREAMS_MAX:
            heard.append(Recorder())
            ends = not (data[0] & 64)
            transport.start("POST", "/invoke/S/h", (), None, heard[-1], b"x" * 10, ends)
            await asyncio.sleep(0)
        if socket.closed:
            break
        transport.data_received(piece)
        await asyncio.sleep(0)
    transport.connection_lost(None)
    await asyncio.sleep(0)
    assert pool.errors == [], pool.errors
    assert pool.lost_count == 1
    assert all(recorder.over for recorder in heard)
    return tuple((one.status, one.ended, bool(one.body), sorted(one.headers)[:2] != []) for one in heard)
