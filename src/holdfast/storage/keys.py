"""How numbers are packed into keys and ids."""

from __future__ import annotations

from holdfast.core.model import JOURNAL_ENTRIES_MAX, InvocationId, Row

JOURNAL_SPAN = JOURNAL_ENTRIES_MAX
"""Journal keys of one row: `row * JOURNAL_SPAN` up to, not including, `(row + 1) * JOURNAL_SPAN`."""

ROW_BYTES = 6
RANDOM_BYTES = 10
"""Ids authorise (an awakeable's id contains one), so beside the row number they hold 80 random bits."""


def row_in_id(id_: InvocationId) -> Row:
    """The row number a minted id holds; for derived and foreign ids some number that means nothing."""
    return Row(int.from_bytes(id_[8:14], "big"))


def id_with_row(partition_key: int, row: Row, random: bytes) -> InvocationId:
    """A minted id: partition key (u64), row number, random bytes."""
    return InvocationId(partition_key.to_bytes(8, "big") + row.to_bytes(ROW_BYTES, "big") + random)
