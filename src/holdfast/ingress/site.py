"""What all connections of one server share: limits, clock, counters, and the sweep that ends slow ones.

Deadlines are kept by one timer that ticks once a second and looks at every connection; a connection only
notes the tick at which its present phase began. That is coarse, and costs a request nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from email.utils import formatdate
from typing import Final, Protocol

from holdfast.ingress.exchange import Exchange, Head, IngressLimits

TICK_S: Final = 1.0
HEADS_KEPT_MAX: Final = 1024
HEAD_KEPT_BYTES_MAX: Final = 2048


class Connection(Protocol):
    """One client's connection, as the server sees it."""

    def sweep(self, now_s: float) -> None:
        """End the connection if its phase has lasted too long. `now_s` is the loop's time."""

    def drain(self) -> None:
        """Take no more requests; close when what is in progress is answered, at once when nothing is."""

    def abort(self) -> None:
        """Close now."""


class Site:
    """Shared by the connections of one `IngressServer`."""

    def __init__(
        self, limits: IngressLimits, handle: Callable[[Exchange], None], loop: asyncio.AbstractEventLoop
    ) -> None:
        self.limits = limits
        self.handle = handle
        self.connections: set[Connection] = set()
        self.heads: dict[bytes, Head] = {}
        self.buffered_bytes = 0
        self.draining = False
        self.now_s = 0.0
        self.date = ""
        self.empty = asyncio.Event()
        self._loop = loop
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin to tick."""
        self._tick()

    def stop(self) -> None:
        """Stop ticking."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def add(self, connection: Connection) -> bool:
        """Register a connection; False when there are too many or the server is closing."""
        if self.draining or len(self.connections) >= self.limits.connections_max:
            return False
        self.connections.add(connection)
        return True

    def replace(self, connection: Connection, successor: Connection) -> None:
        """A connection goes on as another kind, now that its protocol is known."""
        self.connections.discard(connection)
        self.connections.add(successor)

    def remove(self, connection: Connection) -> None:
        """A connection is closed."""
        self.connections.discard(connection)
        if self.draining and not self.connections:
            self.empty.set()

    def remember_head(self, head: bytes, known: Head) -> None:
        """Keep a head for the requests that repeat it. When too many differ, all are forgotten: those that
        repeat are soon back."""
        if len(self.heads) >= HEADS_KEPT_MAX:
            self.heads.clear()
        self.heads[head] = known

    def drain(self) -> None:
        """Let every connection finish what it is doing."""
        self.draining = True
        for connection in tuple(self.connections):
            connection.drain()
        if not self.connections:
            self.empty.set()

    def _tick(self) -> None:
        self.now_s = self._loop.time()
        self.date = formatdate(usegmt=True)
        for connection in tuple(self.connections):
            connection.sweep(self.now_s)
        self._timer = self._loop.call_later(TICK_S, self._tick)
