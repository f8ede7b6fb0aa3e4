"""Just enough FlatBuffers to write Arrow's metadata: tables, vectors, strings.

The usual builder writes back to front, because an offset may only point forward and children must be known
first. Here a parent is written first with a gap where the offset belongs, and its children after it; the gap
is filled when the child's place is known. The layout differs from the usual one, the meaning does not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from struct import Struct, pack_into

_OFFSET = Struct("<I")
_TABLE_ALIGNMENT = 8


@dataclass(frozen=True, slots=True)
class Scalar:
    """`code` is `struct`'s: b, B, h, i, q."""

    code: str
    value: int


@dataclass(frozen=True, slots=True)
class Text:
    value: str


@dataclass(frozen=True, slots=True)
class Structs:
    """A vector of structs of 64-bit integers, which is the only kind Arrow has."""

    rows: Sequence[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Tables:
    """A vector of tables."""

    items: Sequence[Table]


@dataclass(frozen=True, slots=True)
class Table:
    """`fields` by slot; None is absent, and means the schema's default."""

    fields: Sequence[Scalar | Text | Structs | Tables | Table | None]


def encode(root: Table) -> bytes:
    """A buffer whose root is `root`, padded to 8 bytes."""
    out = bytearray(_OFFSET.size)
    _fill(out, 0, _write_table(out, root))
    _pad(out, 8)
    return bytes(out)


def _pad(out: bytearray, alignment: int, shift: int = 0) -> None:
    """Zeros until the end plus `shift` is a multiple of `alignment`."""
    out.extend(bytes(-(len(out) + shift) % alignment))


def _fill(out: bytearray, gap: int, target: int) -> None:
    _OFFSET.pack_into(out, gap, target - gap)


def _write_table(out: bytearray, table: Table) -> int:
    sizes = [
        0 if f is None else Struct(f"<{f.code}").size if isinstance(f, Scalar) else _OFFSET.size
        for f in table.fields
    ]
    places = [0] * len(sizes)
    end = _OFFSET.size
    for size in (8, 4, 2, 1):
        for slot, wanted in enumerate(sizes):
            if wanted == size:
                end += -end % size
                places[slot] = end
                end += size
    vtable = Struct(f"<{2 + len(places)}H").pack(4 + 2 * len(places), end, *places)
    _pad(out, _TABLE_ALIGNMENT, len(vtable))
    out += vtable
    start = len(out)
    out.extend(bytes(end))
    pack_into("<i", out, start, len(vtable))
    for place, field in zip(places, table.fields, strict=True):
        if field is None:
            continue
        if isinstance(field, Scalar):
            pack_into(f"<{field.code}", out, start + place, field.value)
        else:
            _fill(out, start + place, _write_child(out, field))
    return start


def _write_child(out: bytearray, child: Text | Structs | Tables | Table) -> int:
    match child:
        case Table():
            return _write_table(out, child)
        case Text(value):
            raw = value.encode()
            _pad(out, _OFFSET.size)
            start = len(out)
            out += _OFFSET.pack(len(raw)) + raw + b"\0"
            return start
        case Structs(rows):
            _pad(out, 8, _OFFSET.size)
            start = len(out)
            out += _OFFSET.pack(len(rows))
            for row in rows:
                out += Struct("<2q").pack(*row)
            return start
        case Tables(items):
            _pad(out, _OFFSET.size)
            start = len(out)
            out += _OFFSET.pack(len(items)) + bytes(_OFFSET.size * len(items))
            for number, item in enumerate(items, 1):
                _fill(out, start + _OFFSET.size * number, _write_table(out, item))
            return start
