"""Frames: where one message ends and the next begins.

A stream is frames and nothing else: 8 header bytes (type u16, flags u16, body length u32, big-endian), then
the body. Transport chunks have no meaning; a frame may span many, and one may hold many frames (protocol,
"Frame layout"). `FrameDecoder` is written for the usual case, whole frames in one chunk, which costs one
header unpack and one slice per frame. A body that spans chunks is copied once when they are large, and a
bounded number of times however small they are.
"""

from enum import IntEnum
from struct import Struct

from holdfast.protocol.errors import FrameTooLarge

HEADER_BYTES = 8
MESSAGE_BYTES_MAX = 32 * 1024 * 1024
"""Default limit of one body, the same as other servers of this protocol use."""

ACK_REQUESTED = 0x8000
"""The only flag: the sender of a run proposal takes an ack in place of the full completion (version 7)."""

_PART_BYTES_MIN = 1024
"""Smaller chunks of a body are gathered, since each that is kept as it is costs an object."""

_HEADER = Struct(">HHI")
pack_header = _HEADER.pack
"""(type, flags, body length in bytes) to the eight bytes of a header."""
_unpack_header = _HEADER.unpack_from


class MessageType(IntEnum):
    """Frame type ids (protocol, "Type ids").

    0x0000 control, 0x0400 commands, 0x8000 notifications, 0xFC00 and up custom. The notification that answers
    a command has id 0x8000 + (command - 0x0400), except the invocation id of calls.
    """

    START = 0x0000
    SUSPENSION = 0x0001
    ERROR = 0x0002
    END = 0x0003
    COMMAND_ACK = 0x0004
    PROPOSE_RUN_COMPLETION = 0x0005
    AWAITING_ON = 0x0006
    PROPOSE_RUN_COMPLETION_ACK = 0x0007

    INPUT_COMMAND = 0x0400
    OUTPUT_COMMAND = 0x0401
    GET_LAZY_STATE_COMMAND = 0x0402
    SET_STATE_COMMAND = 0x0403
    CLEAR_STATE_COMMAND = 0x0404
    CLEAR_ALL_STATE_COMMAND = 0x0405
    GET_LAZY_STATE_KEYS_COMMAND = 0x0406
    GET_EAGER_STATE_COMMAND = 0x0407
    GET_EAGER_STATE_KEYS_COMMAND = 0x0408
    GET_PROMISE_COMMAND = 0x0409
    PEEK_PROMISE_COMMAND = 0x040A
    COMPLETE_PROMISE_COMMAND = 0x040B
    SLEEP_COMMAND = 0x040C
    CALL_COMMAND = 0x040D
    ONE_WAY_CALL_COMMAND = 0x040E
    SEND_SIGNAL_COMMAND = 0x0410
    RUN_COMMAND = 0x0411
    ATTACH_INVOCATION_COMMAND = 0x0412
    GET_INVOCATION_OUTPUT_COMMAND = 0x0413
    COMPLETE_AWAKEABLE_COMMAND = 0x0414

    GET_LAZY_STATE_COMPLETION = 0x8002
    GET_LAZY_STATE_KEYS_COMPLETION = 0x8006
    GET_PROMISE_COMPLETION = 0x8009
    PEEK_PROMISE_COMPLETION = 0x800A
    COMPLETE_PROMISE_COMPLETION = 0x800B
    SLEEP_COMPLETION = 0x800C
    CALL_COMPLETION = 0x800D
    CALL_INVOCATION_ID_COMPLETION = 0x800E
    RUN_COMPLETION = 0x8011
    ATTACH_INVOCATION_COMPLETION = 0x8012
    GET_INVOCATION_OUTPUT_COMPLETION = 0x8013
    SIGNAL_NOTIFICATION = 0xFBFF

    STEP_METADATA = 0xFC01


def is_command(type_: int) -> bool:
    """Whether this frame type is in the command namespace, known to us or not."""
    return 0x0400 <= type_ < 0x8000


def is_notification(type_: int) -> bool:
    """Whether this frame type is in the notification namespace, known to us or not."""
    return 0x8000 <= type_ < 0xFC00


def type_name(type_: int) -> str:
    """`Sleep`, `CallInvocationId` ...: a message's name without its suffix, as operators see it."""
    try:
        words = MessageType(type_).name.split("_")
    except ValueError:
        return f"Unknown({type_:#06x})"
    if words[-1] in ("COMMAND", "COMPLETION", "NOTIFICATION"):
        words.pop()
    return "".join(word.capitalize() for word in words)


def encode_frame(type_: int, body: bytes, flags: int = 0) -> bytes:
    """Header and body as one frame."""
    return pack_header(type_, flags, len(body)) + body


def whole_frames(data: bytes, max_message_bytes: int) -> list[tuple[int, int, bytes]] | None:
    """The frames of a chunk that is whole frames and nothing else, as `FrameDecoder.feed` gives them.

    None for a chunk with an unfinished frame or one that is too large: those are for a `FrameDecoder`. Most
    streams never need one.
    """
    frames: list[tuple[int, int, bytes]] = []
    end = len(data)
    start, content = 0, HEADER_BYTES
    while content <= end:
        type_, flags, size = _unpack_header(data, start)
        stop = content + size
        if stop > end or size > max_message_bytes:
            return None
        frames.append((type_, flags, data[content:stop]))
        start, content = stop, stop + HEADER_BYTES
    return frames if start == end else None


class FrameDecoder:
    """Cuts a byte stream into frames; keeps only an unfinished one.

    Args:
        max_message_bytes: largest body accepted, in bytes, without the header.
    """

    __slots__ = ("_flags", "_head", "_max", "_missing", "_parts", "_type")

    def __init__(self, max_message_bytes: int = MESSAGE_BYTES_MAX) -> None:
        self._max = max_message_bytes
        self._head: bytes = b""
        """The beginning of a header."""
        self._type = self._flags = 0
        self._parts: list[bytes | bytearray | memoryview] = []
        """What has come of a body. A large one is put together once, when it is whole."""
        self._missing = 0
        """What has not."""

    @property
    def pending_bytes(self) -> int:
        """Bytes of an unfinished frame. Not zero when the stream ends: it was cut inside a frame."""
        return HEADER_BYTES + sum(map(len, self._parts)) if self._missing else len(self._head)

    def feed(self, data: bytes) -> list[tuple[int, int, bytes]]:
        """The frames completed by `data`, in order, as (type, flags, body).

        Types and flags are not judged here. At most `max_message_bytes` + 8 bytes and two chunks are ever
        held.

        Raises:
            FrameTooLarge: a header announces more than the limit; nothing of its body is kept. Frames
            completed
                by the same chunk are dropped with it. The stream cannot be read further: stop feeding.
        """
        frames: list[tuple[int, int, bytes]] = []
        start = 0
        if self._missing:
            if len(data) < self._missing:
                self._keep(data)
                return frames
            start = self._missing
            self._parts.append(memoryview(data)[:start])
            frames.append((self._type, self._flags, b"".join(self._parts)))
            self._parts = []
            self._missing = 0
        elif self._head:
            data = self._head + data
            self._head = b""
        end, limit = len(data), self._max
        while end - start >= HEADER_BYTES:
            type_, flags, size = _unpack_header(data, start)
            if size > limit:
                raise FrameTooLarge(
                    f"frame of type 0x{type_:04x} announces {size} bytes, the limit is {limit}; "
                    "send less in one message or raise the message size limit"
                )
            begin = start + HEADER_BYTES
            start = begin + size
            if start > end:
                self._type, self._flags = type_, flags
                self._parts = [memoryview(data)[begin:]]
                self._missing = start - end
                return frames
            frames.append((type_, flags, data[begin:start]))
        if start < end:
            self._head = data[start:]
        return frames

    def _keep(self, data: bytes) -> None:
        parts = self._parts
        last = parts[-1]
        if len(data) >= _PART_BYTES_MIN:
            parts.append(data)
        elif type(last) is bytearray:
            last += data
        else:
            parts.append(bytearray(data))
        self._missing -= len(data)
