"""What all connections of one server share: its limits, what they hold, the heads that requests repeat."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from holdfast.http2.server_side import ConnectionLimits
from holdfast.http_server.site import HttpSite
from holdfast.ingress.errors import OVERLOADED, RequestError, body_too_large
from holdfast.ingress.exchange import Exchange, Head, IngressLimits

HEADS_KEPT_MAX: Final = 1024
HEAD_KEPT_BYTES_MAX: Final = 2048
STREAM_WINDOW_BYTES: Final = 1 << 20
CONNECTION_WINDOW_BYTES: Final = 16 << 20


class Site(HttpSite[IngressLimits]):
    """Shared by the connections of one `IngressServer`.

    Attributes:
        http2_limits: of each HTTP/2 connection.
        handle: answers a complete request.
        heads: known ones, by their bytes.
        buffered_bytes: of bodies that are arriving or waiting for the engine.
    """

    def __init__(
        self, limits: IngressLimits, handle: Callable[[Exchange], None], loop: asyncio.AbstractEventLoop
    ) -> None:
        super().__init__(limits, loop)
        self.http2_limits = ConnectionLimits(
            limits.streams_max,
            limits.header_bytes_max,
            limits.header_count_max,
            CONNECTION_WINDOW_BYTES,
            STREAM_WINDOW_BYTES,
        )
        self.handle = handle
        self.heads: dict[bytes, Head] = {}
        self.buffered_bytes = 0

    def refusal_of(self, body_bytes: int, more_bytes: int = 0) -> RequestError | None:
        """Why a body is not let in, if it is not: 413 or 429.

        Args:
            body_bytes: of it, so far or as announced.
            more_bytes: what it adds to `buffered_bytes`.
        """
        limits = self.limits
        if body_bytes > limits.request_bytes_max:
            return body_too_large(limits.request_bytes_max)
        if self.buffered_bytes + more_bytes > limits.buffered_bytes_max:
            return RequestError(429, OVERLOADED)
        return None

    def remember_head(self, head: bytes, known: Head) -> None:
        """Keep a head for the requests that repeat it. When too many differ, all are forgotten: those that
        repeat are soon back."""
        if len(self.heads) >= HEADS_KEPT_MAX:
            self.heads.clear()
        self.heads[head] = known
