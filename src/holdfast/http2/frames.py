"""HTTP/2 frames: bytes to (kind, flags, stream id, payload) and back. Sans-IO, for either side of a
connection.

Owns        the frame layout (RFC 9113, section 4 and 6), the numbers of frames, settings and errors.
Promises    a frame is handed out once it is whole; at most one frame's bytes are kept between reads.
Never does  state: which frame is allowed when is the connection's knowledge (`either_side`).
"""

from __future__ import annotations

from collections.abc import Iterable
from struct import Struct, unpack_from
from struct import error as StructError
from typing import Final

DATA: Final = 0x0
HEADERS: Final = 0x1
PRIORITY: Final = 0x2
RST_STREAM: Final = 0x3
SETTINGS: Final = 0x4
PUSH_PROMISE: Final = 0x5
PING: Final = 0x6
GOAWAY: Final = 0x7
WINDOW_UPDATE: Final = 0x8
CONTINUATION: Final = 0x9

FLAG_END_STREAM: Final = 0x1
FLAG_ACK: Final = 0x1
FLAG_END_HEADERS: Final = 0x4
FLAG_PADDED: Final = 0x8
FLAG_PRIORITY: Final = 0x20

SETTING_HEADER_TABLE_SIZE: Final = 0x1
SETTING_ENABLE_PUSH: Final = 0x2
SETTING_MAX_CONCURRENT_STREAMS: Final = 0x3
SETTING_INITIAL_WINDOW_SIZE: Final = 0x4
SETTING_MAX_FRAME_SIZE: Final = 0x5
SETTING_MAX_HEADER_LIST_SIZE: Final = 0x6

NO_ERROR: Final = 0x0
PROTOCOL_ERROR: Final = 0x1
INTERNAL_ERROR: Final = 0x2
FLOW_CONTROL_ERROR: Final = 0x3
SETTINGS_TIMEOUT: Final = 0x4
STREAM_CLOSED: Final = 0x5
FRAME_SIZE_ERROR: Final = 0x6
REFUSED_STREAM: Final = 0x7
CANCEL: Final = 0x8
COMPRESSION_ERROR: Final = 0x9
ENHANCE_YOUR_CALM: Final = 0xB
ERROR_NAMES: Final = {
    NO_ERROR: "NO_ERROR",
    PROTOCOL_ERROR: "PROTOCOL_ERROR",
    INTERNAL_ERROR: "INTERNAL_ERROR",
    FLOW_CONTROL_ERROR: "FLOW_CONTROL_ERROR",
    SETTINGS_TIMEOUT: "SETTINGS_TIMEOUT",
    STREAM_CLOSED: "STREAM_CLOSED",
    FRAME_SIZE_ERROR: "FRAME_SIZE_ERROR",
    REFUSED_STREAM: "REFUSED_STREAM",
    CANCEL: "CANCEL",
    COMPRESSION_ERROR: "COMPRESSION_ERROR",
    0xA: "CONNECT_ERROR",
    ENHANCE_YOUR_CALM: "ENHANCE_YOUR_CALM",
    0xC: "INADEQUATE_SECURITY",
    0xD: "HTTP_1_1_REQUIRED",
}

CLIENT_PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
WINDOW_BYTES_DEFAULT: Final = 65_535
WINDOW_BYTES_LIMIT: Final = 2**31 - 1
FRAME_BYTES_DEFAULT: Final = 16_384
FRAME_BYTES_LIMIT: Final = 2**24 - 1
STREAM_ID_LIMIT: Final = 2**31 - 1
HEADER_BYTES: Final = 9

_HEADER = Struct(">IBI")  # length and kind as 24 + 8 bits, flags, stream id
pack_header = _HEADER.pack
"""(length << 8 | kind, flags, stream id) to the nine bytes of a header."""
_read_header = _HEADER.unpack_from
_SETTING = Struct(">HI")
_U32 = Struct(">I")
_HEADER_AND_U32 = Struct(">IBII")

Frame = tuple[int, int, int, bytes]


class ProtocolViolation(Exception):
    """The peer broke HTTP/2 in a way that ends the connection.

    Attributes:
        code: the HTTP/2 error code to send in GOAWAY.
    """

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


def error_name(code: int) -> str:
    """`REFUSED_STREAM (0x7)`: an error code for people."""
    return f"{ERROR_NAMES.get(code, 'unknown')} (0x{code:x})"


class FrameReader:
    """Cuts a byte stream into frames.

    Args:
        frame_bytes_max: the SETTINGS_MAX_FRAME_SIZE announced to the peer; also the bound of what is kept
            here.
    """

    __slots__ = ("_frame_bytes_max", "_rest", "oversized")

    def __init__(self, frame_bytes_max: int = FRAME_BYTES_DEFAULT) -> None:
        self._frame_bytes_max = frame_bytes_max
        self._rest = b""
        self.oversized: bytes | None = None
        """The nine header bytes of a frame longer than allowed; reading stops there for good."""

    def feed(self, data: bytes) -> list[Frame]:
        """All frames that are whole now, in order, each as (kind, flags, stream id, payload).

        A frame longer than allowed sets `oversized`; the frames before it are still returned.
        """
        if self._rest:
            data = self._rest + data
        end = len(data)
        frames: list[Frame] = []
        add, size_max = frames.append, self._frame_bytes_max
        position, payload = 0, 9  # where a frame and its payload begin
        while payload <= end:
            word, flags, stream_id = _read_header(data, position)
            size = word >> 8
            if size > size_max:
                self.oversized = data[position:payload]
                self._rest = b""
                return frames
            stop = payload + size
            if stop > end:
                break
            add((word & 0xFF, flags, stream_id & 0x7FFFFFFF, data[payload:stop]))
            position, payload = stop, stop + 9
        self._rest = data[position:] if position < end else b""
        return frames


def frame_header(size: int, kind: int, flags: int, stream_id: int) -> bytes:
    """The nine bytes in front of a payload of `size` bytes."""
    return pack_header(size << 8 | kind, flags, stream_id)


def frame(kind: int, flags: int, stream_id: int, payload: bytes = b"") -> bytes:
    """One whole frame."""
    return pack_header(len(payload) << 8 | kind, flags, stream_id) + payload


def headers_frames(stream_id: int, block: bytes, end_stream: bool, frame_bytes_max: int) -> bytes:
    """A header block as HEADERS, followed by CONTINUATION frames when it exceeds the peer's frame size."""
    flags = FLAG_END_STREAM if end_stream else 0
    size = len(block)
    if size <= frame_bytes_max:
        return pack_header(size << 8 | HEADERS, flags | FLAG_END_HEADERS, stream_id) + block
    parts = [frame(HEADERS, flags, stream_id, block[:frame_bytes_max])]
    for start in range(frame_bytes_max, size, frame_bytes_max):
        last = start + frame_bytes_max >= size
        chunk = block[start : start + frame_bytes_max]
        parts.append(frame(CONTINUATION, FLAG_END_HEADERS if last else 0, stream_id, chunk))
    return b"".join(parts)


def settings_frame(values: Iterable[tuple[int, int]]) -> bytes:
    """SETTINGS with (identifier, value) pairs."""
    return frame(SETTINGS, 0, 0, b"".join(_SETTING.pack(key, value) for key, value in values))


SETTINGS_ACK: Final = frame(SETTINGS, FLAG_ACK, 0)


def window_update_frame(stream_id: int, increment: int) -> bytes:
    """WINDOW_UPDATE; stream 0 is the connection."""
    return _HEADER_AND_U32.pack(4 << 8 | WINDOW_UPDATE, 0, stream_id, increment)


def rst_stream_frame(stream_id: int, code: int) -> bytes:
    """RST_STREAM with an error code."""
    return _HEADER_AND_U32.pack(4 << 8 | RST_STREAM, 0, stream_id, code)


def goaway_frame(last_stream_id: int, code: int, debug: bytes = b"") -> bytes:
    """GOAWAY: streams above `last_stream_id` were not and will not be processed."""
    return frame(GOAWAY, 0, 0, _U32.pack(last_stream_id) + _U32.pack(code) + debug)


def read_u32(payload: bytes, name: str) -> int:
    """The single 32-bit number of RST_STREAM and WINDOW_UPDATE.

    Raises:
        ProtocolViolation: FRAME_SIZE_ERROR unless the payload is four bytes.
    """
    if len(payload) != 4:
        raise ProtocolViolation(FRAME_SIZE_ERROR, f"{name} of {len(payload)} bytes, expected 4")
    return int(_U32.unpack(payload)[0])


def read_settings(payload: bytes) -> list[tuple[int, int]]:
    """The (identifier, value) pairs of a SETTINGS frame.

    Raises:
        ProtocolViolation: FRAME_SIZE_ERROR unless the payload is whole pairs.
    """
    if len(payload) % 6:
        raise ProtocolViolation(
            FRAME_SIZE_ERROR, f"SETTINGS of {len(payload)} bytes, expected a multiple of 6"
        )
    return list(_SETTING.iter_unpack(payload))


def read_goaway(payload: bytes) -> tuple[int, int, bytes]:
    """Last stream id, error code and debug data of a GOAWAY frame.

    Raises:
        ProtocolViolation: FRAME_SIZE_ERROR when shorter than eight bytes.
    """
    try:
        last_stream_id, code = unpack_from(">II", payload)
    except StructError:
        raise ProtocolViolation(
            FRAME_SIZE_ERROR, f"GOAWAY of {len(payload)} bytes, expected 8 or more"
        ) from None
    return last_stream_id & 0x7FFFFFFF, code, payload[8:]


def strip_padding(payload: bytes) -> bytes:
    """The content of a padded DATA or HEADERS payload.

    Raises:
        ProtocolViolation: PROTOCOL_ERROR when the padding is longer than the payload.
    """
    if not payload:
        raise ProtocolViolation(FRAME_SIZE_ERROR, "padded frame without a padding length")
    padding = payload[0]
    if padding >= len(payload):
        raise ProtocolViolation(PROTOCOL_ERROR, f"padding of {padding} bytes in a payload of {len(payload)}")
    return payload[1 : len(payload) - padding]


def headers_block(flags: int, payload: bytes) -> bytes:
    """The part of the header block in a HEADERS frame: without padding and priority.

    Raises:
        ProtocolViolation: the frame is too short for what its flags say.
    """
    if flags & FLAG_PADDED:
        payload = strip_padding(payload)
    if flags & FLAG_PRIORITY:
        if len(payload) < 5:
            raise ProtocolViolation(FRAME_SIZE_ERROR, "HEADERS too short for its priority")
        payload = payload[5:]
    return payload
