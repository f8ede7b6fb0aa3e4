"""One SQLite file: opening, migrating, committing, copying.

Durability is WAL with synchronous=FULL: `COMMIT` returns after the log is on disk. Statements run on the
event loop's thread (they only touch the page cache); `COMMIT`, which waits for the disk, may run in another
thread, and nobody uses the connection meanwhile. apsw releases the interpreter's lock around each step, so
the loop serves sockets while the disk works.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import apsw

Value = None | int | float | bytes | str
BUSY_TIMEOUT_MS = 2_000
WAL_CHECKPOINT_PAGES = 4_000
CACHE_KIB = 16 * 1024
# Without SQLite's own mutex around every call: the users of a connection are kept apart here anyway.
_FLAGS = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE | apsw.SQLITE_OPEN_NOMUTEX


class StorageError(Exception):
    """The disk or the file let us down. `code` is a stable word of docs/errors.md."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Database:
    """A connection for one writer. Not thread-safe: the caller keeps uses apart."""

    def __init__(self, path: Path | None, migrations: Sequence[str]) -> None:
        """Open or create; `path` None is a database in memory, for tests.

        Raises:
            StorageError: HF0010 not a database or damaged, HF0011 written by a newer version,
                HF0012 cannot be opened.
        """
        self.path = path
        self._wal_pages = 0
        name = ":memory:" if path is None else os.fspath(path)
        try:
            self._connection = apsw.Connection(name, flags=_FLAGS, statementcachesize=512)
            self._connection.set_busy_timeout(BUSY_TIMEOUT_MS)
            self._execute_all(
                "PRAGMA journal_mode=WAL",
                "PRAGMA synchronous=FULL",
                f"PRAGMA cache_size=-{CACHE_KIB}",
                "PRAGMA temp_store=MEMORY",
                "PRAGMA foreign_keys=OFF",
            )
            self._connection.set_wal_hook(self._note_wal_pages)
            self._migrate(migrations)
        except (apsw.NotADBError, apsw.CorruptError) as error:
            raise StorageError(
                "HF0010", f"{name} is damaged or not a Holdfast file ({error}); restore it from a backup"
            ) from error
        except apsw.CantOpenError as error:
            raise StorageError("HF0012", f"cannot open {name}: {error}") from error
        except apsw.Error as error:
            raise StorageError("HF0012", f"cannot use {name}: {error}") from error

    def _execute_all(self, *statements: str) -> None:
        for statement in statements:
            for _ in self._connection.execute(statement):
                pass

    def _migrate(self, migrations: Sequence[str]) -> None:
        version = self._connection.pragma("user_version")
        assert isinstance(version, int)  # noqa: S101  the pragma is an integer by definition
        if version > len(migrations):
            raise StorageError(
                "HF0011",
                f"{self.path} has schema version {version}, this program knows up to {len(migrations)}: "
                "it was written by a newer version; upgrade, or restore a backup made before",
            )
        for number, sql in enumerate(migrations[version:], version + 1):
            with self._connection:
                self._connection.execute(sql)
                self._connection.pragma("user_version", number)

    # ------------------------------------------------------------ statements

    def execute(self, sql: str, values: Sequence[Value | memoryview] = ()) -> None:
        """Run a statement without result, inside the open transaction if there is one."""
        self._connection.execute(sql, values)

    def rows(self, sql: str, values: Sequence[Value] = ()) -> list[Any]:
        """All rows, each a tuple of the types the schema gives its columns."""
        return self._connection.execute(sql, values).fetchall()

    def executemany(self, sql: str, rows: Iterable[Sequence[Value]]) -> None:
        self._connection.executemany(sql, rows)

    def first(self, sql: str, values: Sequence[Value] = ()) -> tuple[Value, ...] | None:
        """The first row, None without one."""
        return self._connection.execute(sql, values).fetchone()

    @property
    def in_transaction(self) -> bool:
        return self._connection.in_transaction

    @property
    def has_written(self) -> bool:
        """Whether the open transaction has anything to commit."""
        return self._connection.txn_state() == apsw.SQLITE_TXN_WRITE

    def hold(self) -> None:
        """Open a transaction for what is about to be read, unless one is open, and perhaps written: on its
        own each read would take and give back the file's locks. Touches nothing by itself."""
        if not self._connection.in_transaction:
            self._connection.execute("BEGIN")

    def release(self) -> None:
        """End a transaction that has only read, if one is open."""
        if self._connection.in_transaction:
            self._connection.execute("COMMIT")

    def begin(self) -> None:
        """Open the transaction unless it is open."""
        if not self._connection.in_transaction:
            self._connection.execute("BEGIN IMMEDIATE")

    @property
    def checkpoint_due(self) -> bool:
        """Whether the next `commit` folds the log into the file, which takes much longer than the rest."""
        return self._wal_pages >= WAL_CHECKPOINT_PAGES

    def commit(self) -> None:
        """Make the open transaction durable. Raises StorageError; the transaction is rolled back then.

        May be called from another thread, as long as nobody else uses the connection.
        """
        fold = self.checkpoint_due
        try:
            self._connection.execute("COMMIT")
        except apsw.Error as error:
            self.rollback()
            raise storage_error(error) from error
        if fold:
            # What is committed is durable whatever becomes of this; the next commit tries again.
            with suppress(apsw.Error):
                pages, folded = self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
                if folded == pages:  # else a reader still needs some
                    self._wal_pages = 0

    def _note_wal_pages(self, _: apsw.Connection, __: str, pages: int) -> int:
        self._wal_pages = pages
        return apsw.SQLITE_OK

    def rollback(self) -> None:
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")

    # ------------------------------------------------------------ whole file

    def checkpoint(self) -> None:
        """Fold the write-ahead log into the file."""
        self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)

    def close(self) -> None:
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def storage_error(error: apsw.Error) -> StorageError:
    """What happened to the disk, in our words."""
    if isinstance(error, apsw.FullError):
        return StorageError("HF0013", "the disk is full: free space, and work goes on by itself")
    if isinstance(error, apsw.CorruptError | apsw.NotADBError):
        return StorageError("HF0010", f"the database file is damaged ({error}); restore it from a backup")
    if isinstance(error, apsw.IOError):
        return StorageError("HF0014", f"the disk failed ({error}); writing is tried again")
    return StorageError("HF0015", f"the database refused a write: {error}")
