"""What a test makes go wrong: services that die at a chosen place, and steps that fail.

A *crash point* names a place by an invocation's journal: the service dies at the first moment at which entry
`n` is durable. Frames reach the engine one at a time while a crash is planned, each committed before the
next, so every entry is such a moment; an entry that is made while no attempt runs (the end of a long sleep)
counts when the next attempt opens, before it has read a byte.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from holdfast.core.model import Invocation
from holdfast.partition.loop import PartitionLoop

Find = Callable[[str], tuple[PartitionLoop, Invocation | None]]
"""An invocation by its printed id, with its partition."""


@dataclass(frozen=True, slots=True)
class CrashPoint:
    """Where a service dies, once.

    Attributes:
        entry: the journal entry, by index, that is stored when it happens; 0 is the input.
        target: whose journal, `Service/handler` or `Service/key/handler`; None: of whichever comes first.
        occurrence: which invocation of the target, counted from 0 in the order of their first attempts.
    """

    entry: int
    target: str | None = None
    occurrence: int = 0

    def __str__(self) -> str:
        where = f"entry {self.entry} of {self.target or 'an invocation'}"
        return f"{where} (invocation {self.occurrence} of that target)" if self.occurrence else where


class Crasher:
    """Carries out one crash point; the transport's `Saboteur`. Without a point it does nothing."""

    def __init__(self, loop: asyncio.AbstractEventLoop, point: CrashPoint | None, find: Find) -> None:
        self._loop = loop
        self._point = point
        self._find = find
        self._occurrences: dict[str, int] = {}
        self._seen: dict[str, int] = {}
        self.happened = False

    async def after_frame(self, invocation_id: str) -> str | None:
        """See `Saboteur`."""
        if self._point is None or self.happened:
            return None
        partition, _ = self._find(invocation_id)
        while not partition.settled:  # noqa: ASYNC110 - a commit is a turn of the loop, seldom more
            await asyncio.sleep(0)
        return self._strike(self._point, invocation_id)

    def on_write(self, invocation_id: str, cut: Callable[[str], None]) -> None:
        """See `Saboteur`."""
        self._number(invocation_id)
        if self._point is not None and not self.happened:
            self._loop.call_soon(self._look, self._point, invocation_id, cut)

    def points(self) -> list[CrashPoint]:
        """Every entry of every invocation that has had an attempt."""
        found: list[CrashPoint] = []
        for invocation_id, occurrence in self._seen.items():
            _, invocation = self._find(invocation_id)
            if invocation is not None:
                target = str(invocation.target)
                found += [CrashPoint(entry, target, occurrence) for entry in range(invocation.length)]
        return found

    def _look(self, point: CrashPoint, invocation_id: str, cut: Callable[[str], None]) -> None:
        reason = self._strike(point, invocation_id)
        if reason is not None:
            cut(reason)

    def _number(self, invocation_id: str) -> None:
        """Counts invocations of a target when they are first seen."""
        if invocation_id not in self._seen:
            _, invocation = self._find(invocation_id)
            target = "" if invocation is None else str(invocation.target)
            self._seen[invocation_id] = number = self._occurrences.get(target, 0)
            self._occurrences[target] = number + 1

    def _strike(self, point: CrashPoint, invocation_id: str) -> str | None:
        if self.happened:
            return None
        _, invocation = self._find(invocation_id)
        if invocation is None or invocation.length <= point.entry:
            return None
        if point.target is not None and (
            str(invocation.target) != point.target or self._seen.get(invocation_id) != point.occurrence
        ):
            return None
        self.happened = True
        return f"the service died, as the test wanted, at {point}"


class StepFailures:
    """Steps that are to fail, by name."""

    def __init__(self) -> None:
        self._armed: dict[str, tuple[int, Callable[[], Exception]]] = {}

    def arm(self, name: str, times: int, make: Callable[[], Exception]) -> None:
        """Let the next `times` runs of the step fail with what `make` gives."""
        self._armed[name] = (times, make)

    def before_step(self, name: str) -> None:
        """Raise if the step is to fail now."""
        times, make = self._armed.get(name, (0, None))
        if make is not None:
            self._armed[name] = (times - 1, make)
            if times == 1:
                del self._armed[name]
            raise make()

    @property
    def left(self) -> dict[str, int]:
        """How often each armed step has still to fail."""
        return {name: times for name, (times, _) in self._armed.items()}
