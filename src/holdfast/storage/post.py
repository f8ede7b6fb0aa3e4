"""Outboxes per destination and the numbers last taken per source."""

from __future__ import annotations

from typing import cast

from holdfast.core.messages import Message
from holdfast.storage.buffer import Buffer
from holdfast.storage.database import Database
from holdfast.storage.messages import decode_message, encode_message
from holdfast.storage.meta import Meta

_Slot = tuple[int, int]


class Post:
    """Implements core's PostTable, and feeds the post service."""

    def __init__(self, database: Database, meta: Meta) -> None:
        self._database = database
        self._meta = meta
        self._outbox: Buffer[_Slot, Message] = Buffer(
            database,
            "outbox",
            ("destination", "sequence", "message"),
            ("destination", "sequence"),
            lambda slot, message: (*slot, encode_message(message)),
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

    def received(self, source: int) -> int:
        return self._meta.get(f"received/{source}", 0)

    def set_received(self, source: int, sequence: int) -> None:
        self._meta.set(f"received/{source}", sequence)

    def waiting(self, destination: int, after: int, limit: int) -> list[tuple[int, Message]]:
        """Committed messages for a destination after a number, in order. Call between commits only."""
        return [
            (cast(int, sequence), decode_message(cast(bytes, message)))
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
