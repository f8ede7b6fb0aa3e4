"""Locks and inboxes of virtual objects."""

from __future__ import annotations

from typing import cast

import msgspec

from holdfast.core.model import Row
from holdfast.core.tables import Mutation
from holdfast.storage.buffer import Buffer
from holdfast.storage.database import Database, Value

_Slot = tuple[str, int]


class Objects:
    """Implements core's ObjectTable."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._locks: Buffer[str, Row] = Buffer(
            database,
            "object_lock",
            ("object", "row"),
            ("object",),
            lambda object_, row: (object_, row),
            lambda object_: (object_,),
        )
        self._inbox: Buffer[_Slot, Row | Mutation] = Buffer(
            database,
            "inbox",
            ("object", "sequence", "row", "mutation"),
            ("object", "sequence"),
            _encode_slot,
            lambda slot: slot,
        )
        found = database.first("SELECT max(sequence) FROM inbox")
        self._sequence = 0 if found is None or found[0] is None else cast(int, found[0])

    def holder(self, object_: str) -> Row | None:
        pending = self._locks.pending
        if object_ in pending:
            return pending[object_]
        found = self._database.first("SELECT row FROM object_lock WHERE object = ?", (object_,))
        return None if found is None else Row(cast(int, found[0]))

    def lock(self, object_: str, row: Row) -> None:
        self._locks.pending[object_] = row

    def unlock(self, object_: str) -> None:
        self._locks.pending[object_] = None

    def enqueue(self, object_: str, waiting: Row | Mutation) -> int:
        self._sequence += 1
        self._inbox.pending[object_, self._sequence] = waiting
        return self._sequence

    def dequeue(self, object_: str) -> Row | Mutation | None:
        # An upsert of an earlier dequeue in this batch must not come back, so the buffer is flushed first.
        self._inbox.flush()
        found = self._database.first(
            "SELECT sequence, row, mutation FROM inbox WHERE object = ? ORDER BY sequence LIMIT 1", (object_,)
        )
        if found is None:
            return None
        sequence, row, mutation = found
        self._inbox.pending[object_, cast(int, sequence)] = None
        if row is not None:
            return Row(cast(int, row))
        state, version = msgspec.msgpack.decode(cast(bytes, mutation))
        return Mutation(tuple((key, value) for key, value in state), version)

    def remove(self, object_: str, sequence: int) -> None:
        self._inbox.pending[object_, sequence] = None

    def flush(self) -> None:
        self._locks.flush()
        self._inbox.flush()

    def committed(self) -> None:
        self._locks.committed()
        self._inbox.committed()


def _encode_slot(slot: _Slot, waiting: Row | Mutation) -> tuple[Value, ...]:
    if isinstance(waiting, Mutation):
        return (*slot, None, msgspec.msgpack.encode((waiting.state, waiting.version)))
    return (*slot, waiting, None)
