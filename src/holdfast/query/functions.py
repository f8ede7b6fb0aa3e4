"""SQL functions that SQLite lacks: ids, journal entries, instants, and `first_value` as an aggregate.

All but one are pure, and named `hf_…`; the planner writes them into queries. They run with the interpreter's
lock held, so tables use them only where SQL has no words.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import apsw
import msgspec

from holdfast.core.model import InvocationId
from holdfast.protocol.ids import encode_invocation_id, keyed_partition_key
from holdfast.query import entry_json as entries
from holdfast.query.types import UNSIGNED_SHIFT, Json, SqlValue, format_timestamp, parse_timestamp
from holdfast.storage.keys import JOURNAL_SPAN, row_in_id

_UNITS_MS = {
    "millisecond": 1,
    "second": 1000,
    "minute": 60_000,
    "hour": 3_600_000,
    "day": 86_400_000,
    "week": 604_800_000,
}
_WEEK_OFFSET_MS = 3 * _UNITS_MS["day"]
"""The epoch was a Thursday; weeks begin on Monday."""


def _id(raw: bytes | None) -> str | None:
    return None if raw is None else encode_invocation_id(raw)


def _partition(raw: bytes) -> int:
    return int.from_bytes(raw[:8], "big") - UNSIGNED_SHIFT


def _row(raw: bytes) -> int:
    return row_in_id(InvocationId(raw))


def _key_partition(key: str) -> int:
    return keyed_partition_key(key) - UNSIGNED_SHIFT


def _utf8(value: bytes | None) -> str | None:
    try:
        return None if value is None else value.decode()
    except UnicodeDecodeError:
        return None


def _text(value: bytes) -> str:
    return value.decode(errors="replace")


def _awaited(tree: str | None, leaf: str) -> str | None:
    """The leaves of one kind in an await tree, as a JSON list."""
    if tree is None:
        return None
    found: list[Json] = []
    open_: list[Json] = [msgspec.json.decode(tree)]
    while open_:
        node = open_.pop()
        if isinstance(node, dict):
            found += [value for name, value in node.items() if name == leaf]
            open_ += [value for name, value in node.items() if name != leaf]
        elif isinstance(node, list):
            open_ += node
    return msgspec.json.encode(sorted(n for n in found if isinstance(n, int))).decode()


def _iso(value: SqlValue) -> SqlValue:
    return format_timestamp(int(value)) if isinstance(value, int | float) else value


def _instant(value: SqlValue) -> SqlValue:
    return parse_timestamp(value) if isinstance(value, str) else value


def _truncate(unit: str, at: int | None) -> int | None:
    step = _UNITS_MS.get(unit)
    if at is None:
        return None
    if step is not None:
        offset = _WEEK_OFFSET_MS if unit == "week" else 0
        return at - (at + offset) % step
    text = format_timestamp(at)
    month = {"year": "01", "quarter": f"{(int(text[5:7]) - 1) // 3 * 3 + 1:02d}", "month": text[5:7]}.get(
        unit
    )
    if month is None:
        raise ValueError(f"date_trunc knows no unit {unit!r}")
    return parse_timestamp(f"{text[:4]}-{month}-01")


def _bin(step: int, at: int | None) -> int | None:
    if step <= 0:
        raise ValueError("date_bin needs an interval above zero")
    return None if at is None else at - at % step


class _First:
    """The first value it is given; an ORDER BY inside the call decides which that is."""

    def __init__(self) -> None:
        self.seen = False
        self.value: apsw.SQLiteValue = None

    def step(self, *values: apsw.SQLiteValue) -> None:
        if not self.seen:
            self.seen, self.value = True, values[0]

    def final(self) -> apsw.SQLiteValue:
        return self.value


class _Last(_First):
    def step(self, *values: apsw.SQLiteValue) -> None:
        self.value = values[0]


_SCALARS: dict[str, tuple[Callable[..., SqlValue], int]] = {
    "hf_id": (_id, 1),
    "hf_partition": (_partition, 1),
    "hf_row": (_row, 1),
    "hf_key_partition": (_key_partition, 1),
    "hf_utf8": (_utf8, 1),
    "hf_text": (_text, 1),
    "hf_awaited": (_awaited, 2),
    "hf_iso": (_iso, 1),
    "hf_instant": (_instant, 1),
    "hf_truncate": (_truncate, 2),
    "hf_bin": (_bin, 2),
    "hf_entry_type": (entries.entry_type, 1),
    "hf_entry_name": (entries.entry_name, 2),
    "hf_invoked_target": (entries.invoked_target, 2),
    "hf_sleep_wakeup_at": (entries.sleep_wakeup_at, 2),
    "hf_promise_name": (entries.promise_name, 2),
    "hf_entry_json": (entries.entry_json, 4),
    "hf_entry_lite_json": (entries.entry_lite_json, 4),
}


class Answered:
    """Whether a command of a journal has its answer. The answers of one journal are read once, when the first
    of its commands is asked about: asking the table for each would be quadratic in the journal's length."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._journal: tuple[str, int] | None = None
        self._refs: frozenset[SqlValue] = frozenset()

    def forget(self) -> None:
        """The next query sees later commits."""
        self._journal = None

    def __call__(self, schema: str, row: int, ref: int) -> bool:
        if self._journal != (schema, row):
            found = self._connection.execute(
                f"SELECT ref FROM {schema}.journal WHERE key BETWEEN ? AND ? "
                "AND type >= 0x8000 AND type != 0xFBFF",
                (row * JOURNAL_SPAN, (row + 1) * JOURNAL_SPAN - 1),
            )
            self._refs = frozenset([ref for (ref,) in found])
            self._journal = (schema, row)
        return ref in self._refs


def register(connection: apsw.Connection) -> Answered:
    """Give a connection all of them; `hf_answered` is the one that remembers."""
    answered = Answered(connection)
    connection.create_scalar_function("hf_answered", cast("Callable[..., SqlValue]", answered), 3)
    for name, (function, arguments) in _SCALARS.items():
        connection.create_scalar_function(name, function, arguments, deterministic=True)
    connection.create_aggregate_function("hf_first", _First, 1)
    connection.create_aggregate_function("hf_last", _Last, 1)
    return answered
