"""A read-only connection over all partitions' files.

The connection's own database is in memory and small: the attempts, deployments and services of the moment.
The files are attached read-only as `p0`, `p1` ...; several readers and the writer do not wait for each other
(SQLite's WAL).

Two fences keep a query to reading: the files are opened read-only, and an authorizer refuses every action but
reading and calling functions once the connection is set up. A deadline, checked every few thousand steps of
SQLite's machine, ends what takes too long; row, byte and value sizes are bounded too.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import apsw

from holdfast.core.model import InvocationId
from holdfast.protocol.errors import InvalidId
from holdfast.protocol.ids import decode_invocation_id
from holdfast.query.errors import QueryError
from holdfast.query.functions import register
from holdfast.query.tables import TABLES
from holdfast.query.types import SqlValue
from holdfast.storage.keys import row_in_id

BUSY_TIMEOUT_MS = 2_000
CACHE_KIB = 8 * 1024
VALUE_BYTES_MAX = 64 * 1024 * 1024
LIKE_PATTERN_BYTES_MAX = 1_000
VALUE_OVERHEAD_BYTES = 16
STEPS_PER_CHECK = 5_000

_SETUP = """
CREATE TABLE live (id BLOB PRIMARY KEY, in_flight INTEGER, retry_count INTEGER, last_start_at INTEGER,
    next_retry_at INTEGER, deployment TEXT, server TEXT, awaiting TEXT) WITHOUT ROWID;
CREATE TABLE deployment (id TEXT, ty TEXT, endpoint TEXT, created_at INTEGER, min_version INTEGER,
    max_version INTEGER, services TEXT);
CREATE TABLE service (name TEXT, revision INTEGER, public INTEGER, ty TEXT, deployment TEXT);
CREATE TABLE columns (table_name TEXT, column_name TEXT, position INTEGER, type TEXT);
PRAGMA case_sensitive_like = ON;
"""
_ALLOWED = frozenset(
    {
        apsw.SQLITE_SELECT,
        apsw.SQLITE_READ,
        apsw.SQLITE_FUNCTION,
        apsw.SQLITE_RECURSIVE,
    }
)

Memory = Mapping[str, Sequence[tuple[SqlValue, ...]]]
"""Rows to put into the connection's own tables for one query, by table."""


class Connection:
    """Used by one thread at a time. `files` are the partitions' files, by number."""

    def __init__(self, files: Sequence[Path], *, own_statements: bool = False) -> None:
        """Open.

        Args:
            own_statements: for the server's own, which `reading` runs: without the authorizer, whose coming
                and going makes SQLite prepare every statement anew.
        Raises:
            QueryError: 500 a file cannot be opened.
        """
        self._partitions = len(files)
        self._authorizer = None if own_statements else _authorize
        self._deadline = 0.0
        flags = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE | apsw.SQLITE_OPEN_URI
        connection = self._connection = apsw.Connection(":memory:", flags=flags)
        connection.set_busy_timeout(BUSY_TIMEOUT_MS)
        # Double quotes are names and nothing else: a misspelt column must not turn into a text.
        connection.config(apsw.SQLITE_DBCONFIG_DQS_DML, 0)
        self._answered = register(connection)
        connection.execute(_SETUP)
        connection.executemany("INSERT INTO columns VALUES (?, ?, ?, ?)", _column_rows())
        try:
            for number, file in enumerate(files):
                uri = f"{file.absolute().as_uri()}?mode=ro"
                connection.execute(f"ATTACH ? AS p{number}", (uri,))
                connection.execute(f"PRAGMA p{number}.cache_size = -{CACHE_KIB}")
        except apsw.Error as error:
            self.close()
            raise QueryError(500, f"cannot read the partitions: {error}") from error
        connection.limit(apsw.SQLITE_LIMIT_LENGTH, VALUE_BYTES_MAX)
        connection.limit(apsw.SQLITE_LIMIT_LIKE_PATTERN_LENGTH, LIKE_PATTERN_BYTES_MAX)
        connection.limit(apsw.SQLITE_LIMIT_ATTACHED, self._partitions)
        connection.set_progress_handler(self._is_late, STEPS_PER_CHECK)
        connection.authorizer = self._authorizer

    @property
    def partitions(self) -> int:
        """How many files are attached."""
        return self._partitions

    def close(self) -> None:
        self._connection.close()

    def rows_of(self, ids: Iterable[str]) -> dict[int, list[int]]:
        """Rows the ids may have, by partition: a minted id holds its row, a derived one has an alias. Whoever
        uses them still compares the id."""
        found: dict[int, list[int]] = {}
        for text in ids:
            try:
                raw = decode_invocation_id(text)
            except InvalidId:
                continue
            partition = int.from_bytes(raw[:8], "big") * self._partitions >> 64
            sql = f"SELECT row FROM p{partition}.invocation_alias WHERE id = ?"
            rows = [int(str(row)) for (row,) in self._connection.execute(sql, (raw,))]
            found.setdefault(partition, []).extend(rows or [row_in_id(InvocationId(raw))])
        return found

    def load(self, memory: Memory) -> None:
        """Replace the rows of the connection's own tables."""
        connection = self._connection
        if self._authorizer is not None:
            connection.authorizer = None
        try:
            for table, rows in memory.items():
                connection.execute(f"DELETE FROM {table}")
                if rows:
                    marks = ", ".join("?" * len(rows[0]))
                    connection.executemany(f"INSERT OR REPLACE INTO {table} VALUES ({marks})", rows)
        finally:
            if self._authorizer is not None:
                connection.authorizer = self._authorizer

    @contextmanager
    def reading(self, memory: Memory, *, seconds_max: float) -> Generator[None]:
        """One snapshot of all files for the `select`s inside; only of a connection for own statements.

        Raises:
            QueryError: 500 it took longer than `seconds_max`, or a file cannot be read.
        """
        connection = self._connection
        self._deadline = time.monotonic() + seconds_max
        self._answered.forget()
        try:
            connection.execute("BEGIN")
            self.load(memory)
            yield
        except apsw.InterruptError:
            raise QueryError(500, f"reading took longer than {seconds_max:g} s and was stopped") from None
        except apsw.Error as error:
            raise QueryError(500, f"cannot read the partitions: {error}") from error
        finally:
            self._deadline = 0.0
            if connection.in_transaction:
                connection.execute("COMMIT")

    def select(self, sql: str, values: Sequence[SqlValue] = ()) -> Iterator[tuple[Any, ...]]:
        """The rows, one by one, of the types that the schema gives their columns. Inside `reading`."""
        return self._connection.execute(sql, values)

    def run(
        self, sql: str, *, seconds_max: float, rows_max: int, bytes_max: int
    ) -> list[tuple[SqlValue, ...]]:
        """The rows.

        Raises:
            QueryError: 500 what SQLite says is wrong with it, or a bound was passed.
        """
        self._deadline = time.monotonic() + seconds_max
        self._answered.forget()
        rows: list[tuple[SqlValue, ...]] = []
        size = 0
        cursor = self._connection.cursor()
        try:
            for row in cursor.execute(sql):
                rows.append(row)
                size += VALUE_OVERHEAD_BYTES * len(row)
                size += sum([len(value) for value in row if isinstance(value, str | bytes)])
                if len(rows) > rows_max or size > bytes_max:
                    raise QueryError(
                        500,
                        f"the answer is longer than {rows_max} rows or {bytes_max} bytes; add LIMIT",
                    )
        except apsw.InterruptError:
            raise QueryError(
                500, f"the query took longer than {seconds_max:g} s and was stopped; add conditions or LIMIT"
            ) from None
        except (apsw.Error, ValueError, TypeError, ArithmeticError) as error:
            # The latter three come out of functions called with what they do not take.
            # SQLite's advice about quotes is for its own dialect.
            reason = str(error).partition(" - should this be")[0]
            raise QueryError(500, f"SQL error: {reason}") from error
        finally:
            self._deadline = 0.0
            # A cursor left open by an error would keep its snapshot, and the file's log could not be
            # recycled.
            cursor.close(True)
        return rows

    def explain(self, sql: str) -> list[str]:
        """The plan's steps, as SQLite words them; for tests of what is not scanned."""
        self._connection.authorizer = None
        try:
            return [str(row[3]) for row in self._connection.execute(f"EXPLAIN QUERY PLAN {sql}")]
        finally:
            self._connection.authorizer = self._authorizer

    def _is_late(self) -> bool:
        return 0.0 < self._deadline < time.monotonic()


def _authorize(action: int, *_: str | None) -> int:
    return apsw.SQLITE_OK if action in _ALLOWED else apsw.SQLITE_DENY


def _column_rows() -> list[tuple[str, str, int, str]]:
    return [
        (table, name, position, column.type.value)
        for table, definition in TABLES.items()
        for position, (name, column) in enumerate(definition.columns.items(), 1)
    ]
