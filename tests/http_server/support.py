"""A server that answers every request with its own body, in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from holdfast.http2.requests import MalformedRequest, RefusedHeaders, Request, response_block
from holdfast.http2.server_side import ConnectionLimits
from holdfast.http2.server_stream import ServerStream
from holdfast.http_server.first_bytes import FirstBytes
from holdfast.http_server.http2 import Http2OnSocket
from holdfast.http_server.site import Connection, HttpSite
from http_server.wire import Wires

OK = response_block(200, ())


@dataclass(frozen=True)
class EchoLimits:
    connections_max: int = 3
    header_deadline_s: float = 10
    keep_alive_s: float = 100
    write_deadline_s: float = 30
    discard_s: float = 5


class Echo(ServerStream):
    """Answers with the request's body; `early` at once, `never` not at all, `short` breaks at its end."""

    def __init__(self, stream_id: int, connection: Echoing, kind: str) -> None:
        super().__init__(stream_id, connection, connection.site.now_s)
        self.kind = kind
        self.body = b""
        self.gone = False
        if kind == "early":
            self.answer(OK, b"")

    def on_data(self, data: bytes) -> None:
        self.body += data

    def on_end(self) -> None:
        if self.kind == "short":
            raise MalformedRequest("as the test asked")
        if self.kind != "never":
            self.answer(OK, self.body)

    def on_gone(self) -> None:
        assert not self.gone, "cut twice"
        self.gone = True


class EchoSite(HttpSite[EchoLimits]):
    def __init__(self, loop: asyncio.AbstractEventLoop, limits: EchoLimits, http2: ConnectionLimits) -> None:
        super().__init__(limits, loop)
        self.http2 = http2
        self.streams: list[Echo] = []


class Echoing(Http2OnSocket[EchoSite]):
    """Streams by what their path says."""

    def __init__(self, site: EchoSite, transport: asyncio.Transport) -> None:
        super().__init__(site, transport, site.http2)

    def open_stream(self, stream_id: int, request: Request, ends: bool) -> ServerStream | None:
        stream = Echo(stream_id, self, request[1].removeprefix("/"))
        self.site.streams.append(stream)
        return stream

    def refused_headers(self, stream_id: int, refusal: RefusedHeaders) -> ServerStream:
        raise AssertionError(refusal.message)


class Lines(Connection):
    """Stands for HTTP/1: remembers what it got."""

    def __init__(self, site: EchoSite, transport: asyncio.Transport) -> None:
        self.site = site
        self.transport = transport
        self.data = b""

    def data_received(self, data: bytes) -> None:
        self.data += data

    def connection_lost(self, exc: Exception | None) -> None:
        self.site.remove(self)

    def sweep(self, now_s: float) -> None:
        """It may stay."""

    def drain(self) -> None:
        self.transport.close()

    def abort(self) -> None:
        self.transport.abort()


class Server(Wires):
    """One site on a loop of its own, stepped by hand."""

    def __init__(self, limits: EchoLimits, http2: ConnectionLimits) -> None:
        super().__init__()
        self.site = EchoSite(self.loop, limits, http2)

    def first_bytes(self) -> FirstBytes[EchoSite]:
        return FirstBytes(self.site, Echoing, Lines)

    def later(self, seconds: float) -> None:
        """So many ticks."""
        for _ in range(int(seconds)):
            self.site.now_s += 1
            for connection in tuple(self.site.connections):
                connection.sweep(self.site.now_s)


@contextmanager
def server(limits: EchoLimits | None = None, **http2: int) -> Iterator[Server]:
    """Afterwards everybody is gone and was told so.

    Args:
        http2: limits of each connection.
    """
    made = Server(limits or EchoLimits(), ConnectionLimits(**http2))
    try:
        yield made
        made.drop_all()
        assert not made.site.connections
        assert all(stream.closed for stream in made.site.streams)
    finally:
        made.loop.close()
