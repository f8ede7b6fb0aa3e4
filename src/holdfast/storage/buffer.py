"""The write buffer of one table: what core wrote since the last commit, by key.

A later write of the same key replaces the earlier one, so a row changed ten times in a batch is written
once. Flushing is idempotent (upserts and deletes by key) and clears nothing; only a successful commit does.
That is what makes a failed commit harmless: the same buffer is flushed again.

Rows go to SQLite several at a time: the cost of a statement is mostly per call, and every call gives up and
takes back the interpreter's lock.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Generic, Protocol, TypeVar

from holdfast.storage.database import Database, Value

_CHUNKS = (64, 32, 16, 8, 4, 2, 1)
_VARIABLES_MAX = 4_000
K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Flushable(Protocol):
    """Something whose writes are part of the commit."""

    def flush(self) -> None: ...
    def committed(self) -> None: ...


class Upserts:
    """`INSERT OR REPLACE` of rows, several per statement. Columns that are not named become NULL.

    Args:
        zeros: further columns, 0 in every row, which the rows do not mention.
    """

    def __init__(
        self, database: Database, table: str, columns: Sequence[str], zeros: Sequence[str] = ()
    ) -> None:
        self._database = database
        head = f"INSERT OR REPLACE INTO {table}({','.join((*columns, *zeros))}) VALUES "
        row = f"({','.join('?' * len(columns) + '0' * len(zeros))})"
        self._statements = [
            (size, head + ",".join([row] * size)) for size in _CHUNKS if size * len(columns) <= _VARIABLES_MAX
        ]

    def write(self, rows: Sequence[tuple[Value, ...]]) -> None:
        start, count = 0, len(rows)
        for size, statement in self._statements:
            while count - start >= size:
                if size == 1:
                    self._database.execute(statement, rows[start])
                else:
                    flat: list[Value] = []
                    for row in rows[start : start + size]:
                        flat += row
                    self._database.execute(statement, flat)
                start += size


class Buffer(Generic[K, V]):
    """Pending rows of one table by key; a None value is a pending delete."""

    __slots__ = ("_database", "_delete_sql", "_encode", "_key_values", "_upserts", "pending")

    def __init__(
        self,
        database: Database,
        table: str,
        columns: Sequence[str],
        key_columns: Sequence[str],
        encode: Callable[[K, V], tuple[Value, ...]],
        key_values: Callable[[K], tuple[Value, ...]],
    ) -> None:
        self.pending: dict[K, V | None] = {}
        self._database = database
        self._upserts = Upserts(database, table, columns)
        self._encode = encode
        self._key_values = key_values
        where = " AND ".join(f"{column} = ?" for column in key_columns)
        self._delete_sql = f"DELETE FROM {table} WHERE {where}"

    def flush(self) -> None:
        """Write what is pending into the open transaction (opening it), and keep it pending."""
        pending = self.pending
        if not pending:
            return
        self._database.begin()
        rows: list[tuple[Value, ...]] = []
        deleted: list[tuple[Value, ...]] = []
        for key, value in pending.items():
            if value is None:
                deleted.append(self._key_values(key))
            else:
                rows.append(self._encode(key, value))
        if rows:
            self._upserts.write(rows)
        if deleted:
            self._database.executemany(self._delete_sql, deleted)

    def committed(self) -> None:
        """The transaction with the flushed rows is durable."""
        if self.pending:
            self.pending.clear()
