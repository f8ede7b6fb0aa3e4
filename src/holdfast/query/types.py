"""Column types as clients see them, and how each is kept inside SQLite and written to JSON.

SQLite knows integers, floats, text and blobs only. Instants and durations are integer milliseconds in there,
so that comparing, sorting and aggregating them costs nothing; the planner follows the types through a query
and the answer's writer turns them back (protocol, "SQL").
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from enum import Enum

import msgspec

from holdfast.protocol.ids import encode_invocation_id

SqlValue = None | int | float | str | bytes
Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]

UNSIGNED_SHIFT = 1 << 63
"""Unsigned 64-bit numbers do not fit SQLite's integers. They are kept minus this, which keeps their order."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


class Type(Enum):
    """The value is the word `information_schema.columns` uses."""

    TEXT = "LargeUtf8"
    INTEGER = "Int64"
    UNSIGNED = "UInt64"
    FLOAT = "Float64"
    BOOLEAN = "Boolean"
    TIMESTAMP = 'Timestamp(ms, "+00:00")'
    DURATION = "Duration(ms)"
    BINARY = "LargeBinary"
    LIST = "List(LargeUtf8)"
    RAW_ID = "LargeUtf8 (raw)"
    """An invocation's id still as its bytes: the writer of the answer makes the text."""
    UNKNOWN = "Null"


def format_timestamp(at_ms: int) -> str:
    """`2026-11-22T18:05:08.249Z`; an instant no calendar has is written as its number."""
    try:
        at = _EPOCH + at_ms * _MILLISECOND
    except OverflowError:
        return str(at_ms)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}Z"


def parse_timestamp(text: str) -> int | None:
    """Epoch milliseconds of an ISO 8601 text, UTC unless it says otherwise; None when it is not one."""
    try:
        at = datetime.fromisoformat(text.strip())
    except ValueError:
        return None
    if at.tzinfo is None:
        at = at.replace(tzinfo=UTC)
    return (at - _EPOCH) // _MILLISECOND


def format_duration(ms: int) -> str:
    """ISO 8601 in seconds: `PT86400S`, `PT0.3S`."""
    seconds, rest = divmod(abs(ms), 1000)
    fraction = f".{rest:03d}".rstrip("0") if rest else ""
    return f"{'-' if ms < 0 else ''}PT{seconds}{fraction}S"


def _number(value: SqlValue) -> int | None:
    return int(value) if isinstance(value, int | float) else None


def _timestamp(value: SqlValue) -> Json:
    number = _number(value)
    return value if number is None and isinstance(value, str) else number and format_timestamp(number)


def _duration(value: SqlValue) -> Json:
    number = _number(value)
    return None if number is None else format_duration(number)


def _boolean(value: SqlValue) -> Json:
    return bool(value)


def _unsigned(value: SqlValue) -> Json:
    return value + UNSIGNED_SHIFT if isinstance(value, int) else _any(value)


def _list(value: SqlValue) -> Json:
    return msgspec.json.decode(value) if isinstance(value, str) else _any(value)


def _any(value: SqlValue) -> Json:
    return value.hex() if isinstance(value, bytes) else value


def id_text(value: SqlValue) -> str | None:
    """The printable id of a RAW_ID value."""
    return encode_invocation_id(value) if isinstance(value, bytes) else None


_WRITERS: dict[Type, Callable[[SqlValue], Json]] = {
    Type.TIMESTAMP: _timestamp,
    Type.DURATION: _duration,
    Type.BOOLEAN: _boolean,
    Type.UNSIGNED: _unsigned,
    Type.LIST: _list,
    Type.RAW_ID: id_text,
}


def json_writer(type_: Type) -> Callable[[SqlValue], Json]:
    """How a value of this type, not NULL, is written in a JSON row."""
    return _WRITERS.get(type_, _any)
