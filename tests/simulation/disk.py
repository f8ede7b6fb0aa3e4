"""A disk that keeps what was committed, and nothing else, through a crash.

Each partition's file is a SQLite database in memory that outlives the server process: after a crash the open
transaction is rolled back and the next process opens the same image. A COMMIT can fail, take long, or reach
the disk without anybody hearing of it before the crash.

Everything the server was told since the last commit is kept beside (`batch`): it becomes part of the record
log when the commit succeeds, and is what "nothing leaves before its commit" is judged by.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache
from random import Random
from typing import Any

import apsw

from holdfast.core.records import Record
from holdfast.partition.committer import Done, Job
from holdfast.storage.database import Database, StorageError, Value
from holdfast.storage.schema import MIGRATIONS
from tests.simulation.virtual import ProcessLoop

_FLAGS = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE | apsw.SQLITE_OPEN_NOMUTEX


class Reopened:
    """In the log: here a process ended and another opened the file."""


Batch = list[Record]
LogEntry = Batch | Reopened
REOPENED = Reopened()


@cache
def _empty_image() -> bytes:
    """A database with the schema and nothing in it; migrating each anew would take most of a run's time."""
    database = Database(None, MIGRATIONS)
    image = database._connection.serialize("main")
    database.close()
    return image


class Disk:
    """One partition's file and how well the disk works at the moment."""

    def __init__(self, index: int, chance: Random) -> None:
        self.index = index
        self.connection = apsw.Connection(":memory:", flags=_FLAGS, statementcachesize=512)
        self.connection.deserialize("main", _empty_image())
        self.connection.execute("PRAGMA temp_store=MEMORY")
        self.log: list[LogEntry] = []
        self.batch: Batch = []
        self.notes: list[Callable[[], None]] = []
        """What is to be noted of the batch once it is durable."""
        self.commits = 0
        self.fails = 0.0
        """Chance of a commit to fail."""
        self.full = False
        self.breaks = 0.0
        """Chance of a read, or of a write before the commit, to fail."""
        self.broke = False
        """Something of that kind has happened to the running process."""
        self.slow = 0.0
        """Chance of a commit to take a while."""
        self.chance = chance
        self._unheard: Callable[[], None] | None = None

    def durable(self) -> None:
        """The batch is committed."""
        self.commits += 1
        if self.batch:
            self.log.append(self.batch)
            self.batch = []
        notes, self.notes = self.notes, []
        for note in notes:
            note()

    def crash(self, flush: Callable[[], None]) -> None:
        """The process is gone. What was on its way to the disk may have arrived.

        Args:
            flush: writes what a failed commit left in the process's buffers.
        """
        connection = self.connection
        self.breaks, breaks = 0.0, self.breaks
        if self._unheard is not None and self.chance.random() < 0.5:
            if not connection.in_transaction:
                flush()
            if connection.in_transaction:
                connection.execute("COMMIT")
                self.durable()
        self._unheard = None
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        self.batch = []
        self.notes = []
        self.breaks = breaks
        self.log.append(REOPENED)

    def close(self) -> None:
        self.connection.close()


class SimulatedDatabase(Database):
    """A connection to a `Disk`."""

    def __init__(self, disk: Disk) -> None:
        self.path = None
        self._disk = disk
        self._wal_pages = 0
        self._connection = disk.connection

    def execute(self, sql: str, values: Sequence[Value] = ()) -> None:
        self._trip()
        super().execute(sql, values)

    def rows(self, sql: str, values: Sequence[Value] = ()) -> list[Any]:
        self._trip()
        return super().rows(sql, values)

    def first(self, sql: str, values: Sequence[Value] = ()) -> tuple[Value, ...] | None:
        self._trip()
        return super().first(sql, values)

    def _trip(self) -> None:
        disk = self._disk
        if disk.breaks and disk.chance.random() < disk.breaks:
            disk.broke = True
            raise disk.chance.choice((apsw.IOError, apsw.FullError, apsw.CorruptError))("simulated")

    def release(self) -> None:
        super().release()
        self._disk.durable()  # nothing was written, so there is nothing to lose

    def close(self) -> None:
        self.rollback()


class Committer:
    """Stands in for the partition loop's committer, in its two manners: on the loop, and later."""

    def __init__(self, loop: ProcessLoop, disk: Disk, chance: Random) -> None:
        self._loop = loop
        self._disk = disk
        self._chance = chance

    def submit(self, job: Job, done: Done) -> None:
        disk = self._disk
        disk._unheard = lambda: None
        if disk.slow and self._chance.random() < disk.slow:
            delay_s = self._chance.choice((0.0, 0.001, 0.02, 0.5, 3.0))
            self._loop.call_later(delay_s, self._finish, job, done)
        else:
            self._finish(job, done)

    def _finish(self, job: Job, done: Done) -> None:
        disk = self._disk
        if disk.full or (disk.fails and self._chance.random() < disk.fails):
            with suppress(apsw.Error):
                disk.connection.execute("ROLLBACK")
            code = "HF0013" if disk.full else "HF0014"
            done(StorageError(code, "the simulated disk does not want to"))
            return
        try:
            job()
        except StorageError as error:
            done(error)
            return
        disk._unheard = None
        disk.durable()
        done(None)

    def close(self) -> None:
        pass
