"""Outboxes per destination and the numbers last taken per source."""

from __future__ import annotations

from typing import cast

from holdfast.core.messages import Message
from holdfast.storage.blobs import Blobs, Holder
from holdfast.storage.buffer import Buffer
from holdfast.storage.database import Database, Value
from holdfast.storage.messages import content_in, decode_message, encode_message
from holdfast.storage.meta import Meta

_Slot = tuple[int, int]
SEQUENCES = 1 << 47
"""Names of one destination's messages among holders of blobs."""


class Post:
    """Implements core's PostTable, and feeds the post service."""

    def __init__(self, database: Database, meta: Meta, blobs: Blobs) -> None:
        self._database = database
        self._blobs = blobs
        self._meta = meta
        self._outbox: Buffer[_Slot, Message] = Buffer(
            database,
            "outbox",
            ("destination", "sequence", "message"),
            ("destination", "sequence"),
            self._encode,
            lambda slot: slot,
        )
        self._dropped: dict[int, int] = {}

    def push(self, destination: int, message: Message) -> None:
        name = f"sent/{destination}"
        sequence = self._meta.get(name, 0) + 1
        self._meta.set(name, sequence)
        self._outbox.pending[destination, sequence] = message

    def drop(self, destination: int, upto: int) -> None:
        self._dropped[destination] = upto
        if self._blobs.any_of(Holder.OUTBOX):
            first = destination * SEQUENCES
            self._blobs.drop_range(Holder.OUTBOX, first, first + upto + 1)

    def received(self, source: int) -> int:
        return self._meta.get(f"received/{source}", 0)

    def set_received(self, source: int, sequence: int) -> None:
        self._meta.set(f"received/{source}", sequence)

    def waiting(self, destination: int, after: int, limit: int) -> list[tuple[int, Message]]:
        """Committed messages for a destination after a number, in order. Call between commits only."""
        return [
            (cast(int, sequence), decode_message(self._blobs.value(message)))
            for sequence, message in self._database.rows(
                "SELECT sequence, message FROM outbox WHERE destination = ? AND sequence > ? "
                "ORDER BY sequence LIMIT ?",
                (destination, after, limit),
            )
        ]

    def destinations(self) -> list[int]:
        """Those with committed messages waiting."""
        return [
            cast(int, destination)
            for (destination,) in self._database.rows("SELECT DISTINCT destination FROM outbox")
        ]

    def _encode(self, slot: _Slot, message: Message) -> tuple[Value, ...]:
        encoded = encode_message(message)
        if len(encoded) <= self._blobs.inline_bytes_max:
            return (*slot, encoded)
        destination, sequence = slot
        name = destination * SEQUENCES + sequence
        return (*slot, self._blobs.put(Holder.OUTBOX, name, encoded, content_in(message, encoded)))

    def flush(self) -> None:
        self._outbox.flush()
        if self._dropped:
            self._database.begin()
            self._database.executemany(
                "DELETE FROM outbox WHERE destination = ? AND sequence <= ?", list(self._dropped.items())
            )

    def committed(self) -> None:
        self._outbox.committed()
        self._dropped.clear()
