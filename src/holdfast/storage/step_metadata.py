"""What services said about steps: a JSON object per step, beside the journal and gone with it.

Two readers, for two kinds of callers. `StepMetadata` is the partition's own, inside its loop, and implements
core's table. `step_metadata_of` is for everybody else: any connection to a partition's file, also one that
has it attached under a schema's name, between commits and at any time (a reader sees what was committed).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, cast

import msgspec

from holdfast.core.model import Row
from holdfast.storage.buffer import Buffer
from holdfast.storage.database import Database
from holdfast.storage.keys import JOURNAL_SPAN


class StepMetadata:
    """Implements core's StepMetadataTable."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._buffer: Buffer[int, tuple[int, bytes]] = Buffer(
            database,
            "step_metadata",
            ("key", "entry_index", "metadata"),
            ("key",),
            lambda key, value: (key, value[0], value[1].decode()),
            lambda key: (key,),
        )
        self._deleted: list[Row] = []

    def get(self, row: Row, completion_id: int) -> tuple[int, bytes] | None:
        key = row * JOURNAL_SPAN + completion_id
        pending = self._buffer.pending.get(key)
        if pending is not None:
            return pending
        found = self._database.first("SELECT entry_index, metadata FROM step_metadata WHERE key = ?", (key,))
        return None if found is None else (cast(int, found[0]), cast(str, found[1]).encode())

    def put(self, row: Row, completion_id: int, index: int, metadata: bytes) -> None:
        self._buffer.pending[row * JOURNAL_SPAN + completion_id] = index, metadata

    def delete(self, row: Row) -> None:
        self._deleted.append(row)

    def flush(self) -> None:
        self._buffer.flush()
        if self._deleted:
            self._database.begin()
            self._database.executemany(
                "DELETE FROM step_metadata WHERE key >= ? AND key < ?",
                [(row * JOURNAL_SPAN, (row + 1) * JOURNAL_SPAN) for row in self._deleted],
            )

    def committed(self) -> None:
        self._buffer.committed()
        self._deleted.clear()


# ---------------------------------------------------------------- for views


class Readable(Protocol):
    """A connection to a partition's file: `Database.rows`, or a function of that shape."""

    def __call__(self, sql: str, values: tuple[int, ...], /) -> Iterable[Any]: ...


@dataclass(frozen=True, slots=True)
class Described:
    """A step's metadata. `index` is its run command's place in the journal."""

    index: int
    completion_id: int
    metadata: Mapping[str, Any]


def step_metadata_of(rows: Readable, row: int, schema: str = "main") -> dict[int, Described]:
    """An invocation's step metadata by the journal index of the step's run command; empty without any.

    This is what a timeline is made with: `metadata` of the entry with that index. The sum over all of them is
    `holdfast.protocol.step_metadata.usage_of(one.metadata for one in found.values())`. An invocation of which
    `Invocation.has_step_metadata` is false (in SQL: not `flags & 2`) has none and need not be asked about.

    Args:
        rows: runs a SELECT and gives its rows: `database.rows` of a partition's `Database`, or
            `lambda sql, values: connection.execute(sql, values)` of an apsw connection.
        row: the invocation's row number (`holdfast.storage.keys.row_in_id`, or its alias).
        schema: the name the partition's file is attached under (`p0`), "main" for its own connection.
    """
    found: dict[int, Described] = {}
    first = row * JOURNAL_SPAN
    for key, index, metadata in rows(
        f"SELECT key, entry_index, metadata FROM {schema}.step_metadata "
        "WHERE key >= ? AND key < ? ORDER BY key",
        (first, first + JOURNAL_SPAN),
    ):
        found[index] = Described(index, key - first, msgspec.json.decode(metadata))
    return found
