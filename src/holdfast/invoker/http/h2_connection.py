"""HTTP/2, client side, sans-IO: bytes in, listener calls; calls of the invoker, bytes out.

Owns        the streams of one connection, both flow-control windows, SETTINGS, PING, GOAWAY and the verdict
            on what the peer sends (RFC 9113).
Promises    every stream it opened hears exactly one last call, or was reset by its owner. All bytes due since
            the last `take_output` come as one joined piece. Nothing here grows without a bound: queued bytes
            are the caller's (`Stream.buffered_bytes`), everything else is limited by a constant below.
Never does  I/O, clocks, reconnects. `h2_transport` owns the socket and `pool` the choice of connection.

A general HTTP/2 library checks each frame against a state machine and describes it with an event object. Most
of that work says nothing new on a client's hot path, which is three frames per exchange. Here a frame is a
tuple, windows are plain integers, a header block is a dictionary lookup and the listener is called directly.
What a client must refuse, it still refuses: with a connection error where framing, compression or flow
control is no longer in step, and with a reset of one stream where only that exchange is broken.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

from holdfast.invoker.http import frames
from holdfast.invoker.http.api import StreamListener, TransportFailure
from holdfast.invoker.http.frames import FrameReader, ProtocolViolation, error_name
from holdfast.invoker.http.h2_output import Output
from holdfast.invoker.http.h2_stream import H2Stream
from holdfast.invoker.http.header_blocks import (
    HEADER_LIST_BYTES_MAX,
    MALFORMED_STATUS,
    BlockInParts,
    ResponseCache,
    ResponseDecoder,
)

STREAM_WINDOW_BYTES: Final = 2 * 1024 * 1024
CONNECTION_WINDOW_BYTES: Final = 16 * 1024 * 1024
CONTROL_REPLIES_MAX: Final = 1_000
"""PING and SETTINGS answers not yet taken by the socket, before the peer counts as flooding."""
RESETS_WITHOUT_PROGRESS_MAX: Final = 1_000
"""RST_STREAM frames in a row without one response in between."""

_ANY_KIND: Final = -1
_PADDED_OR_PRIORITY: Final = frames.FLAG_PADDED | frames.FLAG_PRIORITY


class ConnectionOwner(Protocol):
    """What a connection tells whoever drives it. None of these may call back into `receive`."""

    def output_ready(self) -> None:
        """Bytes are waiting; called once until `take_output`."""

    def settings_received(self) -> None:
        """The peer's first SETTINGS are known: streams may be opened."""

    def stream_closed(self) -> None:
        """One stream fewer."""

    def going_away(self) -> None:
        """No further streams on this connection (GOAWAY)."""

    def listener_failed(self, error: Exception) -> None:
        """A listener raised; its stream has been reset."""


class H2Connection:
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
        stream_window_bytes: int = STREAM_WINDOW_BYTES,
        connection_window_bytes: int = CONNECTION_WINDOW_BYTES,
        streams_total_max: int = frames.STREAM_ID_LIMIT,
        first_stream_id: int = 1,
    ) -> None:
        self._owner = owner
        self._peer = peer
        self._reader = FrameReader()
        self._decoder = ResponseDecoder(cache)
        self._streams: dict[int, H2Stream] = {}
        self._next_stream_id = first_stream_id
        self._last_stream_id_max = min(2 * streams_total_max - 1, frames.STREAM_ID_LIMIT)
        self._taken_stream_id = 0
        self._output = Output(owner.output_ready)
        self._emit = self._output.emit
        self._control_replies = 0
        self._resets = 0
        self._block: BlockInParts | None = None
        self._must_come = frames.SETTINGS
        """The only kind of frame allowed next, or _ANY_KIND.

        SETTINGS at first, CONTINUATION inside a block.
        """
        self._receive_window = self._connection_window_bytes = connection_window_bytes
        self._peer_stream_window = frames.WINDOW_BYTES_DEFAULT
        self._peer_streams_max = frames.STREAM_ID_LIMIT
        self._stream_window_bytes = stream_window_bytes
        # Read by the owner.
        self.ready = False
        """The peer's SETTINGS arrived."""
        self.draining = False
        """No further streams may be opened; the open ones go on."""
        self.closed = False
        """Over, by `fail` or a violation of the peer's: send what `take_output` still gives, then hang up."""
        self.end_reason = ""
        """Why it is closed."""
        self.pongs = 0
        self._emit(
            frames.CLIENT_PREFACE
            + frames.settings_frame(
                (
                    (frames.SETTING_HEADER_TABLE_SIZE, 0),
                    (frames.SETTING_ENABLE_PUSH, 0),
                    (frames.SETTING_INITIAL_WINDOW_SIZE, stream_window_bytes),
                    (frames.SETTING_MAX_HEADER_LIST_SIZE, HEADER_LIST_BYTES_MAX),
                )
            )
            + frames.window_update_frame(0, connection_window_bytes - frames.WINDOW_BYTES_DEFAULT)
        )

    @property
    def open_streams(self) -> int:
        return len(self._streams)

    @property
    def opened_streams(self) -> int:
        """Streams opened so far, closed ones included."""
        return self._next_stream_id >> 1

    def room(self, streams_max: int) -> bool:
        """Whether one more stream may be opened now, given our own limit and the peer's."""
        limit = self._peer_streams_max
        return (
            len(self._streams) < (streams_max if streams_max < limit else limit)
            and self.ready
            and not self.draining
            and not self.closed
        )

    # The request side.

    def open(self, block: bytes, listener: StreamListener, body: bytes = b"", end: bool = False) -> H2Stream:
        """Start a stream; the caller has asked `room` first.

        Args:
            block: a stateless header block, pseudo headers included (`header_blocks.RequestEncoder`).
        """
        stream_id = self._next_stream_id
        self._next_stream_id = stream_id + 2
        if stream_id + 2 > self._last_stream_id_max:
            self.draining = True
        output = self._output
        stream = H2Stream(
            stream_id, listener, output, self._peer_stream_window, self._stream_window_bytes, self._forget
        )
        self._streams[stream_id] = stream
        bodyless = end and not body
        output.emit(frames.headers_frames(stream_id, block, bodyless, output.frame_bytes_max))
        if bodyless:
            stream.ending = stream.local_closed = True
        elif end:
            stream.append_last(body)
        elif body:
            stream.write(body)
        return stream

    def _forget(self, stream: H2Stream) -> StreamListener:
        """Drop a stream that is closed on both sides; its listener is returned for the last call."""
        del self._streams[stream.stream_id]
        listener = stream.detach()
        self._owner.stream_closed()
        return listener

    def ping(self) -> None:
        """Ask for a sign of life; `pongs` counts the answers."""
        self._emit(frames.frame(frames.PING, 0, 0, b"holdfast"))

    def take_output(self) -> bytes:
        """Everything due, joined, for the socket."""
        self._control_replies = 0
        self._taken_stream_id = self._next_stream_id - 2
        return self._output.take()

    def pause_output(self) -> None:
        """The socket is full: keep request bodies in their streams.

        Control frames, being few, still go out.
        """
        self._output.pause()

    def resume_output(self) -> None:
        """The socket drained."""
        self._output.resume()

    # Input.

    def receive(self, data: bytes) -> None:
        """Take in what the socket read and call the listeners it concerns."""
        if self.closed:
            return
        handlers = _HANDLERS
        reader = self._reader
        try:
            for kind, flags, stream_id, payload in reader.feed(data):
                if kind != self._must_come and self._must_come != _ANY_KIND:
                    raise self._wrong_kind()
                if kind <= frames.CONTINUATION:
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

    def fail(self, reason: str, code: int = frames.NO_ERROR) -> None:
        """End the connection: GOAWAY with `code`, and every open stream fails with `reason`.

        Streams whose HEADERS never left `take_output` are certainly not processed: what was not taken is
        dropped.
        """
        if self.closed:
            return
        self.closed = True
        self.end_reason = reason
        self._output.discard()
        self._emit(frames.goaway_frame(0, code))
        self._fail_streams(list(self._streams.values()), reason, self._taken_stream_id)

    def _fail_streams(self, streams: list[H2Stream], reason: str, last_processed_id: int) -> None:
        for stream in streams:
            if not stream.closed:
                listener = self._forget(stream)
                failure = TransportFailure(reason, stream.stream_id > last_processed_id, None)
                try:
                    listener.on_failure(failure)
                except Exception as error:  # one listener's bug must not keep the others waiting
                    self._owner.listener_failed(error)

    def _fail_stream(self, stream: H2Stream, reason: str, code: int) -> None:
        """The peer broke one exchange: reset it, keep the connection."""
        self._emit(frames.rst_stream_frame(stream.stream_id, code))
        self._fail_streams([stream], f"{self._peer} sent a malformed response: {reason}", stream.stream_id)

    def _listener_failed(self, stream: H2Stream, error: Exception) -> None:
        if not stream.closed:
            self._emit(frames.rst_stream_frame(stream.stream_id, frames.INTERNAL_ERROR))
            self._forget(stream)
        self._owner.listener_failed(error)

    def _closed_stream(self, stream_id: int, name: str) -> None:
        """A frame for no open stream: late for one that ended is normal, for one never opened is not."""
        if stream_id == 0 or stream_id % 2 == 0 or stream_id >= self._next_stream_id:
            raise ProtocolViolation(
                frames.PROTOCOL_ERROR, f"{name} on stream {stream_id}, which was never opened"
            )

    def _on_data(self, flags: int, stream_id: int, payload: bytes) -> None:
        window = self._receive_window - len(payload)
        if window * 2 <= self._connection_window_bytes:
            if window < 0:
                raise ProtocolViolation(frames.FLOW_CONTROL_ERROR, "DATA beyond the connection's window")
            self._emit(frames.window_update_frame(0, self._connection_window_bytes - window))
            window = self._connection_window_bytes
        self._receive_window = window
        stream = self._streams.get(stream_id)
        if stream is None:
            self._closed_stream(stream_id, "DATA")
            return
        stream.receive_window -= len(payload)
        if stream.receive_window < 0:
            raise ProtocolViolation(
                frames.FLOW_CONTROL_ERROR, f"DATA beyond the window of stream {stream_id}"
            )
        if flags & frames.FLAG_PADDED:
            payload = frames.strip_padding(payload)
        if not stream.responded:
            self._fail_stream(stream, "DATA before HEADERS", frames.PROTOCOL_ERROR)
            return
        if payload:
            try:
                stream.listener.on_data(payload)
            except Exception as error:  # the listener's bug, not the connection's
                self._listener_failed(stream, error)
        if flags & frames.FLAG_END_STREAM:
            self._on_remote_end(stream)
        elif stream.receive_window * 2 <= self._stream_window_bytes and not (
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
        self._resets = 0
        listener = self._forget(stream)
        try:
            listener.on_end()
        except Exception as error:  # the listener's bug, not the connection's
            self._owner.listener_failed(error)

    def _on_headers(self, flags: int, stream_id: int, payload: bytes) -> None:
        part = frames.headers_block(flags, payload) if flags & _PADDED_OR_PRIORITY else payload
        if flags & frames.FLAG_END_HEADERS:
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
        ends = flags & frames.FLAG_END_STREAM
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
                stream.listener.on_response(status, headers.copy())
            except Exception as error:  # the listener's bug, not the connection's
                self._listener_failed(stream, error)
        if ends:
            self._on_remote_end(stream)

    def _on_priority(self, flags: int, stream_id: int, payload: bytes) -> None:
        if len(payload) != 5:
            raise ProtocolViolation(frames.FRAME_SIZE_ERROR, f"PRIORITY of {len(payload)} bytes, expected 5")

    def _on_rst_stream(self, flags: int, stream_id: int, payload: bytes) -> None:
        code = frames.read_u32(payload, "RST_STREAM")
        self._resets += 1
        if self._resets > RESETS_WITHOUT_PROGRESS_MAX:
            raise ProtocolViolation(
                frames.ENHANCE_YOUR_CALM, f"{self._resets} resets without a response in between"
            )
        stream = self._streams.get(stream_id)
        if stream is None:
            self._closed_stream(stream_id, "RST_STREAM")
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

    def _widen(self, stream: H2Stream, change: int) -> None:
        stream.send_window += change
        if stream.send_window > frames.WINDOW_BYTES_LIMIT:
            raise ProtocolViolation(
                frames.FLOW_CONTROL_ERROR, f"window of stream {stream.stream_id} overflows"
            )
        if stream.queued and change > 0:
            stream.pump()

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


_HANDLERS: Final[tuple[Callable[[H2Connection, int, int, bytes], None], ...]] = (
    H2Connection._on_data,
    H2Connection._on_headers,
    H2Connection._on_priority,
    H2Connection._on_rst_stream,
    H2Connection._on_settings,
    H2Connection._on_push_promise,
    H2Connection._on_ping,
    H2Connection._on_goaway,
    H2Connection._on_window_update,
    H2Connection._on_continuation,
)
