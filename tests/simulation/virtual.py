"""Time that jumps from event to event, and loops that die with their process."""

from __future__ import annotations

import heapq
from collections.abc import Callable

EPOCH_MS = 1_767_225_600_000
EVENTS_MAX = 60_000
"""Of one run. A run that needs more goes round in a circle."""


class Broken(AssertionError):
    """A law does not hold."""


class Handle:
    """A callback that will be called, unless it is cancelled or its process is dead by then."""

    __slots__ = ("_args", "_call", "_process", "_when", "cancelled_")

    def __init__(
        self, when: float, call: Callable[..., object], args: tuple[object, ...], process: ProcessLoop | None
    ) -> None:
        self._when = when
        self._call = call
        self._args = args
        self._process = process
        self.cancelled_ = False

    def cancel(self) -> None:
        self.cancelled_ = True

    def cancelled(self) -> bool:
        return self.cancelled_

    def when(self) -> float:
        return self._when

    def run(self) -> None:
        if not self.cancelled_ and (self._process is None or self._process.alive):
            self._call(*self._args)


class World:
    """The one queue of events; ties go in order of arrival, as on any event loop."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.events = 0
        self._number = 0
        self._queue: list[tuple[float, int, Handle]] = []

    def at(
        self, when: float, call: Callable[..., object], *args: object, process: ProcessLoop | None = None
    ) -> Handle:
        handle = Handle(max(when, self.now_s), call, args, process)
        self._number += 1
        heapq.heappush(self._queue, (handle.when(), self._number, handle))
        return handle

    def later(self, delay_s: float, call: Callable[..., object], *args: object) -> Handle:
        return self.at(self.now_s + delay_s, call, *args)

    def run_until(self, when: float) -> None:
        """Everything that happens up to an instant."""
        while self.step(when):
            pass
        self.now_s = max(self.now_s, when)

    def step(self, until: float) -> bool:
        """The next event, if there is one up to then."""
        queue = self._queue
        if not queue or queue[0][0] > until:
            return False
        self.now_s, _, handle = heapq.heappop(queue)
        self.events += 1
        if self.events > EVENTS_MAX:
            raise Broken(f"no rest after {EVENTS_MAX} events: something goes round in a circle")
        handle.run()
        return True


class ProcessLoop:
    """What a server process takes for its event loop. Nothing of it happens once `alive` is false."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.alive = True

    def time(self) -> float:
        return self._world.now_s

    def call_soon(self, call: Callable[..., object], *args: object, context: object = None) -> Handle:
        return self._world.at(self._world.now_s, call, *args, process=self)

    call_soon_threadsafe = call_soon

    def call_later(
        self, delay_s: float, call: Callable[..., object], *args: object, context: object = None
    ) -> Handle:
        return self._world.at(self._world.now_s + delay_s, call, *args, process=self)

    def call_at(
        self, when: float, call: Callable[..., object], *args: object, context: object = None
    ) -> Handle:
        return self._world.at(when, call, *args, process=self)


class Clock:
    """The wall clock, which somebody may set."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.skew_ms = 0
        self.was_set = False

    def set(self, by_ms: int) -> None:
        self.skew_ms += by_ms
        self.was_set = True

    def now_ms(self) -> int:
        return EPOCH_MS + int(self._world.now_s * 1000) + self.skew_ms
