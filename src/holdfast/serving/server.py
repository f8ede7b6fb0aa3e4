"""One worker's server, from the listening socket on.

It ends in three steps: no new connections; then a grace, in which attempts may go on; then what is left is
cut. A connection closes behind its last attempt.
"""

from __future__ import annotations

import asyncio
import socket
from typing import Final

from holdfast.http_server.first_bytes import FirstBytes
from holdfast.http_server.site import BACKLOG
from holdfast.sdk.endpoint.app import App
from holdfast.serving.http1 import Http1Connection
from holdfast.serving.http2 import Http2Connection
from holdfast.serving.site import ServingLimits, Site

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
            lambda: accept(self._site), sock=listening, backlog=BACKLOG
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
        if not await self._site.emptied(grace_s, sooner):
            self._site.abort()
            await self._site.emptied(CUT_S)
        self._site.stop()


def accept(site: Site) -> FirstBytes[Site]:
    """A connection's beginning."""
    return FirstBytes(site, Http2Connection, Http1Connection)
