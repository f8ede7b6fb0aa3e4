"""All tables of one partition over one file, and its commit."""

from __future__ import annotations

from pathlib import Path

from holdfast.core.model import InvocationId
from holdfast.storage.attempts import Attempts
from holdfast.storage.blobs import Blobs
from holdfast.storage.buffer import Flushable
from holdfast.storage.database import Database
from holdfast.storage.invocations import Invocations
from holdfast.storage.journal import Journal
from holdfast.storage.meta import Meta
from holdfast.storage.objects import Objects
from holdfast.storage.post import Post
from holdfast.storage.promises import Promises
from holdfast.storage.schema import MIGRATIONS
from holdfast.storage.state import State
from holdfast.storage.step_metadata import StepMetadata
from holdfast.storage.timers import Timers
from holdfast.storage.waiters import Waiters


class PartitionTables:
    """Implements core's Tables. `flush`, `Database.commit` and `committed`, in this order, are the commit."""

    def __init__(self, path: Path | None, partition: int = 0, partitions: int = 1) -> None:
        """Open the file of a partition (None: in memory)."""
        self.partition = partition
        self.partitions = partitions
        self.database = Database(path, MIGRATIONS)
        self._meta = Meta(self.database)
        self._blobs = Blobs(self.database)
        self.invocations = Invocations(self.database, self._meta, self._blobs)
        self.journal = Journal(self.database, self._blobs)
        self.step_metadata = StepMetadata(self.database)
        self.attempts = Attempts(self.database)
        self.state = State(self.database, self._blobs)
        self.objects = Objects(self.database)
        self.promises = Promises(self.database, self._blobs)
        self.waiters = Waiters(self.database)
        self.timers = Timers(self.database)
        self.post = Post(self.database, self._meta, self._blobs)
        self._all: tuple[Flushable, ...] = (
            self.invocations,
            self.journal,
            self.step_metadata,
            self.attempts,
            self.state,
            self.objects,
            self.promises,
            self.waiters,
            self.timers,
            self.post,
            self._meta,
            self._blobs,
        )

    def partition_of(self, id_: InvocationId) -> int:
        """Partitions own equal ranges of the id's first eight bytes."""
        if self.partitions == 1:
            return 0
        return int.from_bytes(id_[:8], "big") * self.partitions >> 64

    def flush(self) -> None:
        """Write everything pending into the open transaction; it stays pending until `committed`."""
        for table in self._all:
            table.flush()

    def committed(self) -> None:
        """The transaction is durable: forget what was pending."""
        for table in self._all:
            table.committed()

    def commit(self) -> None:
        """The three steps at once, for tests and tools."""
        self.flush()
        if self.database.has_written:
            self.database.commit()
        self.committed()

    def close(self) -> None:
        self.database.close()
