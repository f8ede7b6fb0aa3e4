"""Looks for ended retentions, a slice of rows at a time.

Rows are scanned in order of their number, between commits, with a pause after each slice, so that a large
table delays nobody. What is found becomes a Sweep record; core checks again and forgets.
"""

from __future__ import annotations

import asyncio

from holdfast.core.model import Row
from holdfast.core.records import Sweep
from holdfast.partition.loop import PartitionLoop
from holdfast.timers.clock import Clock

ROWS_PER_SLICE = 5_000
PAUSE_S = 0.02


class Sweeper:
    """Sweeps one partition every `interval_ms`."""

    def __init__(
        self, partition: PartitionLoop, loop: asyncio.AbstractEventLoop, clock: Clock, interval_ms: int
    ) -> None:
        self._partition = partition
        self._loop = loop
        self._clock = clock
        self._interval_s = max(interval_ms, 100) / 1000
        self._handle: asyncio.TimerHandle | None = None
        self._from = 0

    def start(self) -> None:
        self._handle = self._loop.call_later(self._interval_s, self._begin)

    def stop(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _begin(self) -> None:
        self._from = 0
        self._partition.when_settled(self._slice)

    def _slice(self) -> None:
        invocations, now = self._partition.tables.invocations, self._clock.now_ms()
        first, upto = self._from, self._from + ROWS_PER_SLICE
        rows: list[Row] = invocations.expired(first, upto, now)
        if rows:
            self._partition.submit(Sweep(now, tuple(rows)))
        following = invocations.first_row_from(upto)
        if following is None:
            self.start()
            return
        self._from = following
        self._handle = self._loop.call_later(PAUSE_S, self._partition.when_settled, self._slice)
