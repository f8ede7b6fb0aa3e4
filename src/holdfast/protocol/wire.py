"""Protobuf primitives: just enough of the encoding for the messages of this protocol, and quick.

Writing is a function per kind of field that answers the field's bytes, or nothing for a proto3 default, so
that a message is the sum of its fields in number order. Reading is one pass over the body, `Fields`, that
messages then ask by field number.

`Fields` follows the protobuf rules that matter between implementations: unknown fields are skipped; a known
number with another wire type counts as unknown; the last scalar wins; repeated sub-messages of one singular
field merge (which is the same as joining their bytes); numbers may be packed or not. It is strict where
leniency would hide a cut or corrupt body: every length must fit, every varint must end within ten bytes,
strings must be UTF-8, groups and field number 0 are refused. What a later value displaced is not looked into.

A hostile body can hold one field per two bytes, and each costs a hundred in memory here, so the number of
fields has a bound of its own beside the frame limit.
"""

from collections.abc import Callable, Mapping
from typing import TypeVar

from holdfast.protocol.errors import FrameTooLarge, MalformedMessage

T = TypeVar("T")

FIELDS_MAX = 1 << 20
"""Fields, and list items, read from one message before it is refused."""

U32_MAX = 0xFFFF_FFFF
U64_MAX = 0xFFFF_FFFF_FFFF_FFFF

_VARINT, _CHUNK = 0, 2
_FIELD_NUMBER_MAX = 40

# Ids and lengths are small, seeds are full u64. Measured: fourteen bits per table look-up beat both a loop
# (2.4x) and seven bits per expression (1.5x) for a seed; the tables cost about a megabyte and a few
# milliseconds, so they are made for the first number of that size that is written: not at each cold start.
_TABLE_SIZE = 1 << 14
_SMALL = [bytes((n,)) if n < 128 else bytes((n & 127 | 128, n >> 7)) for n in range(1 << 9)]
_SMALL_SIZE = len(_SMALL)
_ENDING: list[bytes] = []
_GOING_ON: list[bytes] = []


def varint(value: int) -> bytes:
    """An unsigned integer of up to 64 bits in base-128 groups, least significant first.

    Raises:
        ValueError: negative or above 64 bits; ours to fix, never the peer's.
    """
    if 0 <= value < _SMALL_SIZE:
        return _SMALL[value]
    if not 0 <= value <= U64_MAX:
        raise ValueError(f"{value} does not fit an unsigned 64-bit field")
    if value < _TABLE_SIZE:
        return bytes((value & 127 | 128, value >> 7))
    if value < 1 << 21:
        return bytes((value & 127 | 128, value >> 7 & 127 | 128, value >> 14))
    if not _ENDING:
        _fill_tables()
    more, low = _GOING_ON, _TABLE_SIZE - 1
    if value < 1 << 28:
        return more[value & low] + _ENDING[value >> 14]
    out = more[value & low] + more[value >> 14 & low]
    if value < 1 << 42:
        return out + _ENDING[value >> 28]
    if value < 1 << 56:
        return out + more[value >> 28 & low] + _ENDING[value >> 42]
    return out + more[value >> 28 & low] + more[value >> 42 & low] + _ENDING[value >> 56]


def _fill_tables() -> None:
    """Both of them. Threads may do it at once: the slice assignment is one step, and gives the same."""
    _GOING_ON[:] = [bytes((n & 127 | 128, n >> 7 | 128)) for n in range(_TABLE_SIZE)]
    _ENDING[:] = [bytes((n,)) if n < 128 else bytes((n & 127 | 128, n >> 7)) for n in range(_TABLE_SIZE)]


VARINT_TAGS = [varint(number << 3 | _VARINT) for number in range(_FIELD_NUMBER_MAX)]
CHUNK_TAGS = [varint(number << 3 | _CHUNK) for number in range(_FIELD_NUMBER_MAX)]


def put_uint(number: int, value: int) -> bytes:
    """A uint32, uint64 or bool field; nothing when zero."""
    return VARINT_TAGS[number] + varint(value) if value else b""


def put_optional_uint(number: int, value: int | None) -> bytes:
    """An `optional` number: written whenever present, zero too."""
    return b"" if value is None else VARINT_TAGS[number] + varint(value)


def put_chunk(number: int, content: bytes) -> bytes:
    """Bytes that are present, empty or not: a oneof member, a list item, a sub-message."""
    return CHUNK_TAGS[number] + varint(len(content)) + content


def put_bytes(number: int, content: bytes) -> bytes:
    """A bytes field; nothing when empty."""
    return put_chunk(number, content) if content else b""


def put_text(number: int, content: str) -> bytes:
    """A string field; nothing when empty."""
    return put_chunk(number, content.encode()) if content else b""


def put_optional_text(number: int, content: str | None) -> bytes:
    """An `optional` string: written whenever present, empty too."""
    return b"" if content is None else put_chunk(number, content.encode())


def put_diagnostic(number: int, content: str) -> bytes:
    """Text for a human, such as an error message: what is not valid Unicode is replaced, never refused.

    Exception texts may hold lone surrogates (undecodable file names); losing the whole report over one would
    be worse than a question mark.
    """
    return put_chunk(number, content.encode("utf-8", "replace")) if content else b""


def put_packed(number: int, values: tuple[int, ...]) -> bytes:
    """A repeated number in packed form; nothing when empty."""
    return put_chunk(number, b"".join(map(varint, values))) if values else b""


def text(content: bytes) -> str:
    """UTF-8 bytes of a string field as text.

    Raises:
        MalformedMessage: not UTF-8.
    """
    try:
        return str(content, "utf-8")
    except UnicodeDecodeError as error:
        raise MalformedMessage(f"string field is not UTF-8 at byte {error.start} of {len(content)}") from None


def read_varint(body: bytes, start: int, end: int) -> tuple[int, int]:
    """The varint at `start` and the position after it; 64 bits are kept, as protobuf does.

    Raises:
        MalformedMessage: cut by `end`, or longer than ten bytes.
    """
    value = shift = 0
    for position in range(start, min(end, start + 10)):
        byte = body[position]
        value |= (byte & 127) << shift
        if byte < 128:
            return value & U64_MAX, position + 1
        shift += 7
    if end - start < 10:
        raise MalformedMessage(f"body of {len(body)} bytes is cut inside a number at byte {start}")
    raise MalformedMessage(f"number at byte {start} does not end within ten bytes")


def cut_chunk(body: bytes, start: int, end: int) -> tuple[int, int]:
    """Where the length-delimited value whose length is at `start` begins and stops.

    Raises:
        MalformedMessage: it would reach past `end`.
    """
    size, begin = read_varint(body, start, end)
    if begin + size > end:
        raise MalformedMessage(
            f"field at byte {start} announces {size} bytes, but only {end - begin} are left"
        )
    return begin, begin + size


def skip_field(body: bytes, tag: int, start: int, end: int) -> int:
    """The position after an unknown field's value.

    Raises:
        MalformedMessage: cut, or a wire type this protocol never uses (groups, 6, 7).
    """
    match tag & 7:
        case 0:
            return read_varint(body, start, end)[1]
        case 2:
            return cut_chunk(body, start, end)[1]
        case 1:
            stop = start + 8
        case 5:
            stop = start + 4
        case kind:
            raise MalformedMessage(
                f"field {tag >> 3} at byte {start} has wire type {kind}; expected 0, 1, 2 or 5"
            )
    if stop > end:
        raise MalformedMessage(f"field {tag >> 3} at byte {start} is cut")
    return stop


def read_tag(body: bytes, start: int, end: int) -> tuple[int, int]:
    """A field's tag (number and wire type) and the position after it.

    Raises:
        MalformedMessage: cut, field number 0, or above what protobuf allows.
    """
    tag, position = read_varint(body, start, end)
    if not 8 <= tag <= U32_MAX:
        raise MalformedMessage(f"tag {tag} at byte {start} names no valid field")
    return tag, position


def last_chunk(body: bytes, start: int) -> int:
    """Where a chunk's content begins, if its length is at `start` and it is all the rest of the body; else 0.

    The usual last field of a small message. Being one look-up instead of a parse, it is what the short ways
    of hot messages are made of; 0 sends them to `Fields`, which also says what is wrong.
    """
    left = len(body) - start - 1
    if left < 0:
        return 0
    size = body[start]
    if size < 128:
        return start + 1 if size == left else 0
    if left == 0 or body[start + 1] > 127:
        return 0
    return start + 2 if (size & 127 | body[start + 1] << 7) == left - 1 else 0


def read_packed(body: bytes, position: int, end: int, into: list[int]) -> int:
    """Appends the uint32s of a packed field to `into`; answers how many, stopping once past `FIELDS_MAX`."""
    count = 0
    while position < end and count <= FIELDS_MAX:
        value, position = read_varint(body, position, end)
        into.append(value & U32_MAX)
        count += 1
    return count


class Fields:
    """One body, scanned once: every number and every length-delimited value, by field number.

    Raises:
        MalformedMessage: the body is not well-formed protobuf.
        FrameTooLarge: it holds more than `FIELDS_MAX` fields.
    """

    __slots__ = ("_entries", "last_chunks", "last_numbers")

    def __init__(self, body: bytes) -> None:
        entries: list[tuple[int, int | bytes]] = []
        numbers: dict[int, int] = {}
        chunks: dict[int, bytes] = {}
        position, end = 0, len(body)
        while position < end:
            tag = body[position]
            if 8 <= tag < 128:
                position += 1
            else:
                tag, position = read_tag(body, position, end)
            kind = tag & 7
            if kind == _CHUNK:
                # One-byte lengths and numbers are nearly all of them; the functions do the rest, and the
                # errors.
                if position < end and (stop := position + 1 + body[position]) <= end and body[position] < 128:
                    chunk = body[position + 1 : stop]
                    position = stop
                else:
                    begin, position = cut_chunk(body, position, end)
                    chunk = body[begin:position]
                chunks[tag] = chunk
                entries.append((tag, chunk))
            elif kind == _VARINT:
                if position < end and (number := body[position]) < 128:
                    position += 1
                else:
                    number, position = read_varint(body, position, end)
                numbers[tag] = number
                entries.append((tag, number))
            else:
                position = skip_field(body, tag, position, end)
                continue
            if len(entries) > FIELDS_MAX:
                raise FrameTooLarge(f"message holds more than {FIELDS_MAX} fields; send fewer at once")
        self._entries = entries
        self.last_numbers = numbers
        """Tag (number and wire type) to the last value; for messages of many fields."""
        self.last_chunks = chunks
        """Tag to the last bytes."""

    def uint64(self, number: int) -> int:
        """A uint64 field, 0 when absent."""
        return self.last_numbers.get(number << 3, 0)

    def optional_uint64(self, number: int) -> int | None:
        """The last value of a number field, None when absent."""
        return self.last_numbers.get(number << 3)

    def uint32(self, number: int) -> int:
        """A uint32 field, its low 32 bits as protobuf does; 0 when absent."""
        return self.last_numbers.get(number << 3, 0) & U32_MAX

    def optional_uint32(self, number: int) -> int | None:
        """The low 32 bits of the last value, None when absent."""
        value = self.last_numbers.get(number << 3)
        return None if value is None else value & U32_MAX

    def boolean(self, number: int) -> bool:
        """A bool field, False when absent."""
        return self.last_numbers.get(number << 3, 0) != 0

    def bytes_(self, number: int) -> bytes:
        """A bytes field, empty when absent."""
        return self.last_chunks.get(number << 3 | _CHUNK, b"")

    def text(self, number: int) -> str:
        """A string field, empty when absent."""
        content = self.last_chunks.get(number << 3 | _CHUNK)
        return text(content) if content else ""

    def optional_text(self, number: int) -> str | None:
        """An `optional` string, None when absent."""
        content = self.last_chunks.get(number << 3 | _CHUNK)
        return None if content is None else text(content)

    def chunks(self, number: int) -> list[bytes]:
        """Every length-delimited value of a field, in order."""
        wanted = number << 3 | _CHUNK
        if wanted not in self.last_chunks:
            return []
        return [value for tag, value in self._entries if tag == wanted and isinstance(value, bytes)]

    def message(self, number: int) -> bytes | None:
        """The body of a singular sub-message, occurrences merged; None when absent."""
        found = self.chunks(number)
        return b"".join(found) if found else None

    def uint32s(self, number: int) -> tuple[int, ...]:
        """A repeated uint32 field, its packed and unpacked occurrences in order.

        Raises:
            FrameTooLarge: more than `FIELDS_MAX` numbers.
        """
        values: list[int] = []
        for tag, value in self._entries:
            if tag >> 3 == number:
                if isinstance(value, int):
                    values.append(value & U32_MAX)
                else:
                    read_packed(value, 0, len(value), values)
                if len(values) > FIELDS_MAX:
                    raise FrameTooLarge(
                        f"list holds more than {FIELDS_MAX} numbers; await fewer things at once"
                    )
        return tuple(values)

    def texts(self, number: int) -> tuple[str, ...]:
        """A repeated string field."""
        return tuple(map(text, self.chunks(number)))

    def last_of(self, *tags: int) -> int:
        """Which of these tags came last: decides a oneof of scalars. 0 when none is present."""
        for tag, _ in reversed(self._entries):
            if tag in tags:
                return tag
        return 0

    def one_of(self, readers: Mapping[int, Callable[[bytes], T]], scalars: tuple[int, ...] = ()) -> T | None:
        """The oneof member that came last, read by its own reader; None when no member is present.

        Args:
            readers: field number to reader. Occurrences of one sub-message merge unless another member came
                between them.
            scalars: the members that are strings or bytes, of which the last occurrence counts alone.
        """
        chosen, parts = 0, list[bytes]()
        for tag, value in self._entries:
            if tag & 7 == _CHUNK and tag >> 3 in readers and isinstance(value, bytes):
                if tag >> 3 != chosen or chosen in scalars:
                    chosen, parts = tag >> 3, []
                parts.append(value)
        return readers[chosen](b"".join(parts)) if parts else None
