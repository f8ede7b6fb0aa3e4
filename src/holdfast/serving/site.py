"""What all connections of one worker share: the app, limits, a clock that ticks, and who is there.

Deadlines are kept by one timer that ticks once a second and looks at every connection; a connection only
notes the tick at which its present phase began. That is coarse, and costs a request nothing.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Final, Protocol

from holdfast.http2.server_side import ConnectionLimits
from holdfast.sdk.endpoint.app import App
from holdfast.sdk.endpoint.routes import Invoke

TICK_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class ServingLimits:
    """What one worker accepts. Times in seconds."""

    connection: ConnectionLimits = field(default_factory=ConnectionLimits)
    attempts_max: int = 16_384
    """At once; more are refused, and tried again by the server."""
    connections_max: int = 10_000
    """More are closed at once."""
    header_deadline_s: float = 15.0
    """From a request's first byte to the end of its headers."""
    replay_deadline_s: float = 60.0
    """How long the journal may stop coming before all of it is here."""
    keep_alive_s: float = 300.0
    """How long a connection may sit without a request."""
    write_deadline_s: float = 120.0
    """How long a client may take nothing of what waits for it."""
    discard_s: float = 5.0
    """How long a request may go on behind its response."""


class Connection(Protocol):
    """One client's connection, as the worker sees it."""

    def sweep(self, now_s: float) -> None:
        """End what has lasted too long. `now_s` is the loop's time."""

    def drain(self) -> None:
        """Take no more requests; close when what is in progress has ended, at once when nothing is."""

    def abort(self) -> None:
        """Close now."""


class Site:
    """Shared by the connections of one `HandlerServer`."""

    def __init__(self, app: App, limits: ServingLimits, loop: asyncio.AbstractEventLoop) -> None:
        self.app = app
        self.limits = limits
        self.loop = loop
        self.connections: set[Connection] = set()
        self.attempts = 0
        self.draining = False
        self.now_s = loop.time()
        self.date = ""
        """For responses."""
        self.heads: dict[int, tuple[Invoke, bytes]] = {}
        """Header blocks of this second's responses, by the identity of what is invoked: see `http2`."""
        self.empty = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def has_room(self) -> bool:
        """Whether one more attempt may begin."""
        return self.attempts < self.limits.attempts_max

    def start(self) -> None:
        """Begin to tick."""
        self._tick()

    def stop(self) -> None:
        """Stop ticking."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def add(self, connection: Connection) -> bool:
        """Register a connection; False when there are too many or the worker is ending."""
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

    def drain(self) -> None:
        """Let every connection finish what it is doing."""
        self.draining = True
        for connection in tuple(self.connections):
            connection.drain()
        if not self.connections:
            self.empty.set()

    def _tick(self) -> None:
        self.now_s = self.loop.time()
        self.date = formatdate(usegmt=True)
        self.heads.clear()
        for connection in tuple(self.connections):
            connection.sweep(self.now_s)
        self._timer = self.loop.call_later(TICK_S, self._tick)
