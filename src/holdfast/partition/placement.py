"""Where an invocation lives: the derivation of ids from what they name (protocol, "Identifiers").

The first eight bytes of an id are its partition key. A keyed target's is the hash of its key, so everything
about one object or workflow is in one partition; an idempotent call of a plain service goes by its
idempotency key; everything else may live anywhere and is minted by a partition for itself.
"""

from __future__ import annotations

import os

from holdfast.core.model import InvocationId, Row
from holdfast.protocol import ids
from holdfast.storage.keys import RANDOM_BYTES, ROW_BYTES, id_with_row

KEY_BYTES = 8
IDS_PER_KEY = 64
"""Ids without a key of their own share a random one this many times: only whose it is matters, and a text
whose first half was just written is written in half the time."""
_RANDOM_POOL_BYTES = 4096


def workflow_id(service: str, key: str) -> InvocationId:
    """The id of a workflow key's one run."""
    return _derived(key, ids.workflow_unique(service, key))


def idempotent_id(service: str, key: str | None, handler: str, idempotency_key: str) -> InvocationId:
    """The id of everything called with this idempotency key."""
    unique = ids.idempotent_unique(service, key, handler, idempotency_key)
    return _derived(idempotency_key if key is None else key, unique)


def some_id_of_key(key: str) -> InvocationId:
    """An id in the partition that owns a key; no invocation has it."""
    return _derived(key, bytes(16))


def _derived(key: str, unique: bytes) -> InvocationId:
    return InvocationId(ids.make_invocation_id(ids.keyed_partition_key(key), unique))


class Minter:
    """Fresh ids and rows of one partition."""

    def __init__(self, partition: int, partitions: int, first_row: int) -> None:
        self._next_row = first_row
        # The range of partition keys that this partition owns, see PartitionTables.partition_of.
        self._first_key = -(-(partition << 64) // partitions)
        self._keys = (1 << 64) // partitions - 1
        self._pool = b""
        self._at = 0
        self._key = b""
        self._key_left = 0

    def row(self) -> Row:
        row = self._next_row
        self._next_row = row + 1
        return Row(row)

    def anywhere(self) -> tuple[InvocationId, Row]:
        """A random id in this partition."""
        row = Row(self._next_row)
        self._next_row = row + 1
        if not self._key_left:
            key = self._first_key + int.from_bytes(self._random(KEY_BYTES), "big") % self._keys
            self._key = key.to_bytes(KEY_BYTES, "big")
            self._key_left = IDS_PER_KEY
        self._key_left -= 1
        id_ = self._key + row.to_bytes(ROW_BYTES, "big") + self._random(RANDOM_BYTES)
        return InvocationId(id_), row

    def for_key(self, key: str) -> tuple[InvocationId, Row]:
        """A random id at a key that this partition owns."""
        row = self.row()
        return id_with_row(ids.keyed_partition_key(key), row, self._random(RANDOM_BYTES)), row

    def like(self, id_: InvocationId) -> tuple[InvocationId, Row]:
        """A random id with the partition key of another."""
        row = self.row()
        return id_with_row(ids.partition_key_of(id_), row, self._random(RANDOM_BYTES)), row

    def foreign(self, partition_key: int) -> InvocationId:
        """A random id for another partition, which gives it a row of its own: the row in it is 0."""
        return id_with_row(partition_key, Row(0), self._random(RANDOM_BYTES))

    def _random(self, count: int) -> bytes:
        at = self._at
        if at + count > len(self._pool):
            self._pool = os.urandom(_RANDOM_POOL_BYTES)
            at = 0
        self._at = at + count
        return self._pool[at : at + count]
