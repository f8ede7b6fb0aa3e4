"""How attempts ended: a row per attempt, beside the journal and gone with it.

`number` is the engine's, which has gaps. The latest `ATTEMPTS_PER_INVOCATION_MAX` are kept.
"""

from __future__ import annotations

import json

from holdfast.core.model import AttemptEnd, AttemptFailure, Row
from holdfast.storage.buffer import Upserts
from holdfast.storage.database import Database, Value

ATTEMPTS_PER_INVOCATION_MAX = 256
MESSAGE_CHARACTERS_MAX = 1_000
"""Of an error; the whole of it is in the invocation's events."""

_COLUMNS = ("row", "number", "started_at", "ended_at", "outcome", "deployment", "error")
_DELETE_OLDEST = (
    "DELETE FROM attempt WHERE row = ?1 AND number <= (SELECT number FROM attempt WHERE row = ?1 "
    "ORDER BY number DESC LIMIT 1 OFFSET ?2)"
)


class Attempts:
    """Implements core's AttemptTable."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._upserts = Upserts(database, "attempt", _COLUMNS)
        self._ended: list[AttemptEnd] = []
        self._deleted: list[Row] = []

    def append(self, end: AttemptEnd) -> None:
        self._ended.append(end)

    def delete(self, row: Row) -> None:
        self._deleted.append(row)

    def flush(self) -> None:
        if self._ended:
            self._database.begin()
            self._upserts.write([_encode(end) for end in self._ended])
            # Numbers start from 1 and only grow: below the limit there can be nothing to delete.
            long = {end.row for end in self._ended if end.number > ATTEMPTS_PER_INVOCATION_MAX}
            for row in long:
                self._database.execute(_DELETE_OLDEST, (row, ATTEMPTS_PER_INVOCATION_MAX))
        if self._deleted:
            self._database.begin()
            self._database.executemany("DELETE FROM attempt WHERE row = ?", [(row,) for row in self._deleted])

    def committed(self) -> None:
        if self._ended:
            self._ended.clear()
        if self._deleted:
            self._deleted.clear()


def _encode(end: AttemptEnd) -> tuple[Value, ...]:
    error = None if end.failure is None else _encode_error(end.failure)
    return end.row, end.number, end.started_at, end.ended_at, int(end.outcome), end.deployment, error


def _encode_error(failure: AttemptFailure) -> str:
    message = failure.message[:MESSAGE_CHARACTERS_MAX]
    return json.dumps([failure.code, message, failure.doc_code, failure.command_index])
