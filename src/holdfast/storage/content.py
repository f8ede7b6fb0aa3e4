"""Where the large part of a stored message lies: the content that other messages may hold as well.

The same value is an input's content here, a call's parameter, an output and a result there, each time inside
another message. Cut out of its message it is the same bytes everywhere.
"""

from __future__ import annotations

from holdfast.protocol.errors import ProtocolError
from holdfast.protocol.wire import cut_chunk, read_tag, skip_field

AROUND_BYTES_MAX = 4 * 1024
"""What may stand before and behind a content; a message with more around it is taken whole."""

_VALUE_TAG = 0x0A
_CHUNK = 2


def content_of(body: bytes) -> tuple[int, int]:
    """Start and end of the content of a wire message: of its first field that leaves no more than
    `AROUND_BYTES_MAX` around it. All of the body when there is no such field.

    Whatever the bytes say, what stands around and the content give the body again.
    """
    end = len(body)
    at = 0
    try:
        while at < end and at <= AROUND_BYTES_MAX:
            tag, at = read_tag(body, at, end)
            if tag & 7 != _CHUNK:
                at = skip_field(body, tag, at, end)
                continue
            begin, at = cut_chunk(body, at, end)
            if begin + end - at <= AROUND_BYTES_MAX:
                return _inside(body, begin, at)
    except ProtocolError:
        pass
    return 0, end


def _inside(body: bytes, begin: int, end: int) -> tuple[int, int]:
    """The content of a Value, which is a message of one field; of anything else itself."""
    if begin < end and body[begin] == _VALUE_TAG:
        try:
            inner, stop = cut_chunk(body, begin + 1, end)
        except ProtocolError:
            return begin, end
        if stop == end:
            return inner, end
    return begin, end
