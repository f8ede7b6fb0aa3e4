"""The ingress as a whole, from the listening socket to the graceful end.

Closing happens in three steps: no new connections, then a grace in which what waits may be answered, then
503 for the rest; a connection closes behind its last response.
"""

from __future__ import annotations

import asyncio
import errno
import os
import ssl
from typing import Final

from holdfast.http_server.first_bytes import FirstBytes
from holdfast.http_server.site import BACKLOG
from holdfast.ingress.dispatch import CatalogView, Dispatcher
from holdfast.ingress.errors import ListenError
from holdfast.ingress.exchange import IngressLimits
from holdfast.ingress.http1 import Http1Connection
from holdfast.ingress.http2 import Http2Connection
from holdfast.ingress.site import Site
from holdfast.partition.api import Engine

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
                lambda: accept(self._site),
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
        if not await self._site.emptied(grace_s):
            self._dispatcher.refuse_waiting()
            if not await self._site.emptied(FLUSH_S):
                self._site.abort()
                await self._site.emptied(FLUSH_S)
        self._site.stop()


def accept(site: Site) -> FirstBytes[Site]:
    """A connection's beginning."""
    return FirstBytes(site, Http2Connection, Http1Connection)


def _listen_error(host: str, port: int, error: OSError) -> ListenError:
    reasons = {
        errno.EADDRINUSE: "the address is in use; stop the other process or choose another port",
        errno.EACCES: "not permitted; ports below 1024 need privileges",
        errno.EADDRNOTAVAIL: "this machine does not have that address",
    }
    number = error.errno
    reason = reasons.get(number, os.strerror(number)) if number is not None and number > 0 else str(error)
    return ListenError(number, f"the ingress cannot listen on {host}:{port}: {reason}")
