"""A connection's first bytes, which tell HTTP/2 from HTTP/1."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Generic, cast

from holdfast.http2.frames import CLIENT_PREFACE
from holdfast.http_server.site import Connection, SiteT

Speak = Callable[[SiteT, asyncio.Transport], Connection]


class FirstBytes(Connection, Generic[SiteT]):
    """A connection until it is known which HTTP it speaks.

    Args:
        http2: takes over behind the client's preface.
        http1: takes over from the first byte on.
    """

    def __init__(self, site: SiteT, http2: Speak[SiteT], http1: Speak[SiteT]) -> None:
        self._site = site
        self._http2 = http2
        self._http1 = http1
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
        is_http2 = self._data.startswith(CLIENT_PREFACE)
        successor = (self._http2 if is_http2 else self._http1)(self._site, transport)
        transport.set_protocol(successor)
        self._site.replace(self, successor)
        successor.data_received(self._data.removeprefix(CLIENT_PREFACE))

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
