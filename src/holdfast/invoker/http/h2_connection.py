"""HTTP/2, client side, sans-IO: bytes in, listener calls; calls of the invoker, bytes out.

Owns        what the peer sends: frames, header blocks, SETTINGS, PING, GOAWAY, the receive windows, and the
            verdict on all of it (RFC 9113). The streams themselves are in `h2_streams`, which it extends.
Promises    a listener hears what its stream was sent, in order. Nothing here grows without a bound: queued
            bytes are the caller's (`Stream.buffered_bytes`), everything else has a constant below.
Never does  I/O, clocks, reconnects. `h2_transport` owns the socket and `pool` the choice of connection.

A general HTTP/2 library checks each frame against a state machine and describes it with an event object. Most
of that work says nothing new on a client's hot path, which is three frames per exchange. Here a frame is a
tuple, windows are plain integers, a header block is a dictionary lookup and the listener is called directly.
What a client must refuse, it still refuses: with a connection error where framing, compression or flow
control is no longer in step, and with a reset of one stream where only that exchange is broken.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Final

import holdfast.http2.frames as frames
from holdfast.http2.frames import FrameReader, ProtocolViolation, error_name
from holdfast.invoker.http.api import TransportFailure
from holdfast.invoker.http.h2_stream import H2Stream
from holdfast.invoker.http.h2_streams import STREAM_WINDOW_BYTES, ConnectionOwner, H2Streams
from holdfast.invoker.http.header_blocks import (
    HEADER_LIST_BYTES_MAX,
    MALFORMED_STATUS,
    BlockInParts,
    ResponseCache,
    ResponseDecoder,
)

CONNECTION_WINDOW_BYTES: Final = 16 * 1024 * 1024
CONTROL_REPLIES_MAX: Final = 1_000
"""PING and SETTINGS answers not yet taken by the socket, before the peer counts as flooding."""
RESETS_OF_CLOSED_MAX: Final = 10_000
"""RST_STREAM frames for streams already closed, without a response in between.

Others are bounded by `open`.
"""

_ANY_KIND: Final = -1
_PADDED_OR_PRIORITY: Final = frames.FLAG_PADDED | frames.FLAG_PRIORITY
_PADDED: Final = frames.FLAG_PADDED
_END_STREAM: Final = frames.FLAG_END_STREAM
_END_HEADERS: Final = frames.FLAG_END_HEADERS
_PLAIN_HEADERS_MASK: Final = _PADDED_OR_PRIORITY | _END_HEADERS


class H2Connection(H2Streams):
    """The client's end of one connection.

    Args:
        owner: see `ConnectionOwner`.
        peer: the peer's address, for messages.
        cache: response header blocks seen before; shared between connections.
        streams_total_max: how many streams it may open in its life before it drains.
        first_stream_id: odd; only tests of exhaustion start elsewhere than at 1.
    """

    def __init__(
        self,
        owner: ConnectionOwner,
        peer: str,
        cache: ResponseCache,
        *,
        streams_total_max: int = frames.STREAM_ID_LIMIT,
        first_stream_id: int = 1,
    ) -> None:
        super().__init__(owner, peer, streams_total_max, first_stream_id)
        self._reader = FrameReader()
        self._decoder = ResponseDecoder(cache)
        self._receive_window = CONNECTION_WINDOW_BYTES
        self._resets_of_closed = 0
        self._block: BlockInParts | None = None
        self._must_come = frames.SETTINGS
        """The only kind allowed next, or _ANY_KIND: SETTINGS at first, CONTINUATION inside a block."""
        self._emit(
            frames.CLIENT_PREFACE
            + frames.settings_frame(
                (
                    (frames.SETTING_HEADER_TABLE_SIZE, 0),
                    (frames.SETTING_ENABLE_PUSH, 0),
                    (frames.SETTING_INITIAL_WINDOW_SIZE, STREAM_WINDOW_BYTES),
                    (frames.SETTING_MAX_HEADER_LIST_SIZE, HEADER_LIST_BYTES_MAX),
                )
            )
            + frames.window_update_frame(0, CONNECTION_WINDOW_BYTES - frames.WINDOW_BYTES_DEFAULT)
        )

    def receive(self, data: bytes) -> None:
        """Take in what the socket read and call the listeners it concerns."""
        if self.closed:
            return
        handlers = self._HANDLERS
        reader = self._reader
        try:
            for kind, flags, stream_id, payload in reader.feed(data):
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
                self._refuse_oversized(reader.oversized)
        except ProtocolViolation as violation:
            self.fail(f"{self._peer} broke HTTP/2: {violation}", violation.code)

    def _wrong_kind(self) -> ProtocolViolation:
        if self.ready:
            return ProtocolViolation(frames.PROTOCOL_ERROR, "a header block was interrupted by another frame")
        return ProtocolViolation(frames.PROTOCOL_ERROR, "the first frame was not SETTINGS")

    def _refuse_oversized(self, header: bytes) -> None:
        if not self.ready and not header.startswith(b"\x00"):
            kind = "HTTP/1" if header.startswith(b"HTTP/") else "something that is not HTTP/2"
            self.fail(
                f"{self._peer} answered HTTP/2 (prior knowledge) with {kind} (META0014); "
                "register the deployment with use_http_11, or serve it over HTTP/2",
                frames.PROTOCOL_ERROR,
            )
            return
        raise ProtocolViolation(
            frames.FRAME_SIZE_ERROR, f"a frame exceeds {frames.FRAME_BYTES_DEFAULT} bytes"
        )

    def _on_data(self, flags: int, stream_id: int, payload: bytes) -> None:
        size = len(payload)
        if size:  # every stream's last frame has none
            window = self._receive_window - size
            if window * 2 <= CONNECTION_WINDOW_BYTES:
                if window < 0:
                    raise ProtocolViolation(frames.FLOW_CONTROL_ERROR, "DATA beyond the connection's window")
                self._emit(frames.window_update_frame(0, CONNECTION_WINDOW_BYTES - window))
                window = CONNECTION_WINDOW_BYTES
            self._receive_window = window
        stream = self._streams.get(stream_id)
        if stream is None:
            self._closed_stream(stream_id, "DATA")
            return
        if size:
            stream.receive_window = left = stream.receive_window - size
            if left < 0:
                raise ProtocolViolation(
                    frames.FLOW_CONTROL_ERROR, f"DATA beyond the window of stream {stream_id}"
                )
        if flags & _PADDED:
            payload = frames.strip_padding(payload)
        if not stream.responded:
            self._fail_stream(stream, "DATA before HEADERS", frames.PROTOCOL_ERROR)
            return
        if payload:
            try:
                stream.listener.on_data(payload)
            except Exception as error:  # the listener's bug, not the connection's
                self._listener_failed(stream, error)
        if flags & _END_STREAM:
            self._on_remote_end(stream)
        elif stream.receive_window * 2 <= STREAM_WINDOW_BYTES and not (
            stream.reading_paused or stream.closed
        ):
            stream.grant()

    def _on_remote_end(self, stream: H2Stream) -> None:
        if stream.closed:
            return
        if not stream.local_closed:
            # Nobody reads the request any more. An open one is half-closed as usual; one that is cut short is
            # reset.
            if stream.queued:
                self._emit(frames.rst_stream_frame(stream.stream_id, frames.CANCEL))
            else:
                self._emit(frames.frame_header(0, frames.DATA, frames.FLAG_END_STREAM, stream.stream_id))
        self._resets_of_closed = 0
        listener = self._forget(stream)
        try:
            listener.on_end()
        except Exception as error:  # the listener's bug, not the connection's
            self._owner.listener_failed(error)

    def _on_headers(self, flags: int, stream_id: int, payload: bytes) -> None:
        part = frames.headers_block(flags, payload) if flags & _PADDED_OR_PRIORITY else payload
        if flags & _END_HEADERS:
            self._on_block(flags, stream_id, part)
            return
        self._closed_stream(stream_id, "HEADERS")
        self._block = BlockInParts(stream_id, flags, part)
        self._must_come = frames.CONTINUATION

    def _on_continuation(self, flags: int, stream_id: int, payload: bytes) -> None:
        block = self._block
        if block is None or stream_id != block.stream_id:
            raise ProtocolViolation(frames.PROTOCOL_ERROR, "CONTINUATION without a header block to continue")
        block.add(payload)
        if flags & frames.FLAG_END_HEADERS:
            self._block = None
            self._must_come = _ANY_KIND
            self._on_block(block.flags, stream_id, block.joined())

    def _on_block(self, flags: int, stream_id: int, block: bytes) -> None:
        status, headers = self._decoder.decode(block)
        stream = self._streams.get(stream_id)
        if stream is None:
            self._closed_stream(stream_id, "HEADERS")
            return
        ends = flags & _END_STREAM
        if stream.responded:
            if status or not ends:
                self._fail_stream(
                    stream, "a second response, or trailers that do not end it", frames.PROTOCOL_ERROR
                )
                return
        elif status < 100 or status == 101:
            reason = "bad pseudo headers" if status == MALFORMED_STATUS else f"status {status or 'missing'}"
            self._fail_stream(stream, reason, frames.PROTOCOL_ERROR)
            return
        elif status < 200:
            if ends:
                self._fail_stream(stream, f"informational status {status} ends it", frames.PROTOCOL_ERROR)
            return
        else:
            stream.responded = True
            try:
                stream.listener.on_response(status, headers)
            except Exception as error:  # the listener's bug, not the connection's
                self._listener_failed(stream, error)
        if ends:
            self._on_remote_end(stream)

    def _on_priority(self, flags: int, stream_id: int, payload: bytes) -> None:
        if len(payload) != 5:
            raise ProtocolViolation(frames.FRAME_SIZE_ERROR, f"PRIORITY of {len(payload)} bytes, expected 5")

    def _on_rst_stream(self, flags: int, stream_id: int, payload: bytes) -> None:
        code = frames.read_u32(payload, "RST_STREAM")
        stream = self._streams.get(stream_id)
        if stream is None:
            self._closed_stream(stream_id, "RST_STREAM")
            self._resets_of_closed += 1
            if self._resets_of_closed > RESETS_OF_CLOSED_MAX:
                raise ProtocolViolation(frames.ENHANCE_YOUR_CALM, "a flood of resets of closed streams")
            return
        failure = TransportFailure(
            f"{self._peer} reset the stream: {error_name(code)}", code == frames.REFUSED_STREAM, code
        )
        listener = self._forget(stream)
        try:
            listener.on_failure(failure)
        except Exception as error:  # the listener's bug, not the connection's
            self._owner.listener_failed(error)

    def _on_settings(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id:
            raise ProtocolViolation(frames.PROTOCOL_ERROR, f"SETTINGS on stream {stream_id}")
        if flags & frames.FLAG_ACK:
            if payload:
                raise ProtocolViolation(frames.FRAME_SIZE_ERROR, "SETTINGS acknowledgement with a payload")
            if not self.ready:
                raise ProtocolViolation(frames.PROTOCOL_ERROR, "the first frame was not SETTINGS")
            self._decoder.table_size_acknowledged()
            return
        # The acknowledgement first: what wider windows let out must reach the peer after it.
        self._reply(frames.SETTINGS_ACK)
        for key, value in frames.read_settings(payload):
            self._apply_setting(key, value)
        if not self.ready:
            self.ready = True
            self._must_come = _ANY_KIND
            self._owner.settings_received()

    def _apply_setting(self, key: int, value: int) -> None:
        if key == frames.SETTING_INITIAL_WINDOW_SIZE:
            if value > frames.WINDOW_BYTES_LIMIT:
                raise ProtocolViolation(frames.FLOW_CONTROL_ERROR, f"SETTINGS_INITIAL_WINDOW_SIZE {value}")
            change = value - self._peer_stream_window
            self._peer_stream_window = value
            for stream in list(self._streams.values()):
                self._widen(stream, change)
        elif key == frames.SETTING_MAX_FRAME_SIZE:
            if not frames.FRAME_BYTES_DEFAULT <= value <= frames.FRAME_BYTES_LIMIT:
                raise ProtocolViolation(frames.PROTOCOL_ERROR, f"SETTINGS_MAX_FRAME_SIZE {value}")
            self._output.frame_bytes_max = value
        elif key == frames.SETTING_MAX_CONCURRENT_STREAMS:
            self._peer_streams_max = value
        elif key == frames.SETTING_ENABLE_PUSH and value:
            raise ProtocolViolation(frames.PROTOCOL_ERROR, f"SETTINGS_ENABLE_PUSH {value} from a server")

    def _on_push_promise(self, flags: int, stream_id: int, payload: bytes) -> None:
        raise ProtocolViolation(frames.PROTOCOL_ERROR, "PUSH_PROMISE, though push is disabled")

    def _on_ping(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id:
            raise ProtocolViolation(frames.PROTOCOL_ERROR, f"PING on stream {stream_id}")
        if len(payload) != 8:
            raise ProtocolViolation(frames.FRAME_SIZE_ERROR, f"PING of {len(payload)} bytes, expected 8")
        if flags & frames.FLAG_ACK:
            self.pongs += 1
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
        self.draining = True
        self._owner.going_away()
        excluded = [stream for stream in self._streams.values() if stream.stream_id > last_stream_id]
        reason = f"{self._peer} is closing the connection ({error_name(code)}) and did not process the stream"
        self._fail_streams(excluded, reason, last_stream_id)

    def _on_window_update(self, flags: int, stream_id: int, payload: bytes) -> None:
        increment = frames.read_u32(payload, "WINDOW_UPDATE") & 0x7FFFFFFF
        if stream_id:
            stream = self._streams.get(stream_id)
            if stream is None:
                self._closed_stream(stream_id, "WINDOW_UPDATE")
            elif not increment:
                self._fail_stream(stream, "WINDOW_UPDATE of 0", frames.PROTOCOL_ERROR)
            else:
                self._widen(stream, increment)
            return
        if not increment:
            raise ProtocolViolation(frames.PROTOCOL_ERROR, "WINDOW_UPDATE of 0 for the connection")
        if self._output.widen(increment) > frames.WINDOW_BYTES_LIMIT:
            raise ProtocolViolation(frames.FLOW_CONTROL_ERROR, "window of the connection overflows")

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
