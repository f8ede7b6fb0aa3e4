"""Header blocks: requests are written without state, responses are mostly looked up.

HPACK (RFC 7541) buys size with a dynamic table that both sides keep in step; on a link inside a data centre
it costs more time than everything else in a small exchange. So neither direction has a table here:

Requests    every field is a literal that is never indexed, so a block depends on nothing and may be cached:
            the pseudo headers per (method, path), and whatever the caller puts in `PreparedHeaders`. A block
            starts with "table size 0", which satisfies a peer that lowers its own table, too.
Responses   we announce a table of 0 bytes. Once the peer has acknowledged that, equal blocks mean equal
            headers, so a dictionary from block to headers answers nearly all of them; only new ones go
            through the `hpack` package. Before the acknowledgement each block is decoded, in order, with its
            table.

How a field is written: `holdfast.http2.fields`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from hpack import Decoder, HPACKError

from holdfast.http2.fields import TABLE_SIZE_ZERO, HeaderError, Headers, encode_fields, field_parts, integer
from holdfast.http2.frames import COMPRESSION_ERROR, ProtocolViolation

HEADER_LIST_BYTES_MAX: Final = 65_536
PATH_CACHE_ENTRIES_MAX: Final = 4_096
RESPONSE_CACHE_ENTRIES_MAX: Final = 512
RESPONSE_CACHE_BLOCK_BYTES_MAX: Final = 2_048
MALFORMED_STATUS: Final = -1

_METHOD_NAME = re.compile(r"[A-Z]+")
_METHODS_UNSUPPORTED = frozenset(("CONNECT", "HEAD"))
"""Their answers have no body of their own kind, which nobody here needs."""
_PATH_FORBIDDEN = re.compile(r"[^\x21-\x7e]")
# Static table (RFC 7541, appendix A), as "literal without indexing, indexed name".
_AUTHORITY, _METHOD, _PATH, _SCHEME = 1, 2, 4, 6


class PreparedHeaders:
    """Headers that are equal for many requests (content type, accept, a deployment's own), encoded once."""

    __slots__ = ("block", "pairs")

    def __init__(self, pairs: Headers) -> None:
        self.pairs = tuple(pairs)
        self.block = encode_fields(self.pairs)


class RequestEncoder:
    """Writes the request header blocks of one endpoint; the part before the caller's headers is cached."""

    __slots__ = ("_authority", "_base_path", "_prefixes", "_scheme")

    def __init__(self, scheme: str, authority: str, base_path: str) -> None:
        self._scheme = scheme
        self._authority = authority
        self._base_path = base_path
        self._prefixes: dict[tuple[str, str], bytes] = {}

    def encode(self, method: str, path: str, headers: Headers, prepared: PreparedHeaders | None) -> bytes:
        """A whole block.

        Raises:
            HeaderError: the method, path or a header cannot be carried.
        """
        prefix = self._prefixes.get((method, path)) or self._prefix(method, path)
        if not headers:
            return prefix if prepared is None else prefix + prepared.block
        return b"".join((prefix, b"" if prepared is None else prepared.block, *field_parts(headers)))

    def _prefix(self, method: str, path: str) -> bytes:
        target = request_target(self._base_path, path)
        if not _METHOD_NAME.fullmatch(method) or method in _METHODS_UNSUPPORTED:
            raise HeaderError(f"method {method!r} is not supported; expected one such as GET or POST")
        pseudo = ((_METHOD, method), (_SCHEME, self._scheme), (_AUTHORITY, self._authority), (_PATH, target))
        prefix = TABLE_SIZE_ZERO + b"".join(
            bytes((index,)) + integer(len(value.encode()), 7, 0) + value.encode() for index, value in pseudo
        )
        if len(self._prefixes) >= PATH_CACHE_ENTRIES_MAX:
            self._prefixes.clear()
        self._prefixes[method, path] = prefix
        return prefix


def request_target(base_path: str, path: str) -> str:
    """The path on the wire.

    Raises:
        HeaderError: it does not start with a slash or is not percent-encoded.
    """
    target = base_path + path
    if not target.startswith("/") or _PATH_FORBIDDEN.search(target):
        raise HeaderError(f"request path {target!r} must start with / and be percent-encoded")
    return target


ResponseHead = tuple[int, dict[str, str]]
"""Status and headers; MALFORMED_STATUS when the block is no response (and no trailers either)."""


class ResponseCache:
    """Blocks seen before, shared by all connections of a client; only ever filled from stateless blocks."""

    __slots__ = ("heads",)

    def __init__(self) -> None:
        self.heads: dict[bytes, ResponseHead] = {}

    def add(self, block: bytes, head: ResponseHead) -> None:
        """Remember a block; a full cache starts over, since blocks with a date in them never come back."""
        if len(block) > RESPONSE_CACHE_BLOCK_BYTES_MAX:
            return
        if len(self.heads) >= RESPONSE_CACHE_ENTRIES_MAX:
            self.heads.clear()
        self.heads[block] = head


class ResponseDecoder:
    """Reads one connection's response header blocks."""

    __slots__ = ("_cache", "_decoder", "_heads", "stateless")

    def __init__(self, cache: ResponseCache) -> None:
        self._cache = cache
        self._heads = cache.heads
        self._decoder = Decoder(max_header_list_size=HEADER_LIST_BYTES_MAX)
        self.stateless = False
        """Whether the peer has acknowledged our table size of zero."""

    def table_size_acknowledged(self) -> None:
        """From here on blocks depend on nothing.

        The table is emptied even if the peer does not say so in its next block, as it should: a peer that
        never used the table is harmless, and one that refers to it now gets a compression error.
        """
        self._decoder.max_allowed_table_size = 0
        self._decoder.header_table_size = 0
        self.stateless = True

    def decode(self, block: bytes) -> ResponseHead:
        """Status and headers of a block. The dictionary is shared: nobody changes it.

        Raises:
            ProtocolViolation: COMPRESSION_ERROR.
        """
        if self.stateless:
            head = self._heads.get(block)
            if head is not None:
                return head
        try:
            fields = list(self._decoder.decode(block, raw=True))
        except HPACKError as error:
            raise ProtocolViolation(COMPRESSION_ERROR, f"header block cannot be decoded: {error!r}") from None
        head = _response_head(fields)
        if self.stateless:
            self._cache.add(block, head)
        return head


def _response_head(fields: Sequence[tuple[bytes, bytes]]) -> ResponseHead:
    """Status 0 stands for "no pseudo header", which is what trailers look like."""
    status = 0
    headers: dict[str, str] = {}
    for raw_name, raw_value in fields:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        if name == ":status":
            if status or len(value) != 3 or not (value.isascii() and value.isdigit()) or value[0] == "0":
                return MALFORMED_STATUS, {}
            status = int(value)
        elif name[:1] == ":" or name != name.lower():
            return MALFORMED_STATUS, {}
        elif name in headers:
            headers[name] += ("; " if name == "cookie" else ", ") + value
        else:
            headers[name] = value
    return status, headers
