"""HTTP/2, client side, sans-IO: bytes in, listener calls; calls of the invoker, bytes out.

Owns        what the peer sends on streams, and the verdict on it (RFC 9113). What is the connection's own is
            in `http2.either_side`, the streams' lives are in `h2_streams`, which it extends.
Promises    a listener hears what its stream was sent, in order. Nothing here grows without a bound: queued
            bytes are the caller's (`Stream.buffered_bytes`), everything else has a constant.
Never does  I/O, clocks, reconnects. `h2_transport` owns the socket and `pool` the choice of connection.

What a client must refuse, it refuses: with a connection error where framing, compression or flow control is
no longer in step, and with a reset of one stream where only that exchange is broken.
"""

from __future__ import annotations

from typing import Final

import holdfast.http2.frames as frames
from holdfast.http2.frames import ProtocolViolation, error_name
from holdfast.invoker.http.api import TransportFailure
from holdfast.invoker.http.h2_stream import H2Stream
from holdfast.invoker.http.h2_streams import (
    CONNECTION_WINDOW_BYTES,
    STREAM_WINDOW_BYTES,
    ConnectionOwner,
    H2Streams,
)
from holdfast.invoker.http.header_blocks import (
    HEADER_LIST_BYTES_MAX,
    MALFORMED_STATUS,
    ResponseCache,
    ResponseDecoder,
)

RESETS_OF_CLOSED_MAX: Final = 10_000
"""RST_STREAM frames for streams already closed, without a response in between.

Others are bounded by `open`.
"""

_PADDED: Final = frames.FLAG_PADDED
_END_STREAM: Final = frames.FLAG_END_STREAM


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
        self._decoder = ResponseDecoder(cache)
        self._resets_of_closed = 0
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

    def _on_violation(self, violation: ProtocolViolation) -> None:
        self.fail(f"{self._peer} broke HTTP/2: {violation}", violation.code)

    def _on_oversized(self, header: bytes) -> None:
        if not self.ready and not header.startswith(b"\x00"):
            kind = "HTTP/1" if header.startswith(b"HTTP/") else "something that is not HTTP/2"
            self.fail(
                f"{self._peer} answered HTTP/2 (prior knowledge) with {kind} (META0014); "
                "register the deployment with use_http_11, or serve it over HTTP/2",
                frames.PROTOCOL_ERROR,
            )
            return
        super()._on_oversized(header)

    def _break(self, stream: H2Stream, code: int, reason: str) -> None:
        if code == frames.FLOW_CONTROL_ERROR:
            raise ProtocolViolation(code, reason)
        self._fail_stream(stream, reason, code)

    def _on_data(self, flags: int, stream_id: int, payload: bytes) -> None:
        size = len(payload)
        if size:  # every stream's last frame has none
            window = self._receive_window - size
            if window * 2 <= CONNECTION_WINDOW_BYTES:
                window = self._refill(window)
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

    def _on_settings_acknowledged(self) -> None:
        self._decoder.table_size_acknowledged()

    def _on_first_settings(self) -> None:
        self._owner.settings_received()

    def _apply_setting(self, key: int, value: int) -> None:
        if key == frames.SETTING_MAX_CONCURRENT_STREAMS:
            self._peer_streams_max = value
        elif key == frames.SETTING_ENABLE_PUSH and value:
            raise ProtocolViolation(frames.PROTOCOL_ERROR, f"SETTINGS_ENABLE_PUSH {value} from a server")
        else:
            super()._apply_setting(key, value)

    def _on_pong(self) -> None:
        self.pongs += 1

    def _on_leaving(self, last_stream_id: int, code: int) -> None:
        self.draining = True
        self._owner.going_away()
        excluded = [stream for stream in self._streams.values() if stream.stream_id > last_stream_id]
        reason = f"{self._peer} is closing the connection ({error_name(code)}) and did not process the stream"
        self._fail_streams(excluded, reason, last_stream_id)
