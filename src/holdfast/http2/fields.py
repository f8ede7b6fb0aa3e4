"""Header fields as both sides of HTTP/2 write them: literals that are never indexed, so that a block depends
on nothing that went before and may be cached.

Never does  Huffman coding: slower to write, and the peer pays again to read it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

Headers = Sequence[tuple[str, str]]

NAME_CACHE_ENTRIES_MAX: Final = 1_024

TABLE_SIZE_ZERO: Final = b"\x20"
"""The change of table that a block owes a peer which lowers its own table; harmless to others."""

_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9a-z]+")
_VALUE_FORBIDDEN = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_CONNECTION_SPECIFIC = frozenset(
    ("connection", "host", "http2-settings", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade")
)
# Static table (RFC 7541, appendix A): names worth an index, encoded as "literal without indexing, indexed
# name".
_STATIC_NAMES = {
    "accept": 19, "accept-encoding": 16, "authorization": 23,
    "content-length": 28, "content-type": 31, "user-agent": 58,
}  # fmt: skip


class HeaderError(ValueError):
    """A header that HTTP cannot carry: our caller's mistake, found before anything is sent."""


def integer(value: int, prefix_bits: int, first: int) -> bytes:
    """A number in HPACK's own coding, behind the bits of `first` that the prefix leaves."""
    limit = (1 << prefix_bits) - 1
    if value < limit:
        return bytes((first | value,))
    out = bytearray((first | limit,))
    value -= limit
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


_LENGTHS = [integer(size, 7, 0) for size in range(4_096)]
_names: dict[str, bytes] = {}


def _name_prefix(name: str) -> bytes:
    prefix = _names.get(name)
    if prefix is None:
        check_name(name)
        index = _STATIC_NAMES.get(name)
        raw = name.encode("ascii")
        prefix = integer(index, 4, 0) if index is not None else b"\x00" + integer(len(raw), 7, 0) + raw
        if len(_names) >= NAME_CACHE_ENTRIES_MAX:
            _names.clear()
        _names[name] = prefix
    return prefix


def check_name(name: str) -> None:
    """Refuse a field name that is not a lower-case token, or that belongs to the connection.

    Raises:
        HeaderError: as said.
    """
    if not _NAME.fullmatch(name):
        raise HeaderError(f"header name {name!r} is not a lower-case HTTP token")
    if name in _CONNECTION_SPECIFIC:
        raise HeaderError(f"header {name!r} belongs to the connection and is set by the client itself")


def check_value(name: str, value: str) -> None:
    """Refuse a field value with control characters, which would end the line early in HTTP/1.1.

    Raises:
        HeaderError: as said.
    """
    if _VALUE_FORBIDDEN.search(value):
        raise HeaderError(f"the value of header {name!r} holds a control character; percent-encode it")


def encode_fields(headers: Headers) -> bytes:
    """Fields as literals without indexing, UTF-8, in order.

    Raises:
        HeaderError: a name or value HTTP cannot carry.
    """
    return b"".join(field_parts(headers))


def field_parts(headers: Headers) -> list[bytes]:
    """What `encode_fields` joins, for who joins more than that."""
    parts: list[bytes] = []
    for name, value in headers:
        if not (value.isascii() and value.isprintable()):
            check_value(name, value)
        raw = value.encode()
        size = len(raw)
        parts += (
            _names.get(name) or _name_prefix(name),
            _LENGTHS[size] if size < 4_096 else integer(size, 7, 0),
            raw,
        )
    return parts
