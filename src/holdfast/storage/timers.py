"""Timers, ordered by when they are due. Only those due are ever read into memory."""

from __future__ import annotations

from typing import NamedTuple, cast

from holdfast.core.model import Row
from holdfast.storage.buffer import Buffer
from holdfast.storage.database import Database


class Timer(NamedTuple):
    fire_at: int
    row: Row
    kind: int
    completion_id: int


class Timers:
    """Implements core's TimerTable, and feeds the timer service."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._buffer: Buffer[Timer, bool] = Buffer(
            database, "timer", Timer._fields, Timer._fields, lambda timer, _: timer, lambda timer: timer
        )

        self._reported: set[Timer] = set()
        """What `due` last read and nobody has taken since: it is in the file, so `take` need not ask."""

    def put(self, fire_at: int, kind: int, row: Row, completion_id: int) -> None:
        self._buffer.pending[Timer(fire_at, row, kind, completion_id)] = True

    def take(self, fire_at: int, kind: int, row: Row, completion_id: int) -> bool:
        timer = Timer(fire_at, row, kind, completion_id)
        pending = self._buffer.pending
        if timer in pending:
            there = pending[timer] is True
            # It may have been reported and put once more: taken, it is not there any longer either way.
            self._reported.discard(timer)
        elif timer in self._reported:
            self._reported.discard(timer)
            there = True
        else:
            there = (
                self._database.first(
                    "SELECT 1 FROM timer WHERE fire_at = ? AND row = ? AND kind = ? AND completion_id = ?",
                    timer,
                )
                is not None
            )
        if there:
            pending[timer] = None
        return there

    def due(self, at: int, limit: int) -> list[Timer]:
        """Committed timers due at `at`, earliest first. Call between commits only."""
        due = [
            Timer(*row)
            for row in self._database.rows(
                "SELECT fire_at, row, kind, completion_id FROM timer WHERE fire_at <= ? "
                "ORDER BY fire_at, row LIMIT ?",
                (at, limit),
            )
        ]
        self._reported = set(due)
        return due

    def next_at(self) -> int | None:
        """When the earliest committed timer is due. Call between commits only."""
        found = self._database.first("SELECT min(fire_at) FROM timer")
        return None if found is None else cast("int | None", found[0])

    def flush(self) -> None:
        self._buffer.flush()

    def committed(self) -> None:
        self._buffer.committed()
