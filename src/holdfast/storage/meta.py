"""Named counters of a partition: the row limit, sequence numbers per pair of partitions."""

from __future__ import annotations

from typing import cast

from holdfast.storage.buffer import Buffer
from holdfast.storage.database import Database


class Meta(Buffer[str, int]):
    """Integers by name."""

    __slots__ = ("_known",)

    def __init__(self, database: Database) -> None:
        super().__init__(
            database,
            "meta",
            ("name", "value"),
            ("name",),
            lambda name, value: (name, value),
            lambda name: (name,),
        )
        self._known: dict[str, int] = {
            cast(str, name): cast(int, value) for name, value in database.rows("SELECT name, value FROM meta")
        }

    def get(self, name: str, default: int) -> int:
        return self._known.get(name, default)

    def set(self, name: str, value: int) -> None:
        self._known[name] = value
        self.pending[name] = value
