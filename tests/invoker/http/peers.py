"""Peers for the tests.

A listener that remembers, and the `h2` library as the server, in memory or on a socket.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import cast

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import h2.settings

from holdfast.invoker.http import TransportFailure
from holdfast.invoker.http.h2_connection import H2Connection
from holdfast.invoker.http.h2_stream import H2Stream
from holdfast.invoker.http.header_blocks import RequestEncoder, ResponseCache

DEADLINE_S = 20.0
ENCODER = RequestEncoder("http", "example.test", "/base")


@dataclass
class Recorder:
    """A listener that remembers what it heard, and checks the order of calls as it goes."""

    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    chunks: list[bytes] = field(default_factory=list)
    ended: bool = False
    failure: TransportFailure | None = None
    on_chunk: Callable[[bytes], None] | None = None
    on_last: Callable[[], None] | None = None

    @property
    def body(self) -> bytes:
        return b"".join(self.chunks)

    @property
    def over(self) -> bool:
        return self.ended or self.failure is not None

    def on_response(self, status: int, headers: dict[str, str]) -> None:
        assert self.status is None
        assert not self.over
        self.status, self.headers = status, headers

    def on_data(self, data: bytes) -> None:
        assert self.status is not None
        assert data
        assert not self.over
        self.chunks.append(data)
        if self.on_chunk is not None:
            self.on_chunk(data)

    def on_end(self) -> None:
        assert self.status is not None
        self._last()
        self.ended = True

    def on_failure(self, failure: TransportFailure) -> None:
        self._last()
        self.failure = failure

    def _last(self) -> None:
        assert not self.over, "a second last call"
        if self.on_last is not None:
            self.on_last()


@dataclass
class Owner:
    """Drives a connection by hand; remembers what it was told."""

    announced: int = 0
    closed_streams: int = 0
    ready: bool = False
    gone: bool = False
    errors: list[Exception] = field(default_factory=list)

    def output_ready(self) -> None:
        self.announced += 1

    def settings_received(self) -> None:
        self.ready = True

    def stream_closed(self, idle: bool) -> None:
        self.closed_streams += 1

    def going_away(self) -> None:
        self.gone = True

    def listener_failed(self, error: Exception) -> None:
        self.errors.append(error)


class MemoryPair:
    """Our client and the `h2` library's server, back to back in memory.

    `cut` is how many bytes travel at once; None is everything.
    """

    def __init__(
        self,
        *,
        cut: int | None = None,
        settings: dict[int, int] | None = None,
        cache: ResponseCache | None = None,
        first_stream_id: int = 1,
        streams_total_max: int = 2**30,
    ) -> None:
        self.cut = cut
        self.owner = Owner()
        self.client = H2Connection(
            self.owner,
            "peer:1",
            cache or ResponseCache(),
            first_stream_id=first_stream_id,
            streams_total_max=streams_total_max,
        )
        self.server = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        if settings:
            self.server.local_settings = h2.settings.Settings(client=False, initial_values=settings)
        self.server.initiate_connection()
        self.events: list[h2.events.Event] = []
        self.to_server = 0
        self.acknowledge = True
        self.exchange()

    def exchange(self) -> None:
        """Carry bytes until neither side has any."""
        for _ in range(100_000):
            up = self.client.take_output()
            self.to_server += len(up)
            for piece in self._pieces(up):
                for event in self.server.receive_data(piece):
                    self.events.append(event)
                    if isinstance(event, h2.events.DataReceived) and self.acknowledge:
                        self.server.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            down = self.server.data_to_send()
            for piece in self._pieces(down):
                self.client.receive(piece)
            if not up and not down:
                return
        raise AssertionError("the two sides never stop talking")

    def _pieces(self, data: bytes) -> list[bytes]:
        size = self.cut or len(data) or 1
        return [data[start : start + size] for start in range(0, len(data), size)]

    def open(
        self, listener: Recorder, body: bytes = b"", end: bool = False, path: str = "/invoke/S/h"
    ) -> H2Stream:
        return self.client.open(ENCODER.encode("POST", path, (), None), listener, body, end)

    def respond(self, stream_id: int, body: bytes = b"", end: bool = True, status: int = 200) -> None:
        self.server.send_headers(
            stream_id, [(":status", str(status)), ("content-type", "x")], not body and end
        )
        if body:
            self.server.send_data(stream_id, body, end_stream=end)

    def received(self, stream_id: int) -> bytes:
        """The request body as the server read it."""
        return b"".join(
            event.data
            for event in self.events
            if isinstance(event, h2.events.DataReceived) and event.stream_id == stream_id
        )

    def seen(self, kind: type[h2.events.Event]) -> list[h2.events.Event]:
        return [event for event in self.events if isinstance(event, kind)]


class SocketPeer:
    """The `h2` library behind a listening socket; a test scripts it with one callback per event."""

    def __init__(
        self,
        on_event: Callable[[SocketPeer, PeerConnection, h2.events.Event], None],
        settings: dict[int, int] | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.on_event = on_event
        self.tls = tls
        self.settings = settings
        self.connections: list[PeerConnection] = []
        self.port = 0
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> SocketPeer:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: PeerConnection(self), "127.0.0.1", 0, ssl=self.tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for connection in self.connections:
            connection.transport.abort()
        await asyncio.sleep(0)


class PeerConnection(asyncio.Protocol):
    """One accepted connection of a `SocketPeer`."""

    transport: asyncio.Transport

    def __init__(self, peer: SocketPeer) -> None:
        self.peer = peer
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        if peer.settings:
            self.h2.local_settings = h2.settings.Settings(client=False, initial_values=peer.settings)
        self.closed = False
        self.deaf = False
        self.requests: list[int] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is one only in shape
        self.peer.connections.append(self)
        self.h2.initiate_connection()
        self.flush()

    def data_received(self, data: bytes) -> None:
        if self.deaf:
            return
        for event in self.h2.receive_data(data):
            if isinstance(event, h2.events.RequestReceived):
                assert event.stream_id is not None
                self.requests.append(event.stream_id)
            if isinstance(event, h2.events.DataReceived):
                assert event.stream_id is not None
                with suppress(h2.exceptions.StreamClosedError):
                    self.h2.acknowledge_received_data(event.flow_controlled_length or 0, event.stream_id)
            self.peer.on_event(self.peer, self, event)
        self.flush()

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True

    def flush(self) -> None:
        data = self.h2.data_to_send()
        if data:
            self.transport.write(data)

    def respond(self, stream_id: int, body: bytes = b"ok", end: bool = True) -> None:
        self.h2.send_headers(stream_id, [(":status", "200")])
        self.h2.send_data(stream_id, body, end_stream=end)


async def eventually(condition: Callable[[], bool], what: str) -> None:
    """Wait until something is true, or fail saying what was not."""
    for _ in range(int(DEADLINE_S / 0.005)):
        if condition():
            return
        await asyncio.sleep(0.005)
    raise AssertionError(f"never happened: {what}")
