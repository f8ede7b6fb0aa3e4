"""Header blocks of HTTP/2 requests, read and checked, and of responses, written.

Requests use the client's dynamic table (`hpack`): after the first few of a connection nearly every field is
one indexed byte, which is the cheapest thing a pure Python decoder can meet. Responses use none: literals
that are never indexed need no state and no Huffman coding.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from hpack import Decoder, HPACKError

from holdfast.ingress.errors import HEADERS_TOO_LARGE, RequestError
from holdfast.invoker.http.frames import COMPRESSION_ERROR, ProtocolViolation
from holdfast.invoker.http.header_blocks import encode_fields

OVERSIZE_FACTOR: Final = 4
"""A header list this many times over the limit ends the connection; below, it is read and answered 431."""

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
_TABLE_SIZE_ZERO: Final = b"\x20"  # owed to a client that lowers its table; harmless to others
CONTINUE_BLOCK: Final = _TABLE_SIZE_ZERO + _STATUS_BLOCKS[100]


class MalformedRequest(Exception):
    """A header list that is not a request (RFC 9113, section 8.1.1); the stream is reset."""


class RequestDecoder:
    """Reads the request header blocks of one connection; each block has to be read, in order."""

    def __init__(self, header_bytes_max: int, header_count_max: int) -> None:
        self._decoder = Decoder(header_bytes_max * OVERSIZE_FACTOR)
        self._bytes_max = header_bytes_max
        self._count_max = header_count_max

    def fields(self, block: bytes) -> list[tuple[bytes, bytes]]:
        """The fields of a block, unchecked.

        Raises:
            ProtocolViolation: COMPRESSION_ERROR, undecodable or absurdly large.
        """
        try:
            return [(bytes(name), bytes(value)) for name, value in self._decoder.decode(block, raw=True)]
        except HPACKError as error:
            raise ProtocolViolation(COMPRESSION_ERROR, f"header block cannot be decoded: {error!r}") from None

    def request(self, fields: Sequence[tuple[bytes, bytes]]) -> tuple[str, str, list[tuple[str, str]]]:
        """Method, target and headers of a request.

        Raises:
            MalformedRequest: the fields are not a request.
            RequestError: 431, or 400 for a value that is not text.
        """
        pseudo: dict[str, str] = {}
        headers: list[tuple[str, str]] = []
        cookie = -1
        size = 0
        for raw_name, raw_value in fields:
            size += len(raw_name) + len(raw_value) + 4
            try:
                name, value = raw_name.decode("ascii"), raw_value.decode()
            except UnicodeDecodeError:
                raise RequestError(400, f"bad header {raw_name!r}: it is not UTF-8") from None
            if _VALUE_FORBIDDEN.search(value):
                raise MalformedRequest(f"control character in header {name!r}")
            if name[:1] == ":":
                if headers or name in pseudo or name not in _PSEUDO:
                    raise MalformedRequest(f"misplaced pseudo header {name!r}")
                pseudo[name] = value
            elif not _NAME.fullmatch(name) or name in _CONNECTION_SPECIFIC:
                raise MalformedRequest(f"header {name!r} is not allowed")
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
            raise RequestError(431, HEADERS_TOO_LARGE)
        return method, target, headers


def response_block(status: int, fields: Sequence[tuple[str, str]]) -> bytes:
    """The header block of a response."""
    return _TABLE_SIZE_ZERO + _STATUS_BLOCKS[status] + encode_fields(fields)
