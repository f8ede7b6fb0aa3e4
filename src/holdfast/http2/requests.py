"""Header blocks of HTTP/2 requests, read and checked, and of responses, written.

Requests use the client's dynamic table (`hpack`): after the first few of a connection nearly every field is
one indexed byte, which is the cheapest thing a pure Python decoder can meet. Clients that keep no table and
spell everything out, as ours does, are read here (`plain_fields`), in a quarter of the time. Responses use no
table: literals that are never indexed need no state and no Huffman coding.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from hpack import Decoder, HPACKError
from hpack.table import HeaderTable

from holdfast.http2.fields import TABLE_SIZE_ZERO, encode_fields
from holdfast.http2.frames import COMPRESSION_ERROR, ProtocolViolation

OVERSIZE_FACTOR: Final = 4
"""A header list this many times over the limit ends the connection; below, it is read and answered 431."""
REMEMBERED_BLOCKS_MAX: Final = 64
REMEMBERED_BLOCK_BYTES_MAX: Final = 256
NAMES_KEPT_MAX: Final = 1024
NAME_KEPT_BYTES_MAX: Final = 64

_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9a-z]+")
_VALUE_FORBIDDEN = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_CONNECTION_SPECIFIC = frozenset(
    ("connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade")
)
_PSEUDO = frozenset((":method", ":path", ":scheme", ":authority"))
_INDEXED_STATUS = {200: 8, 204: 9, 206: 10, 304: 11, 400: 12, 404: 13, 500: 14}
_STATUS_BLOCKS = {
    code: bytes((0x80 | _INDEXED_STATUS[code],)) if code in _INDEXED_STATUS else b"\x08\x03%d" % code
    for code in range(100, 600)
}
_STATIC: Final = ((b"", b""), *HeaderTable.STATIC_TABLE)
_STATIC_LAST: Final = len(_STATIC) - 1
CONTINUE_BLOCK: Final = TABLE_SIZE_ZERO + _STATUS_BLOCKS[100]


HEADERS_TOO_LARGE: Final = "the request headers are larger than this server accepts"


class RefusedHeaders(Exception):
    """A request that is answered with an error for its headers alone.

    Attributes:
        status, message: of the answer.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class MalformedRequest(Exception):
    """A header list that is not a request (RFC 9113, section 8.1.1); the stream is reset."""


Request = tuple[str, str, list[tuple[str, str]]]
"""Method, target and headers."""


_names: dict[bytes, str] = {}


class RequestDecoder:
    """Reads the header blocks of one connection. Every block has to be given to it, in order.

    Blocks that say the same again are not read again: while the table does not change, equal bytes mean equal
    fields, so a block that left the table as it was is remembered until another changes it.
    """

    def __init__(self, header_bytes_max: int, header_count_max: int) -> None:
        self._decoder = Decoder(header_bytes_max * OVERSIZE_FACTOR)
        self._bytes_max = header_bytes_max
        self._count_max = header_count_max
        self._remembered: dict[bytes, Request] = {}

    def request(self, block: bytes) -> Request:
        """The request that a block describes; its headers are shared, do not change them.

        Raises:
            MalformedRequest: the fields are not a request.
            RefusedHeaders: 431, or 400 for a value that is not text.
            ProtocolViolation: COMPRESSION_ERROR, undecodable or absurdly large.
        """
        known = self._remembered.get(block)
        if known is not None:
            return known
        decoder = self._decoder
        plain = plain_fields(block, decoder.header_table_size) if len(block) <= self._bytes_max else None
        if plain is not None:
            return self._check(plain)
        fields, unchanged = self._decode(block)
        request = self._check(fields)
        if unchanged and len(block) <= REMEMBERED_BLOCK_BYTES_MAX:
            if len(self._remembered) >= REMEMBERED_BLOCKS_MAX:
                self._remembered.clear()
            self._remembered[block] = request
        return request

    def skip(self, block: bytes) -> None:
        """Read a block only for what it does to the table.

        Raises:
            ProtocolViolation: as `request`.
        """
        self._decode(block)

    def _decode(self, block: bytes) -> tuple[list[tuple[bytes, bytes]], bool]:
        """The fields of a block, and whether the table is as it was."""
        decoder = self._decoder
        entries, table_bytes = decoder.header_table.dynamic_entries, decoder.header_table_size
        count, newest = len(entries), entries[0] if entries else None
        try:
            fields = [(bytes(name), bytes(value)) for name, value in decoder.decode(block, raw=True)]
        except HPACKError as error:
            raise ProtocolViolation(COMPRESSION_ERROR, f"header block cannot be decoded: {error!r}") from None
        # An addition puts a new object in front, a smaller size takes entries from the end.
        unchanged = (
            len(entries) == count
            and (entries[0] if entries else None) is newest
            and decoder.header_table_size == table_bytes
        )
        if not unchanged:
            self._remembered.clear()
        return fields, unchanged

    def _check(self, fields: Sequence[tuple[bytes, bytes]]) -> Request:
        pseudo: dict[str, str] = {}
        headers: list[tuple[str, str]] = []
        cookie = -1
        size = 0
        for raw_name, raw_value in fields:
            size += len(raw_name) + len(raw_value) + 4
            name = _names.get(raw_name)
            if name is None:
                name = _known_name(raw_name)
            try:
                value = raw_value.decode()
            except UnicodeDecodeError:
                raise RefusedHeaders(400, f"bad header {name!r}: it is not UTF-8") from None
            if not (value.isascii() and value.isprintable()) and _VALUE_FORBIDDEN.search(value):
                raise MalformedRequest(f"control character in header {name!r}")
            if name[0] == ":":
                if headers or name in pseudo:
                    raise MalformedRequest(f"misplaced pseudo header {name!r}")
                pseudo[name] = value
            elif name == "cookie" and cookie >= 0:
                headers[cookie] = ("cookie", f"{headers[cookie][1]}; {value}")
            else:
                if name == "cookie":
                    cookie = len(headers)
                headers.append((name, value))
        method, target = pseudo.get(":method"), pseudo.get(":path")
        if not method or not target or ":scheme" not in pseudo:
            raise MalformedRequest("a request needs :method, :scheme and :path")
        if size > self._bytes_max or len(headers) > self._count_max:
            raise RefusedHeaders(431, HEADERS_TOO_LARGE)
        return method, target, headers


def _known_name(raw: bytes) -> str:
    """A field name as text, when requests may have it; remembered, since there are few."""
    try:
        name = raw.decode("ascii")
    except UnicodeDecodeError:
        raise RefusedHeaders(400, f"bad header {raw!r}: it is not UTF-8") from None
    if name not in _PSEUDO and (not _NAME.fullmatch(name) or name in _CONNECTION_SPECIFIC):
        raise MalformedRequest(f"header {name!r} is not allowed")
    if len(raw) <= NAME_KEPT_BYTES_MAX:
        if len(_names) >= NAMES_KEPT_MAX:
            _names.clear()
        _names[raw] = name
    return name


def plain_fields(block: bytes, table_bytes: int) -> list[tuple[bytes, bytes]] | None:
    """The fields of a block that neither uses the dynamic table nor changes it, without Huffman coding.

    Args:
        table_bytes: the size of the table, as it is.

    Returns:
        None for any other block, malformed ones included: the decoder proper has to read it.
    """
    fields: list[tuple[bytes, bytes]] = []
    end, at = len(block), 0
    if block[:1] == b"\x20" and not table_bytes:
        at = 1
    while at < end:
        first = block[at]
        at += 1
        if first > 0x80:  # indexed
            if first - 0x80 > _STATIC_LAST:
                return None
            fields.append(_STATIC[first - 0x80])
            continue
        if first >= 0x20:  # to be added to the table, or a change of its size
            return None
        index = first & 0x0F
        if end - at < 2:
            return None
        if index:
            if index == 0x0F:
                index += block[at]
                at += 1
                if index > _STATIC_LAST or at == end:
                    return None
            name = _STATIC[index][0]
        else:
            size = block[at]
            start = at + 1
            at = start + size
            if not 0 < size < 0x7F or at >= end:
                return None
            name = block[start:at]
        size = block[at]
        at += 1
        if size >= 0x7F:
            if size > 0x7F or end - at < 2:
                return None
            low, high = block[at], block[at + 1]
            if low < 0x80:
                size += low
                at += 1
            elif high < 0x80:
                size += (low & 0x7F) + (high << 7)
                at += 2
            else:
                return None
        start, at = at, at + size
        if at > end:
            return None
        fields.append((name, block[start:at]))
    return fields


def response_block(status: int, fields: Sequence[tuple[str, str]]) -> bytes:
    """The header block of a response."""
    return TABLE_SIZE_ZERO + _STATUS_BLOCKS[status] + encode_fields(fields)
