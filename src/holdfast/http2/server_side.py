"""A server's end of one HTTP/2 connection, sans-IO: bytes in, calls of streams out; both bodies of a stream
may be open at once.

Owns        the table of streams: how a request opens one, what it hears, and how each of them ends.
Promises    a stream hears its request's body in order, then `on_end`; or `on_gone`, once, when it or the
            whole connection is cut. Nothing a client can make us keep grows without a constant below, or one
            of `ConnectionLimits`.
Never does  I/O, clocks, requests' meaning: `open_stream` is the subclass's.

Most of what a client may do wrong ends its connection, with a GOAWAY that says what it was (`either_side`);
what breaks one exchange alone resets that stream.
"""

from __future__ import annotations

import logging
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from holdfast.http2 import frames
from holdfast.http2.either_side import EitherSide
from holdfast.http2.frames import ProtocolViolation
from holdfast.http2.requests import (
    OVERSIZE_FACTOR,
    MalformedRequest,
    RefusedHeaders,
    Request,
    RequestDecoder,
)
from holdfast.http2.server_stream import ServerStream

RESETS_PER_SWEEP_MAX: Final = 1_000
"""Streams reset, by either side, between two calls of `sweep`: opening and resetting them costs a client
nothing and us an invocation or an attempt each."""
DISCARD_BYTES_MAX: Final = 16 << 20
"""Of a request behind its response. Many clients read a response only when they have sent all they wanted to,
so what is still to come is taken and dropped before it is refused."""

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


class ServerSide(EitherSide[ServerStream]):
    """The streams of one client; see `EitherSide` for how it is fed.

    Attributes:
        stream_window_bytes: what the client may send on a stream before it is granted more.
        going_away: no further streams; those that are open go on.
    """

    def __init__(self, limits: ConnectionLimits, output_ready: Callable[[], None]) -> None:
        super().__init__(output_ready, limits.window_bytes, limits.header_bytes_max * OVERSIZE_FACTOR)
        self._limits = limits
        self._decoder = RequestDecoder(limits.header_bytes_max, limits.header_count_max)
        self._last_stream_id = 0
        self._resets = 0
        self.stream_window_bytes = limits.stream_window_bytes
        self.going_away = False
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

        Raises:
            MalformedRequest: it contradicts itself.
        """

    @abstractmethod
    def refused_headers(self, stream_id: int, refusal: RefusedHeaders) -> ServerStream:
        """A request is to be answered with an error for its headers alone."""

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

    def _break(self, stream: ServerStream, code: int, reason: str) -> None:
        self.reset(stream, code)
        self._check_resets()

    def _check_resets(self) -> None:
        if self._resets > RESETS_PER_SWEEP_MAX:
            raise ProtocolViolation(frames.ENHANCE_YOUR_CALM, "streams are opened and reset too fast")

    # Requests.

    def _on_block(self, flags: int, stream_id: int, block: bytes) -> None:
        if not stream_id & 1:
            raise ProtocolViolation(frames.PROTOCOL_ERROR, f"clients cannot use stream {stream_id}")
        ends = bool(flags & frames.FLAG_END_STREAM)
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
            self._check_resets()
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
                self._break(stream, frames.PROTOCOL_ERROR, "a header block that ends nothing")
            else:
                self._end(stream)

    def _on_data(self, flags: int, stream_id: int, payload: bytes) -> None:
        size = len(payload)
        window = self._receive_window - size
        if window * 2 <= self._window_bytes:
            window = self._refill(window)
        self._receive_window = window
        stream = self._streams.get(stream_id)
        if stream is None:
            self._closed_stream(stream_id, "DATA")
            return
        if stream.remote_closed:
            self._break(stream, frames.STREAM_CLOSED, "DATA behind the end")
            return
        stream.receive_window -= size
        if stream.receive_window < 0:
            self._break(stream, frames.FLOW_CONTROL_ERROR, "more data than the stream's window")
            return
        ends = flags & frames.FLAG_END_STREAM
        full = self.stream_window_bytes
        if stream.receive_window * 2 <= full and not ends:
            self._emit(frames.window_update_frame(stream_id, full - stream.receive_window))
            stream.receive_window = full
        if flags & frames.FLAG_PADDED:
            payload = frames.strip_padding(payload)
        if stream.ending:
            stream.discarded_bytes += size
            if stream.discarded_bytes > DISCARD_BYTES_MAX and not ends:
                self._break(stream, frames.NO_ERROR, "the response has been given")
                return
        elif payload:
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
            except MalformedRequest as error:
                self._break(stream, frames.PROTOCOL_ERROR, str(error))
            except Exception:  # likewise
                self._failed(stream)

    def _failed(self, stream: ServerStream) -> None:
        log.exception("a stream failed on what it was sent")
        self.reset(stream, frames.INTERNAL_ERROR)

    # The other frames.

    def _on_violation(self, violation: ProtocolViolation) -> None:
        self.fail(violation)

    def _never_opened(self, stream_id: int) -> bool:
        return not 0 < stream_id <= self._last_stream_id

    def _on_rst_stream(self, flags: int, stream_id: int, payload: bytes) -> None:
        frames.read_u32(payload, "RST_STREAM")
        self._closed_stream(stream_id, "RST_STREAM")
        self._resets += 1
        self._check_resets()
        stream = self._streams.pop(stream_id, None)
        if stream is not None:
            self._cut(stream)
            self._close_if_done()

    def _on_leaving(self, last_stream_id: int, code: int) -> None:
        self.going_away = True
        self._close_if_done()
