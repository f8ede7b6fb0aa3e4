"""What all connections of one server share: limits, a clock that ticks, and who is there.

Deadlines are kept by one timer that ticks once a second and looks at every connection; a connection only
notes the tick at which its present phase began. That is coarse, and costs a request nothing.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from email.utils import formatdate
from typing import Final, Generic, Protocol, TypeVar

TICK_S: Final = 1.0
BACKLOG: Final = 4096
"""Connections that the kernel keeps until they are accepted."""


class Limits(Protocol):
    """What every server limits. Times in seconds.

    Attributes:
        connections_max: more are closed at once.
        header_deadline_s: from a request's first byte to the end of its headers.
        keep_alive_s: how long a connection may sit without a request.
        write_deadline_s: how long a client may take nothing of what waits for it.
        discard_s: how long a request over HTTP/2 may go on behind its response.
    """

    @property
    def connections_max(self) -> int: ...
    @property
    def header_deadline_s(self) -> float: ...
    @property
    def keep_alive_s(self) -> float: ...
    @property
    def write_deadline_s(self) -> float: ...
    @property
    def discard_s(self) -> float: ...


class Connection(asyncio.Protocol, ABC):
    """One client's connection."""

    @abstractmethod
    def sweep(self, now_s: float) -> None:
        """End what has lasted too long. `now_s` is the loop's time."""

    @abstractmethod
    def drain(self) -> None:
        """Take no more requests; close when what is in progress has ended, at once when nothing is."""

    @abstractmethod
    def abort(self) -> None:
        """Close now."""

    def eof_received(self) -> bool:
        return False  # the transport closes itself: who closes its side is taken to be gone


LimitsT = TypeVar("LimitsT", bound=Limits, covariant=True)


class HttpSite(Generic[LimitsT]):
    """Shared by the connections of one server.

    Attributes:
        now_s: the loop's time at the last tick.
        date: for responses, of the same moment.
        empty: set when the server is draining and the last connection is gone.
    """

    def __init__(self, limits: LimitsT, loop: asyncio.AbstractEventLoop) -> None:
        self.limits: Final = limits
        self.loop = loop
        self.connections: set[Connection] = set()
        self.draining = False
        self.now_s = loop.time()
        self.date = ""
        self.empty = asyncio.Event()
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
        """Register a connection; False when there are too many or the server is ending."""
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

    async def emptied(self, timeout_s: float, sooner: asyncio.Event | None = None) -> bool:
        """Wait for the last connection to go, behind `drain`; False when some are left.

        Args:
            sooner: ends the wait when it is set.
        """
        events = (self.empty,) if sooner is None else (self.empty, sooner)
        waits = [asyncio.ensure_future(event.wait()) for event in events]
        try:
            await asyncio.wait(waits, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        return self.empty.is_set()

    def abort(self) -> None:
        """Cut whoever is left."""
        for connection in tuple(self.connections):
            connection.abort()

    def new_tick(self) -> None:
        """The date has changed."""

    def _tick(self) -> None:
        self.now_s = self.loop.time()
        self.date = formatdate(usegmt=True)
        self.new_tick()
        for connection in tuple(self.connections):
            connection.sweep(self.now_s)
        self._timer = self.loop.call_later(TICK_S, self._tick)


SiteT = TypeVar("SiteT", bound=HttpSite[Limits])
"""A server's own kind of site."""
