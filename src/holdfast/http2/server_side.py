"""A server's end of one HTTP/2 connection, sans-IO: bytes in, calls of streams out; both bodies of a stream
may be open at once.

Owns        what the client sends: frames, header blocks, SETTINGS, PING, GOAWAY, the receive windows, and the
            verdict on all of it (RFC 9113); the table of streams; how each of them ends.
Promises    a stream hears its request's body in order, then `on_end`; or `on_gone`, once, when it or the
            whole connection is cut. Nothing a client can make us keep grows without a constant below, or one
            of `ConnectionLimits`.
Never does  I/O, clocks, requests' meaning: `open_stream` is the subclass's.

Most of what a client may do wrong ends its connection, with a GOAWAY that says what it was; what breaks one
exchange alone resets that stream.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Final

from holdfast.http2 import frames
from holdfast.http2.frames import FrameReader, ProtocolViolation
from holdfast.http2.output import Output
from holdfast.http2.requests import (
    OVERSIZE_FACTOR,
    MalformedRequest,
    RefusedHeaders,
    Request,
    RequestDecoder,
)
from holdfast.http2.server_stream import ServerStream

CONTINUATION_FRAMES_MAX: Final = 64
RESETS_PER_SWEEP_MAX: Final = 1_000
"""Streams reset, by either side, between two calls of `sweep`: opening and resetting them costs a client
nothing and us an attempt each."""
CONTROL_REPLIES_MAX: Final = 1_000
"""PING and SETTINGS answers not yet taken by the socket, before the client counts as flooding."""

_ANY_KIND: Final = -1

log = logging.getLogger("holdfast.http")


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """What one connection may ask for. Sizes in bytes."""

    streams_max: int = 4096
    """At once."""
    header_bytes_max: int = 64 << 10
    """Names and values of one request; more answers 431."""
    header_count_max: int = 256
    window_bytes: int = 16 << 20
    """Of the connection."""
    stream_window_bytes: int = 2 << 20


class ServerSide(ABC):
    """Feed it with `receive`; send what `take_output` gives, until `closed`.

    Args:
        output_ready: bytes are waiting; called once until `take_output`.
    """

    def __init__(self, limits: ConnectionLimits, output_ready: Callable[[], None]) -> None:
        self._limits = limits
        self._output = Output(output_ready)
        self._emit = self._output.emit
        self._reader = FrameReader()
        self._decoder = RequestDecoder(limits.header_bytes_max, limits.header_count_max)
        self._streams: dict[int, ServerStream] = {}
        self._last_stream_id = 0
        self._initial_window = frames.WINDOW_BYTES_DEFAULT
        self._receive_window = limits.window_bytes
        self._block: list[bytes] | None = None
        self._block_stream_id = 0
        self._block_ends_stream = False
        self._must_come = frames.SETTINGS
        """The only kind allowed next, or _ANY_KIND: SETTINGS at first, CONTINUATION inside a block."""
        self._resets = 0
        self._control_replies = 0
        self.going_away = False
        """No further streams; those that are open go on."""
        self.closed = False
        """Over: send what `take_output` still gives, then hang up."""
        self._emit(
            frames.settings_frame(
                (
                    (frames.SETTING_MAX_CONCURRENT_STREAMS, limits.streams_max),
                    (frames.SETTING_INITIAL_WINDOW_SIZE, limits.stream_window_bytes),
                    (frames.SETTING_MAX_HEADER_LIST_SIZE, limits.header_bytes_max),
                )
            )
            + frames.window_update_frame(0, limits.window_bytes - frames.WINDOW_BYTES_DEFAULT)
        )

    # For the subclass.

    @abstractmethod
    def open_stream(self, stream_id: int, request: Request, ends: bool) -> ServerStream | None:
        """A request has come; None refuses it, to be tried again elsewhere.

        Args:
            ends: it has no body; `on_end` follows all the same.
        """

    @abstractmethod
    def refused_headers(self, stream_id: int, refusal: RefusedHeaders) -> ServerStream:
        """A request is to be answered with an error for its headers alone."""

    # Bytes.

    @property
    def output(self) -> Output:
        """What streams send through."""
        return self._output

    @property
    def initial_window(self) -> int:
        """What the client grants each new stream."""
        return self._initial_window

    @property
    def open_streams(self) -> int:
        """Streams that at least one side has not ended."""
        return len(self._streams)

    @property
    def streams(self) -> tuple[ServerStream, ...]:
        """Those."""
        return tuple(self._streams.values())

    @property
    def in_block(self) -> bool:
        """Whether a header block has begun and not ended."""
        return self._block is not None

    def receive(self, data: bytes) -> None:
        """Take in what the socket read."""
        if self.closed:
            return
        handlers = self._HANDLERS
        reader = self._reader
        try:
            for kind, flags, stream_id, payload in reader.feed(data):
                if kind != self._must_come and self._must_come != _ANY_KIND:
                    raise self._wrong_kind()
                if kind <= frames.CONTINUATION:
                    handlers[kind](self, flags, stream_id, payload)
            if reader.oversized is not None:
                raise ProtocolViolation(
                    frames.FRAME_SIZE_ERROR, f"a frame is longer than {frames.FRAME_BYTES_DEFAULT} bytes"
                )
        except ProtocolViolation as violation:
            self.fail(violation)

    def take_output(self) -> bytes:
        """Everything due, joined, for the socket."""
        self._control_replies = 0
        return self._output.take()

    # Ends.

    def drain(self) -> None:
        """Take no further streams; `closed` follows the last open one."""
        if not self.going_away and not self.closed:
            self.going_away = True
            self._emit(frames.goaway_frame(self._last_stream_id, frames.NO_ERROR))
            self._close_if_done()

    def fail(self, violation: ProtocolViolation) -> None:
        """End the connection with a GOAWAY that says why."""
        if not self.closed:
            self.closed = True
            self.cut_streams()
            self._emit(frames.goaway_frame(self._last_stream_id, violation.code, str(violation).encode()))

    def cut_streams(self) -> None:
        """The connection is over, whoever ended it."""
        self.closed = True
        streams, self._streams = self._streams, {}
        for stream in streams.values():
            self._cut(stream)

    def reset(self, stream: ServerStream, code: int) -> None:
        """Cut one stream off."""
        if self._streams.pop(stream.stream_id, None) is not None:
            self._resets += 1
            self._emit(frames.rst_stream_frame(stream.stream_id, code))
            self._cut(stream)
            self._close_if_done()

    def sent(self, stream: ServerStream) -> None:
        """A stream's response has been written whole."""
        if stream.remote_closed:
            self._forget(stream)

    def sweep(self, now_s: float) -> None:
        """Once in a while; bounds resets in between."""
        self._resets = 0

    def _forget(self, stream: ServerStream) -> None:
        if self._streams.pop(stream.stream_id, None) is not None:
            stream.drop()
            self._close_if_done()

    def _cut(self, stream: ServerStream) -> None:
        stream.drop()
        try:
            stream.on_gone()
        except Exception:  # one stream's bug must not keep the others
            log.exception("a stream failed when it was cut")

    def _close_if_done(self) -> None:
        if self.going_away and not self._streams:
            self.closed = True

    def _reset_by_client(self) -> None:
        self._resets += 1
        if self._resets > RESETS_PER_SWEEP_MAX:
            raise ProtocolViolation(frames.ENHANCE_YOUR_CALM, "streams are opened and reset too fast")

    # Requests.

    def _on_headers(self, flags: int, stream_id: int, payload: bytes) -> None:
        if not stream_id & 1:
            raise ProtocolViolation(frames.PROTOCOL_ERROR, f"clients cannot use stream {stream_id}")
        part = frames.headers_block(flags, payload)
        ends = bool(flags & frames.FLAG_END_STREAM)
        if flags & frames.FLAG_END_HEADERS:
            self._on_block(stream_id, part, ends)
            return
        self._block = [part]
        self._block_stream_id = stream_id
        self._block_ends_stream = ends
        self._must_come = frames.CONTINUATION

    def _on_continuation(self, flags: int, stream_id: int, payload: bytes) -> None:
        block = self._block
        if block is None or stream_id != self._block_stream_id:
            raise ProtocolViolation(frames.PROTOCOL_ERROR, "CONTINUATION without HEADERS")
        block.append(payload)
        bytes_max = self._limits.header_bytes_max * OVERSIZE_FACTOR
        if len(block) > CONTINUATION_FRAMES_MAX or sum(map(len, block)) > bytes_max:
            raise ProtocolViolation(frames.ENHANCE_YOUR_CALM, "a header block is too large")
        if flags & frames.FLAG_END_HEADERS:
            self._block = None
            self._must_come = _ANY_KIND
            self._on_block(stream_id, b"".join(block), self._block_ends_stream)

    def _on_block(self, stream_id: int, block: bytes, ends: bool) -> None:
        if stream_id <= self._last_stream_id:
            self._on_trailers(stream_id, block, ends)
            return
        self._last_stream_id = stream_id
        if self.going_away or len(self._streams) >= self._limits.streams_max:
            self._decoder.skip(block)
            self._refuse(stream_id)
            return
        stream: ServerStream | None
        try:
            stream = self.open_stream(stream_id, self._decoder.request(block), ends)
        except MalformedRequest:
            self._resets += 1
            self._emit(frames.rst_stream_frame(stream_id, frames.PROTOCOL_ERROR))
            return
        except RefusedHeaders as refusal:
            stream = self.refused_headers(stream_id, refusal)
        if stream is None:
            self._refuse(stream_id)
            return
        self._streams[stream_id] = stream
        if ends:
            self._end(stream)

    def _refuse(self, stream_id: int) -> None:
        self._emit(frames.rst_stream_frame(stream_id, frames.REFUSED_STREAM))

    def _on_trailers(self, stream_id: int, block: bytes, ends: bool) -> None:
        """Nothing in them concerns us, but that they end the request."""
        self._decoder.skip(block)
        stream = self._streams.get(stream_id)
        if stream is not None:
            if stream.remote_closed or not ends:
                self.reset(stream, frames.PROTOCOL_ERROR)
            else:
                self._end(stream)

    def _on_data(self, flags: int, stream_id: int, payload: bytes) -> None:
        size = len(payload)
        window = self._receive_window - size
        if window * 2 <= self._limits.window_bytes:
            if window < 0:
                raise ProtocolViolation(frames.FLOW_CONTROL_ERROR, "more data than the connection's window")
            self._emit(frames.window_update_frame(0, self._limits.window_bytes - window))
            window = self._limits.window_bytes
        self._receive_window = window
        stream = self._streams.get(stream_id)
        if stream is None:
            if not stream_id or stream_id > self._last_stream_id:
                raise ProtocolViolation(frames.PROTOCOL_ERROR, "DATA of a stream not opened")
            return  # sent before our reset reached the client
        if stream.remote_closed:
            self.reset(stream, frames.STREAM_CLOSED)
            return
        stream.receive_window -= size
        if stream.receive_window < 0:
            self.reset(stream, frames.FLOW_CONTROL_ERROR)
            return
        ends = flags & frames.FLAG_END_STREAM
        if stream.receive_window * 2 <= self._limits.stream_window_bytes and not ends:
            full = self._limits.stream_window_bytes
            self._emit(frames.window_update_frame(stream_id, full - stream.receive_window))
            stream.receive_window = full
        if flags & frames.FLAG_PADDED:
            payload = frames.strip_padding(payload)
        if payload and not stream.ending:
            try:
                stream.on_data(payload)
            except Exception:  # the stream's bug, not the connection's
                self._failed(stream)
                return
        if ends:
            self._end(stream)

    def _end(self, stream: ServerStream) -> None:
        stream.remote_closed = True
        if stream.local_closed:
            self._forget(stream)
        elif not stream.ending:
            try:
                stream.on_end()
            except Exception:  # likewise
                self._failed(stream)

    def _failed(self, stream: ServerStream) -> None:
        log.exception("a stream failed on what it was sent")
        self.reset(stream, frames.INTERNAL_ERROR)

    # The other frames.

    def _wrong_kind(self) -> ProtocolViolation:
        if self._must_come == frames.SETTINGS:
            return ProtocolViolation(frames.PROTOCOL_ERROR, "the first frame has to be SETTINGS")
        return ProtocolViolation(frames.PROTOCOL_ERROR, "a header block was interrupted")

    def _on_priority(self, flags: int, stream_id: int, payload: bytes) -> None:
        if len(payload) != 5:
            raise ProtocolViolation(frames.FRAME_SIZE_ERROR, f"PRIORITY of {len(payload)} bytes, expected 5")

    def _on_rst_stream(self, flags: int, stream_id: int, payload: bytes) -> None:
        frames.read_u32(payload, "RST_STREAM")
        if not stream_id or stream_id > self._last_stream_id:
            raise ProtocolViolation(frames.PROTOCOL_ERROR, "RST_STREAM of a stream not opened")
        self._reset_by_client()
        stream = self._streams.pop(stream_id, None)
        if stream is not None:
            self._cut(stream)
            self._close_if_done()

    def _on_settings(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id:
            raise ProtocolViolation(frames.PROTOCOL_ERROR, "SETTINGS belongs to stream 0")
        if flags & frames.FLAG_ACK:
            if payload:
                raise ProtocolViolation(frames.FRAME_SIZE_ERROR, "SETTINGS acknowledgement with a payload")
            return
        # The acknowledgement first: what wider windows let out must reach the client after it.
        self._reply(frames.SETTINGS_ACK)
        for key, value in frames.read_settings(payload):
            self._apply_setting(key, value)
        if self._must_come == frames.SETTINGS:
            self._must_come = _ANY_KIND

    def _apply_setting(self, key: int, value: int) -> None:
        if key == frames.SETTING_INITIAL_WINDOW_SIZE:
            if value > frames.WINDOW_BYTES_LIMIT:
                raise ProtocolViolation(frames.FLOW_CONTROL_ERROR, f"SETTINGS_INITIAL_WINDOW_SIZE {value}")
            change, self._initial_window = value - self._initial_window, value
            for stream in tuple(self._streams.values()):
                if not self._widen(stream, change):
                    raise ProtocolViolation(frames.FLOW_CONTROL_ERROR, "the window of a stream overflows")
        elif key == frames.SETTING_MAX_FRAME_SIZE:
            if not frames.FRAME_BYTES_DEFAULT <= value <= frames.FRAME_BYTES_LIMIT:
                raise ProtocolViolation(frames.PROTOCOL_ERROR, f"SETTINGS_MAX_FRAME_SIZE {value}")
            self._output.frame_bytes_max = value

    def _widen(self, stream: ServerStream, change: int) -> bool:
        stream.send_window += change
        if stream.queued and change > 0:
            stream.pump()
        return stream.send_window <= frames.WINDOW_BYTES_LIMIT

    def _on_push_promise(self, flags: int, stream_id: int, payload: bytes) -> None:
        raise ProtocolViolation(frames.PROTOCOL_ERROR, "clients cannot push")

    def _on_ping(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id or len(payload) != 8:
            raise ProtocolViolation(frames.FRAME_SIZE_ERROR, "PING carries 8 bytes, on stream 0")
        if not flags & frames.FLAG_ACK:
            self._reply(frames.frame(frames.PING, frames.FLAG_ACK, 0, payload))

    def _reply(self, data: bytes) -> None:
        self._control_replies += 1
        if self._control_replies > CONTROL_REPLIES_MAX:
            raise ProtocolViolation(frames.ENHANCE_YOUR_CALM, "a flood of frames that each demand an answer")
        self._emit(data)

    def _on_goaway(self, flags: int, stream_id: int, payload: bytes) -> None:
        frames.read_goaway(payload)
        self.going_away = True
        self._close_if_done()

    def _on_window_update(self, flags: int, stream_id: int, payload: bytes) -> None:
        increment = frames.read_u32(payload, "WINDOW_UPDATE") & 0x7FFFFFFF
        if stream_id:
            if stream_id > self._last_stream_id:
                raise ProtocolViolation(frames.PROTOCOL_ERROR, "WINDOW_UPDATE of a stream not opened")
            stream = self._streams.get(stream_id)
            if stream is not None:
                if not increment:
                    self.reset(stream, frames.PROTOCOL_ERROR)
                elif not self._widen(stream, increment):
                    self.reset(stream, frames.FLOW_CONTROL_ERROR)
            return
        if not increment:
            raise ProtocolViolation(frames.PROTOCOL_ERROR, "WINDOW_UPDATE of 0 for the connection")
        if self._output.widen(increment) > frames.WINDOW_BYTES_LIMIT:
            raise ProtocolViolation(frames.FLOW_CONTROL_ERROR, "the connection's window overflows")

    _HANDLERS: ClassVar[tuple[Callable[..., None], ...]] = (
        _on_data,
        _on_headers,
        _on_priority,
        _on_rst_stream,
        _on_settings,
        _on_push_promise,
        _on_ping,
        _on_goaway,
        _on_window_update,
        _on_continuation,
    )
    """By kind of frame, called with (self, flags, stream id, payload); unknown kinds are skipped."""
