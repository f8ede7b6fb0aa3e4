"""The listening socket, and the first bytes of a connection, which tell HTTP/2 from HTTP/1.

Closing happens in three steps: no new connections, then a grace in which what waits may be answered, then
503 for the rest; a connection closes behind its last response.
"""

from __future__ import annotations

import asyncio
import errno
import os
import ssl
from typing import Final, cast

from holdfast.http2.frames import CLIENT_PREFACE
from holdfast.ingress.dispatch import CatalogView, Dispatcher
from holdfast.ingress.errors import ListenError
from holdfast.ingress.exchange import IngressLimits
from holdfast.ingress.http1 import Http1Connection
from holdfast.ingress.http2 import Http2Connection
from holdfast.ingress.site import Site
from holdfast.partition.api import Engine

BACKLOG: Final = 4096
FLUSH_S: Final = 1.0


class IngressServer:
    """Serves the ingress on one address. Started and closed once."""

    def __init__(
        self, engine: Engine, catalog: CatalogView, limits: IngressLimits, loop: asyncio.AbstractEventLoop
    ) -> None:
        self._dispatcher = Dispatcher(engine, catalog, limits)
        self._site = Site(limits, self._dispatcher.handle, loop)
        self._loop = loop
        self._server: asyncio.Server | None = None

    @property
    def draining(self) -> bool:
        """Whether `close` was called."""
        return self._site.draining

    @property
    def connection_count(self) -> int:
        return len(self._site.connections)

    @property
    def waiting_count(self) -> int:
        """Requests that wait for the engine."""
        return len(self._dispatcher.waits)

    @property
    def buffered_bytes(self) -> int:
        """Bodies that are arriving or waiting for the engine."""
        return self._site.buffered_bytes

    async def start(
        self, host: str, port: int, *, ssl_context: ssl.SSLContext | None = None, reuse_port: bool = False
    ) -> int:
        """Listen and return the bound port; 0 picks a free one. `host` may be an IPv6 address or a name.

        Raises:
            ListenError: the address cannot be bound.
        """
        try:
            self._server = await self._loop.create_server(
                lambda: FirstBytes(self._site),
                host.strip("[]"),
                port,
                backlog=BACKLOG,
                ssl=ssl_context,
                reuse_port=reuse_port or None,
            )
        except OSError as error:
            raise _listen_error(host, port, error) from error
        self._site.start()
        bound: tuple[str, int] = self._server.sockets[0].getsockname()
        return bound[1]

    async def close(self, grace_s: float) -> None:
        """Stop accepting, answer what waits for `grace_s` seconds, refuse the rest, close everything."""
        if self._server is None:
            return
        self._server.close()
        self._server = None
        self._dispatcher.draining = True
        self._site.drain()
        if not await self._emptied(grace_s):
            self._dispatcher.refuse_waiting()
            if not await self._emptied(FLUSH_S):
                for connection in tuple(self._site.connections):
                    connection.abort()
                await self._emptied(FLUSH_S)
        self._site.stop()

    async def _emptied(self, timeout_s: float) -> bool:
        try:
            await asyncio.wait_for(self._site.empty.wait(), timeout_s)
        except TimeoutError:
            return False
        return True


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
        if self._data.startswith(CLIENT_PREFACE):
            http2 = Http2Connection(self._site, transport)
            transport.set_protocol(http2)
            self._site.replace(self, http2)
            http2.data_received(self._data[len(CLIENT_PREFACE) :])
        else:
            http1 = Http1Connection(self._site, transport)
            transport.set_protocol(http1)
            self._site.replace(self, http1)
            http1.data_received(self._data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._site.remove(self)

    def sweep(self, now_s: float) -> None:
        if now_s - self._since_s > self._site.limits.header_deadline_s:
            self.abort()

    def drain(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()


def _listen_error(host: str, port: int, error: OSError) -> ListenError:
    reasons = {
        errno.EADDRINUSE: "the address is in use; stop the other process or choose another port",
        errno.EACCES: "not permitted; ports below 1024 need privileges",
        errno.EADDRNOTAVAIL: "this machine does not have that address",
    }
    number = error.errno
    reason = reasons.get(number, os.strerror(number)) if number is not None and number > 0 else str(error)
    return ListenError(number, f"the ingress cannot listen on {host}:{port}: {reason}")
