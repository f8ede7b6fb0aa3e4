"""Invocations that attached to others."""

from __future__ import annotations

from typing import cast

from holdfast.core.model import InvocationId, NotificationKind, Row, Waiter
from holdfast.storage.buffer import Buffer
from holdfast.storage.database import Database


class Waiters:
    """Implements core's WaiterTable."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._buffer: Buffer[tuple[Row, int], Waiter] = Buffer(
            database,
            "waiter",
            ("row", "sequence", "id", "completion_id", "kind"),
            ("row", "sequence"),
            lambda key, waiter: (*key, waiter.id, waiter.completion_id, int(waiter.kind)),
            lambda key: key,
        )
        found = database.first("SELECT max(sequence) FROM waiter")
        self._sequence = 0 if found is None or found[0] is None else cast(int, found[0])

    def add(self, row: Row, waiter: Waiter) -> None:
        self._sequence += 1
        self._buffer.pending[row, self._sequence] = waiter

    def take(self, row: Row) -> list[Waiter]:
        self._buffer.flush()
        found = self._database.rows(
            "SELECT sequence, id, completion_id, kind FROM waiter WHERE row = ? ORDER BY sequence", (row,)
        )
        for sequence, *_ in found:
            self._buffer.pending[row, sequence] = None
        return [
            Waiter(InvocationId(id_), completion_id, NotificationKind(kind))
            for _, id_, completion_id, kind in found
        ]

    def flush(self) -> None:
        self._buffer.flush()

    def committed(self) -> None:
        self._buffer.committed()
