"""One worker's server: the listening socket, and a connection's first bytes, which tell HTTP/2 from HTTP/1.

It ends in three steps: no new connections; then a grace, in which attempts may go on; then what is left is
cut. A connection closes behind its last attempt.
"""

from __future__ import annotations

import asyncio
import socket
from typing import Final, cast

from holdfast.http2.frames import CLIENT_PREFACE
from holdfast.sdk.endpoint.app import App
from holdfast.serving.http1 import Http1Connection
from holdfast.serving.http2 import Http2Connection
from holdfast.serving.site import ServingLimits, Site

BACKLOG: Final = 4096
CUT_S: Final = 1.0
"""How long what was cut may take to be gone."""


class HandlerServer:
    """Serves an app on one socket. Started and closed once."""

    def __init__(self, app: App, limits: ServingLimits, loop: asyncio.AbstractEventLoop) -> None:
        self._site = Site(app, limits, loop)
        self._loop = loop
        self._server: asyncio.Server | None = None

    @property
    def attempts(self) -> int:
        """Under way."""
        return self._site.attempts

    @property
    def connection_count(self) -> int:
        return len(self._site.connections)

    async def start(self, listening: socket.socket) -> None:
        """Accept connections of a bound socket, which may be shared with other workers."""
        self._site.start()
        self._server = await self._loop.create_server(
            lambda: FirstBytes(self._site), sock=listening, backlog=BACKLOG
        )

    async def close(self, grace_s: float, sooner: asyncio.Event | None = None) -> None:
        """Stop accepting, let attempts go on for `grace_s` seconds, cut the rest, close everything.

        Args:
            sooner: ends the grace when it is set.
        """
        if self._server is None:
            return
        self._server.close()
        self._server = None
        self._site.drain()
        waits = [asyncio.ensure_future(self._site.empty.wait())]
        if sooner is not None:
            waits.append(asyncio.ensure_future(sooner.wait()))
        await asyncio.wait(waits, timeout=grace_s, return_when=asyncio.FIRST_COMPLETED)
        for connection in tuple(self._site.connections):
            connection.abort()
        await asyncio.wait(waits[:1], timeout=CUT_S)
        for wait in waits:
            wait.cancel()
        self._site.stop()


class FirstBytes(asyncio.Protocol):
    """A connection until it is known which HTTP it speaks."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._transport: asyncio.Transport | None = None
        self._since_s = site.now_s
        self._data = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Not an isinstance check: uvloop's transports are asyncio's by shape, not by class.
        self._transport = cast(asyncio.Transport, transport)
        if not self._site.add(self):
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        self._data += data
        transport = self._transport
        if transport is None or (
            len(self._data) < len(CLIENT_PREFACE) and CLIENT_PREFACE.startswith(self._data)
        ):
            return
        self._transport = None
        successor: Http2Connection | Http1Connection
        if self._data.startswith(CLIENT_PREFACE):
            successor = Http2Connection(self._site, transport)
            self._data = self._data[len(CLIENT_PREFACE) :]
        else:
            successor = Http1Connection(self._site, transport)
        transport.set_protocol(successor)
        self._site.replace(self, successor)
        successor.data_received(self._data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._site.remove(self)

    def sweep(self, now_s: float) -> None:
        if now_s - self._since_s > self._site.limits.header_deadline_s:
            self.abort()

    def drain(self) -> None:
        self.abort()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()
