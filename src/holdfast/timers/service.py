"""Reports a partition's due timers to it.

Holds one wake-up, for the earliest timer it knows of. When it rings, the due timers are read from the file
(between commits), become records, and the next look follows the commit that takes them out, so that no timer
is reported twice in a row. Long waits are cut into pieces: the wall clock may be set, and a loop's timer
runs on the monotonic one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from holdfast.core.outcome import Answer, Refused
from holdfast.core.records import Record, TimerFired
from holdfast.storage.timers import Timer
from holdfast.timers.clock import Clock

TIMERS_PER_BATCH_MAX = 1_000
WAIT_MS_MAX = 60_000


class TimerSource(Protocol):
    """The timer table, as far as this service reads it."""

    def due(self, at: int, limit: int) -> list[Timer]: ...
    def next_at(self) -> int | None: ...


class TimedPartition(Protocol):
    """A partition as this service sees it."""

    @property
    def timers(self) -> TimerSource: ...
    def submit(self, record: Record, on_answer: Callable[[Answer | None], None] | None = None) -> None: ...
    def when_settled(self, call: Callable[[], None]) -> None: ...


class TimerService:
    """The timers of one partition; `arm` when one is stored, `start` once after opening.

    Args:
        wait_ms_max: the longest piece of a wait; larger only where the two clocks cannot drift apart.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, clock: Clock, wait_ms_max: int = WAIT_MS_MAX) -> None:
        self._loop = loop
        self._clock = clock
        self._wait_ms_max = wait_ms_max
        self._partition: TimedPartition | None = None
        self._handle: asyncio.TimerHandle | None = None
        self._wake_at: int | None = None
        self._firing = False

    def start(self, partition: TimedPartition) -> None:
        """Begin with what the file holds."""
        self._partition = partition
        self._look()

    def arm(self, fire_at: int) -> None:
        """A timer due at `fire_at` has been committed."""
        if self._firing or (self._wake_at is not None and self._wake_at <= fire_at):
            return
        self._schedule(fire_at)

    def stop(self) -> None:
        self._partition = None
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _schedule(self, fire_at: int) -> None:
        if self._handle is not None:
            self._handle.cancel()
        self._wake_at = fire_at
        # One millisecond more than needed beats waking one too early and looking in vain.
        wait_ms = min(max(fire_at - self._clock.now_ms() + 1, 0), self._wait_ms_max)
        self._handle = self._loop.call_later(wait_ms / 1000, self._ring)

    def _ring(self) -> None:
        self._handle = None
        if self._partition is not None:
            self._partition.when_settled(self._look)

    def _look(self) -> None:
        partition = self._partition
        if partition is None or self._firing:
            return
        now = self._clock.now_ms()
        due = partition.timers.due(now, TIMERS_PER_BATCH_MAX)
        if due:
            self._firing = True
            for timer in due[:-1]:
                partition.submit(_record(now, timer))
            partition.submit(_record(now, due[-1]), self._fired)
            return
        self._wake_at = None
        next_at = partition.timers.next_at()
        if next_at is not None:
            self._schedule(next_at)

    def _fired(self, answer: Answer | None) -> None:
        """The batch is durable. The partition is settled now, so the next look may follow at once."""
        if isinstance(answer, Refused):
            return  # the partition has stopped; the next process finds the timers where they are
        self._firing = False
        self._look()


def _record(at: int, timer: Timer) -> TimerFired:
    return TimerFired(at, timer.fire_at, timer.kind, timer.row, timer.completion_id)
