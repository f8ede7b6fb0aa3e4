"""What both ends of an HTTP/2 connection do alike, sans-IO: bytes in, calls of the one or the other out.

Owns        what comes: frames cut and dispatched, header blocks put together, SETTINGS, PING, WINDOW_UPDATE
            and PRIORITY judged (RFC 9113), the connection's receive window; and the output.
Promises    nothing here grows without a constant below. Where framing, compression or flow control is no
            longer in step the connection ends, with a GOAWAY that says what it was.
Never does  I/O, clocks, the lives of streams: a request is one thing to who asks and another to who answers.

A general HTTP/2 library checks each frame against a state machine and describes it with an event object. Most
of that work says nothing new on the hot path, which is two or three frames per exchange. Here a frame is a
tuple, windows are plain integers and whoever it concerns is called directly.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar, Final, Generic, TypeVar

from holdfast.http2 import frames
from holdfast.http2.frames import FrameReader, ProtocolViolation
from holdfast.http2.output import Output
from holdfast.http2.sending import SendingStream

CONTROL_REPLIES_MAX: Final = 1_000
"""PING and SETTINGS answers not yet taken by the socket, before the peer counts as flooding."""
BLOCK_FRAMES_MAX: Final = 64
"""Of one header block."""

_ANY_KIND: Final = -1
_END_HEADERS: Final = frames.FLAG_END_HEADERS
_PLAIN_HEADERS_MASK: Final = frames.FLAG_PADDED | frames.FLAG_PRIORITY | _END_HEADERS

StreamT = TypeVar("StreamT", bound=SendingStream)


class EitherSide(ABC, Generic[StreamT]):
    """Feed it with `receive`; send what `take_output` gives, until `closed`.

    Args:
        output_ready: bytes are waiting; called once until `take_output`.
        window_bytes: what the peer may send on the connection before it needs a WINDOW_UPDATE.
        block_bytes_max: of one header block that comes in several frames.

    Attributes:
        output: what streams send through.
        initial_window: what the peer grants each new stream.
        ready: the peer's SETTINGS arrived.
        closed: over: send what `take_output` still gives, then hang up.
    """

    _handlers: ClassVar[tuple[Callable[..., None], ...]]
    """By kind of frame, called with (self, flags, stream id, payload); unknown kinds are skipped."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls._handlers = (
            cls._on_data,
            cls._on_headers,
            cls._on_priority,
            cls._on_rst_stream,
            cls._on_settings,
            cls._on_push_promise,
            cls._on_ping,
            cls._on_goaway,
            cls._on_window_update,
            cls._on_continuation,
        )

    def __init__(self, output_ready: Callable[[], None], window_bytes: int, block_bytes_max: int) -> None:
        self.output = Output(output_ready)
        self._emit = self.output.emit
        self._reader = FrameReader()
        self._streams: dict[int, StreamT] = {}
        self._receive_window = self._window_bytes = window_bytes
        self._block_bytes_max = block_bytes_max
        self._block: list[bytes] | None = None
        self._block_stream_id = self._block_flags = 0
        self._must_come = frames.SETTINGS
        """The only kind allowed next, or _ANY_KIND: SETTINGS at first, CONTINUATION inside a block."""
        self._control_replies = 0
        self.initial_window = frames.WINDOW_BYTES_DEFAULT
        self.ready = False
        self.closed = False

    # What the two sides see differently.

    @abstractmethod
    def _on_violation(self, violation: ProtocolViolation) -> None:
        """The peer broke HTTP/2: end the connection."""

    @abstractmethod
    def _break(self, stream: StreamT, code: int, reason: str) -> None:
        """The peer broke one exchange: end that."""

    @abstractmethod
    def _never_opened(self, stream_id: int) -> bool:
        """Whether no stream of this number can have been."""

    @abstractmethod
    def _on_data(self, flags: int, stream_id: int, payload: bytes) -> None: ...

    @abstractmethod
    def _on_block(self, flags: int, stream_id: int, block: bytes) -> None:
        """A whole header block; `flags` are its HEADERS frame's."""

    @abstractmethod
    def _on_rst_stream(self, flags: int, stream_id: int, payload: bytes) -> None: ...

    @abstractmethod
    def _on_leaving(self, last_stream_id: int, code: int) -> None:
        """The peer takes no further streams (GOAWAY)."""

    def _on_first_settings(self) -> None:
        """The peer's SETTINGS are known."""

    def _on_settings_acknowledged(self) -> None:
        """The peer has ours."""

    def _on_pong(self) -> None:
        """The peer has answered a PING."""

    # Bytes.

    @property
    def open_streams(self) -> int:
        """Streams that at least one side has not ended."""
        return len(self._streams)

    @property
    def in_block(self) -> bool:
        """Whether a header block has begun and not ended."""
        return self._block is not None

    def receive(self, data: bytes) -> bool:
        """Take in what the socket read and call whom it concerns; whether a frame was whole."""
        if self.closed:
            return False
        handlers = self._handlers
        reader = self._reader
        received = reader.feed(data)
        try:
            for kind, flags, stream_id, payload in received:
                must_come = self._must_come
                if must_come != _ANY_KIND and kind != must_come:
                    raise self._wrong_kind()
                if not kind:
                    self._on_data(flags, stream_id, payload)
                elif kind == 1 and flags & _PLAIN_HEADERS_MASK == _END_HEADERS:
                    self._on_block(flags, stream_id, payload)
                elif kind <= frames.CONTINUATION:
                    handlers[kind](self, flags, stream_id, payload)
            if reader.oversized is not None:
                self._on_oversized(reader.oversized)
        except ProtocolViolation as violation:
            self._on_violation(violation)
        return bool(received)

    def take_output(self) -> bytes:
        """Everything due, joined, for the socket."""
        self._control_replies = 0
        return self.output.take()

    def _wrong_kind(self) -> ProtocolViolation:
        if self.ready:
            return ProtocolViolation(frames.PROTOCOL_ERROR, "a header block was interrupted by another frame")
        return ProtocolViolation(frames.PROTOCOL_ERROR, "the first frame has to be SETTINGS")

    def _on_oversized(self, header: bytes) -> None:
        raise ProtocolViolation(
            frames.FRAME_SIZE_ERROR, f"a frame is longer than {frames.FRAME_BYTES_DEFAULT} bytes"
        )

    def _closed_stream(self, stream_id: int, name: str) -> None:
        """A frame for no open stream: late for one that ended is normal, for one never opened is not."""
        if self._never_opened(stream_id):
            raise ProtocolViolation(
                frames.PROTOCOL_ERROR, f"{name} on stream {stream_id}, which was never opened"
            )

    # Header blocks.

    def _on_headers(self, flags: int, stream_id: int, payload: bytes) -> None:
        part = frames.headers_block(flags, payload)
        if flags & frames.FLAG_END_HEADERS:
            self._on_block(flags, stream_id, part)
            return
        self._block = [part]
        self._block_stream_id = stream_id
        self._block_flags = flags
        self._must_come = frames.CONTINUATION

    def _on_continuation(self, flags: int, stream_id: int, payload: bytes) -> None:
        block = self._block
        if block is None or stream_id != self._block_stream_id:
            raise ProtocolViolation(frames.PROTOCOL_ERROR, "CONTINUATION without a header block to continue")
        block.append(payload)
        if len(block) > BLOCK_FRAMES_MAX or sum(map(len, block)) > self._block_bytes_max:
            raise ProtocolViolation(
                frames.ENHANCE_YOUR_CALM,
                f"a header block exceeds {self._block_bytes_max} bytes or {BLOCK_FRAMES_MAX} frames",
            )
        if flags & frames.FLAG_END_HEADERS:
            self._block = None
            self._must_come = _ANY_KIND
            self._on_block(self._block_flags, stream_id, b"".join(block))

    # Windows.

    def _refill(self, window: int) -> int:
        """Grant the peer the connection's whole window again, now that half of it is used up.

        Args:
            window: what is left of it, below zero when the peer took more.
        """
        if window < 0:
            raise ProtocolViolation(frames.FLOW_CONTROL_ERROR, "more data than the connection's window")
        self._emit(frames.window_update_frame(0, self._window_bytes - window))
        return self._window_bytes

    def _on_window_update(self, flags: int, stream_id: int, payload: bytes) -> None:
        increment = frames.read_u32(payload, "WINDOW_UPDATE") & 0x7FFFFFFF
        if stream_id:
            stream = self._streams.get(stream_id)
            if stream is None:
                self._closed_stream(stream_id, "WINDOW_UPDATE")
            elif not increment:
                self._break(stream, frames.PROTOCOL_ERROR, "WINDOW_UPDATE of 0")
            elif not self._widen(stream, increment):
                self._break(stream, frames.FLOW_CONTROL_ERROR, f"the window of stream {stream_id} overflows")
            return
        if not increment:
            raise ProtocolViolation(frames.PROTOCOL_ERROR, "WINDOW_UPDATE of 0 for the connection")
        if self.output.widen(increment) > frames.WINDOW_BYTES_LIMIT:
            raise ProtocolViolation(frames.FLOW_CONTROL_ERROR, "the connection's window overflows")

    def _widen(self, stream: StreamT, change: int) -> bool:
        """Send on with the window that the peer granted; False when that is larger than windows can be."""
        stream.send_window += change
        if stream.send_window > frames.WINDOW_BYTES_LIMIT:
            return False
        if stream.queued and change > 0:
            stream.pump()
        return True

    # The other frames.

    def _on_settings(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id:
            raise ProtocolViolation(frames.PROTOCOL_ERROR, f"SETTINGS on stream {stream_id}")
        if flags & frames.FLAG_ACK:
            if payload:
                raise ProtocolViolation(frames.FRAME_SIZE_ERROR, "SETTINGS acknowledgement with a payload")
            if not self.ready:
                raise self._wrong_kind()
            self._on_settings_acknowledged()
            return
        # The acknowledgement first: what wider windows let out must reach the peer after it.
        self._reply(frames.SETTINGS_ACK)
        for key, value in frames.read_settings(payload):
            self._apply_setting(key, value)
        if not self.ready:
            self.ready = True
            self._must_come = _ANY_KIND
            self._on_first_settings()

    def _apply_setting(self, key: int, value: int) -> None:
        if key == frames.SETTING_INITIAL_WINDOW_SIZE:
            if value > frames.WINDOW_BYTES_LIMIT:
                raise ProtocolViolation(frames.FLOW_CONTROL_ERROR, f"SETTINGS_INITIAL_WINDOW_SIZE {value}")
            change, self.initial_window = value - self.initial_window, value
            for stream in tuple(self._streams.values()):
                if not self._widen(stream, change):
                    raise ProtocolViolation(
                        frames.FLOW_CONTROL_ERROR, f"the window of stream {stream.stream_id} overflows"
                    )
        elif key == frames.SETTING_MAX_FRAME_SIZE:
            if not frames.FRAME_BYTES_DEFAULT <= value <= frames.FRAME_BYTES_LIMIT:
                raise ProtocolViolation(frames.PROTOCOL_ERROR, f"SETTINGS_MAX_FRAME_SIZE {value}")
            self.output.frame_bytes_max = value

    def _on_ping(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id:
            raise ProtocolViolation(frames.PROTOCOL_ERROR, f"PING on stream {stream_id}")
        if len(payload) != 8:
            raise ProtocolViolation(frames.FRAME_SIZE_ERROR, f"PING of {len(payload)} bytes, expected 8")
        if flags & frames.FLAG_ACK:
            self._on_pong()
        else:
            self._reply(frames.frame(frames.PING, frames.FLAG_ACK, 0, payload))

    def _reply(self, data: bytes) -> None:
        self._control_replies += 1
        if self._control_replies > CONTROL_REPLIES_MAX:
            raise ProtocolViolation(frames.ENHANCE_YOUR_CALM, "a flood of frames that each demand an answer")
        self._emit(data)

    def _on_goaway(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id:
            raise ProtocolViolation(frames.PROTOCOL_ERROR, f"GOAWAY on stream {stream_id}")
        last_stream_id, code, _ = frames.read_goaway(payload)
        self._on_leaving(last_stream_id, code)

    def _on_priority(self, flags: int, stream_id: int, payload: bytes) -> None:
        if len(payload) != 5:
            raise ProtocolViolation(frames.FRAME_SIZE_ERROR, f"PRIORITY of {len(payload)} bytes, expected 5")

    def _on_push_promise(self, flags: int, stream_id: int, payload: bytes) -> None:
        raise ProtocolViolation(frames.PROTOCOL_ERROR, "PUSH_PROMISE, which nobody may send here")
