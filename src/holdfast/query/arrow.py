"""Answers as an Arrow IPC stream: a schema, one batch of columns, the end mark.

The official command line reads counts this way, and `restate sql` everything. SQLite's columns have no fixed
type, so one whose type the planner could not follow takes that of its values. Lists are written as their JSON
text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from struct import pack

from holdfast.query.flatbuffer import Scalar, Structs, Table, Tables, Text, encode
from holdfast.query.types import UNSIGNED_SHIFT, SqlValue, Type, id_text

_VERSION_5 = 4
_SCHEMA, _RECORD_BATCH = 1, 3
_CONTINUES = b"\xff\xff\xff\xff"
_END = _CONTINUES + bytes(4)
_BODY_ALIGNMENT = 64


@dataclass(frozen=True, slots=True)
class _Kind:
    """An Arrow type: its number in the union, its table, and how values become buffers."""

    number: int
    table: Table
    buffers: Callable[[Sequence[SqlValue]], list[bytes]]


def write_arrow(outputs: Sequence[tuple[str, Type]], rows: Sequence[tuple[SqlValue, ...]]) -> bytes:
    """The stream. `rows` hold values as SQLite gives them; `outputs` say what they are."""
    columns = [[row[index] for row in rows] for index in range(len(outputs))]
    kinds = [_kind(type_, column) for (_, type_), column in zip(outputs, columns, strict=True)]
    fields = [
        Table((Text(name), Scalar("B", 1), Scalar("B", kind.number), kind.table, None, Tables(())))
        for (name, _), kind in zip(outputs, kinds, strict=True)
    ]
    schema = _message(_SCHEMA, Table((None, Tables(fields))), b"")
    if not rows:
        return schema + _END
    nodes: list[tuple[int, int]] = []
    places: list[tuple[int, int]] = []
    body = bytearray()
    for kind, column in zip(kinds, columns, strict=True):
        nodes.append((len(column), sum(value is None for value in column)))
        for buffer in (_bits(value is not None for value in column), *kind.buffers(column)):
            places.append((len(body), len(buffer)))
            body += buffer + bytes(-len(buffer) % _BODY_ALIGNMENT)
    batch = Table((Scalar("q", len(rows)), Structs(nodes), Structs(places)))
    return schema + _message(_RECORD_BATCH, batch, bytes(body)) + _END


def _message(header_type: int, header: Table, body: bytes) -> bytes:
    metadata = encode(
        Table((Scalar("h", _VERSION_5), Scalar("B", header_type), header, Scalar("q", len(body))))
    )
    return _CONTINUES + pack("<i", len(metadata)) + metadata + body


# ---------------------------------------------------------------- buffers


def _bits(values: Iterable[object]) -> bytes:
    flags = [bool(value) for value in values]
    number = (
        sum(1 << index for index, flag in enumerate(flags) if flag) if len(flags) < 64 else _long_bits(flags)
    )
    return number.to_bytes((len(flags) + 7) // 8, "little")


def _long_bits(flags: list[bool]) -> int:
    return int("".join(["1" if flag else "0" for flag in reversed(flags)]), 2)


def _integers(values: Sequence[SqlValue]) -> list[bytes]:
    return [pack(f"<{len(values)}q", *[int(v) if isinstance(v, int | float) else 0 for v in values])]


def _unsigned(values: Sequence[SqlValue]) -> list[bytes]:
    shifted = [v + UNSIGNED_SHIFT if isinstance(v, int) else 0 for v in values]
    return [pack(f"<{len(values)}Q", *shifted)]


def _floats(values: Sequence[SqlValue]) -> list[bytes]:
    return [pack(f"<{len(values)}d", *[v if isinstance(v, int | float) else 0.0 for v in values])]


def _booleans(values: Sequence[SqlValue]) -> list[bytes]:
    return [_bits(values)]


def _variable(values: Sequence[SqlValue]) -> list[bytes]:
    """Offsets, then the contents end to end."""
    parts = [_raw(value) for value in values]
    offsets, end = [0], 0
    for part in parts:
        end += len(part)
        offsets.append(end)
    return [pack(f"<{len(offsets)}q", *offsets), b"".join(parts)]


def _ids(values: Sequence[SqlValue]) -> list[bytes]:
    return _variable([id_text(value) for value in values])


def _raw(value: SqlValue) -> bytes:
    if isinstance(value, bytes):
        return value
    return b"" if value is None else str(value).encode()


# ---------------------------------------------------------------- types

_EMPTY = Table(())
_INTEGER = _Kind(2, Table((Scalar("i", 64), Scalar("B", 1))), _integers)
_FLOAT = _Kind(3, Table((Scalar("h", 2),)), _floats)
_BINARY = _Kind(19, _EMPTY, _variable)
_TEXT = _Kind(20, _EMPTY, _variable)
_FIXED = {
    Type.UNSIGNED: _Kind(2, Table((Scalar("i", 64), Scalar("B", 0))), _unsigned),
    Type.BOOLEAN: _Kind(6, _EMPTY, _booleans),
    Type.TIMESTAMP: _Kind(10, Table((Scalar("h", 1), Text("+00:00"))), _integers),
    Type.DURATION: _Kind(18, Table((Scalar("h", 1),)), _integers),
    Type.LIST: _TEXT,
    Type.RAW_ID: _Kind(20, _EMPTY, _ids),
}
_EXPECTED = {Type.INTEGER: _INTEGER, Type.FLOAT: _FLOAT, Type.BINARY: _BINARY}


def _kind(type_: Type, values: Sequence[SqlValue]) -> _Kind:
    fixed = _FIXED.get(type_)
    if fixed is not None:
        return fixed
    kinds = {type(value) for value in values if value is not None}
    if not kinds:
        return _EXPECTED.get(type_, _TEXT)
    if kinds == {int}:
        return _INTEGER
    if kinds <= {int, float}:
        return _FLOAT
    return _BINARY if kinds == {bytes} else _TEXT
