"""HTTP/2 connections, with prior knowledge or chosen by ALPN: frames to exchanges and responses to frames.

A stream becomes an `Http2Exchange` when its headers are whole, is handled when its body is, and is forgotten
when its response has been sent, so the table of streams is also the bound on them. What a client may make us
keep is bounded everywhere: bodies by the limits, header blocks by size and number of frames, responses by
number and a deadline on windows that do not open, and resets by a rate, since opening
and resetting streams costs a client nothing and us an invocation each.

What leaves is `http2_sender`'s business.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from holdfast.http2 import frames
from holdfast.http2.frames import Frame, FrameReader, ProtocolViolation
from holdfast.http2.requests import (
    CONTINUE_BLOCK,
    OVERSIZE_FACTOR,
    MalformedRequest,
    RefusedHeaders,
    RequestDecoder,
    response_block,
)
from holdfast.ingress.errors import (
    OVERLOADED,
    REQUEST_TIMEOUT,
    RequestError,
    body_too_large,
    refusal,
)
from holdfast.ingress.http2_sender import Sender
from holdfast.ingress.http2_stream import Http2Exchange
from holdfast.ingress.site import Site

STREAM_WINDOW_BYTES: Final = 1 << 20
CONNECTION_WINDOW_BYTES: Final = 16 << 20
CONTINUATION_FRAMES_MAX: Final = 64
RESETS_PER_TICK_MAX: Final = 1000
DISCARD_BYTES_MAX: Final = 16 << 20
DISCARD_S: Final = 5.0


class Http2Connection(asyncio.Protocol):
    """One client connection speaking HTTP/2; created when the client's preface has been read."""

    def __init__(self, site: Site, transport: asyncio.Transport) -> None:
        self._site = site
        self._transport = transport
        self._limits = site.limits
        self._sender = Sender(site, transport, self._sent)
        self._reader = FrameReader()
        self._decoder = RequestDecoder(site.limits.header_bytes_max, site.limits.header_count_max)
        self._streams: dict[int, Http2Exchange] = {}
        self._last_stream_id = 0
        self._block: list[bytes] | None = None
        self._block_stream_id = 0
        self._block_ends_stream = False
        self._settled = False
        self._going_away = False
        self._closed = False
        self._resets = 0
        self._receive_window = CONNECTION_WINDOW_BYTES
        self._since_s = site.now_s
        self._handlers = {
            frames.DATA: self._on_data,
            frames.HEADERS: self._on_headers,
            frames.PRIORITY: self._ignore,
            frames.RST_STREAM: self._on_reset,
            frames.SETTINGS: self._on_settings,
            frames.PUSH_PROMISE: self._on_push_promise,
            frames.PING: self._on_ping,
            frames.GOAWAY: self._on_goaway,
            frames.WINDOW_UPDATE: self._on_window_update,
            frames.CONTINUATION: self._on_continuation,
        }
        self._write(
            frames.settings_frame(
                (
                    (frames.SETTING_MAX_CONCURRENT_STREAMS, self._limits.streams_max),
                    (frames.SETTING_INITIAL_WINDOW_SIZE, STREAM_WINDOW_BYTES),
                    (frames.SETTING_MAX_HEADER_LIST_SIZE, self._limits.header_bytes_max),
                )
            )
            + frames.window_update_frame(0, CONNECTION_WINDOW_BYTES - frames.WINDOW_BYTES_DEFAULT)
        )

    # ------------------------------------------------------------ frames in

    def data_received(self, data: bytes) -> None:
        if self._closed:
            return
        self._sender.corked = True
        try:
            for frame in self._reader.feed(data):
                if not self._is_closed():
                    self._receive(frame)
            if self._reader.oversized is not None:
                raise ProtocolViolation(frames.FRAME_SIZE_ERROR, "a frame is longer than 16384 bytes")
        except ProtocolViolation as violation:
            self._fail(violation)
        self._sender.corked = False
        self._sender.flush()

    def _receive(self, frame: Frame) -> None:
        kind, flags, stream_id, payload = frame
        if not self._settled and kind != frames.SETTINGS:
            raise ProtocolViolation(frames.PROTOCOL_ERROR, "the first frame has to be SETTINGS")
        if self._block is not None and kind != frames.CONTINUATION:
            raise ProtocolViolation(frames.PROTOCOL_ERROR, "a header block was interrupted")
        self._since_s = self._site.now_s
        handler = self._handlers.get(kind)
        if handler is not None:
            handler(flags, stream_id, payload)
        if self._resets > RESETS_PER_TICK_MAX:
            raise ProtocolViolation(frames.ENHANCE_YOUR_CALM, "streams are opened and reset too fast")

    def _ignore(self, flags: int, stream_id: int, payload: bytes) -> None:
        pass

    def _on_push_promise(self, flags: int, stream_id: int, payload: bytes) -> None:
        raise ProtocolViolation(frames.PROTOCOL_ERROR, "clients cannot push")

    def _on_goaway(self, flags: int, stream_id: int, payload: bytes) -> None:
        self._going_away = True
        self._close_if_done()

    def _on_ping(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id or len(payload) != 8:
            raise ProtocolViolation(frames.FRAME_SIZE_ERROR, "PING carries 8 bytes, on stream 0")
        if not flags & frames.FLAG_ACK:
            self._write(frames.frame(frames.PING, frames.FLAG_ACK, 0, payload))

    def _on_settings(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id:
            raise ProtocolViolation(frames.PROTOCOL_ERROR, "SETTINGS belongs to stream 0")
        self._settled = True
        if flags & frames.FLAG_ACK:
            return
        self._sender.apply_settings(payload, tuple(self._streams.values()))

    def _on_window_update(self, flags: int, stream_id: int, payload: bytes) -> None:
        increment = frames.read_u32(payload, "WINDOW_UPDATE") & 0x7FFFFFFF
        if stream_id == 0:
            self._sender.open_window(increment, tuple(self._streams.values()))
            return
        if stream_id > self._last_stream_id:
            raise ProtocolViolation(frames.PROTOCOL_ERROR, "WINDOW_UPDATE of a stream not opened")
        stream = self._streams.get(stream_id)
        if stream is not None and not self._sender.open_stream_window(stream, increment):
            self._reset(stream, frames.FLOW_CONTROL_ERROR)

    def _on_reset(self, flags: int, stream_id: int, payload: bytes) -> None:
        frames.read_u32(payload, "RST_STREAM")
        if not stream_id or stream_id > self._last_stream_id:
            raise ProtocolViolation(frames.PROTOCOL_ERROR, "RST_STREAM of a stream not opened")
        self._resets += 1
        stream = self._streams.get(stream_id)
        if stream is not None:
            self._forget(stream)

    # ------------------------------------------------------------ requests

    def _on_headers(self, flags: int, stream_id: int, payload: bytes) -> None:
        if not stream_id & 1:
            raise ProtocolViolation(frames.PROTOCOL_ERROR, f"clients cannot use stream {stream_id}")
        if flags & frames.FLAG_PADDED:
            payload = frames.strip_padding(payload)
        if flags & frames.FLAG_PRIORITY:
            if len(payload) < 5:
                raise ProtocolViolation(frames.FRAME_SIZE_ERROR, "HEADERS too short for its priority")
            payload = payload[5:]
        self._block = [payload]
        self._block_stream_id = stream_id
        self._block_ends_stream = bool(flags & frames.FLAG_END_STREAM)
        if flags & frames.FLAG_END_HEADERS:
            self._on_block()

    def _on_continuation(self, flags: int, stream_id: int, payload: bytes) -> None:
        block = self._block
        if block is None or stream_id != self._block_stream_id:
            raise ProtocolViolation(frames.PROTOCOL_ERROR, "CONTINUATION without HEADERS")
        block.append(payload)
        bytes_max = self._limits.header_bytes_max * OVERSIZE_FACTOR
        if len(block) > CONTINUATION_FRAMES_MAX or sum(map(len, block)) > bytes_max:
            raise ProtocolViolation(frames.ENHANCE_YOUR_CALM, "a header block is too large")
        if flags & frames.FLAG_END_HEADERS:
            self._on_block()

    def _on_block(self) -> None:
        stream_id, ends_stream = self._block_stream_id, self._block_ends_stream
        block = b"".join(self._block or ())
        self._block = None
        stream = self._streams.get(stream_id)
        if stream is not None:  # trailers: nothing in them concerns us
            self._decoder.skip(block)
            if stream.complete or not ends_stream:
                self._reset(stream, frames.PROTOCOL_ERROR)
            elif stream.answered:
                self._end_discarding(stream, complete=True)
            else:
                self._complete(stream)
            return
        if stream_id <= self._last_stream_id:
            self._decoder.skip(block)
            return  # trailers of a stream answered early
        self._last_stream_id = stream_id
        if self._going_away or len(self._streams) >= self._limits.streams_max:
            self._decoder.skip(block)
            self._write(frames.rst_stream_frame(stream_id, frames.REFUSED_STREAM))
            return
        stream = Http2Exchange(
            self, stream_id, STREAM_WINDOW_BYTES, self._sender.initial_window, self._site.now_s
        )
        self._streams[stream_id] = stream
        try:
            stream.method, stream.target, stream.headers = self._decoder.request(block)
            if stream.read_headers(self._limits, self._site.buffered_bytes):
                self._sender.headers(stream, CONTINUE_BLOCK, ends_stream=False)
        except MalformedRequest:
            self._reset(stream, frames.PROTOCOL_ERROR)
        except (RequestError, RefusedHeaders) as error:
            stream.complete = ends_stream
            stream.respond(*refusal(error.status, error.message))
        else:
            if ends_stream:
                self._complete(stream)

    def _on_data(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id > self._last_stream_id or not stream_id:
            raise ProtocolViolation(frames.PROTOCOL_ERROR, "DATA of a stream not opened")
        size = len(payload)
        self._receive_window -= size
        if self._receive_window < 0:
            raise ProtocolViolation(frames.FLOW_CONTROL_ERROR, "more data than the connection's window")
        if self._receive_window < CONNECTION_WINDOW_BYTES // 2:
            self._write(frames.window_update_frame(0, CONNECTION_WINDOW_BYTES - self._receive_window))
            self._receive_window = CONNECTION_WINDOW_BYTES
        stream = self._streams.get(stream_id)
        if stream is None:
            return  # sent before our reset reached the client
        if stream.complete:
            self._reset(stream, frames.STREAM_CLOSED)
            return
        ends_stream = flags & frames.FLAG_END_STREAM
        stream.receive_window -= size
        if stream.receive_window < 0:
            self._reset(stream, frames.FLOW_CONTROL_ERROR)
            return
        if stream.receive_window < STREAM_WINDOW_BYTES // 2 and not ends_stream:
            self._write(frames.window_update_frame(stream_id, STREAM_WINDOW_BYTES - stream.receive_window))
            stream.receive_window = STREAM_WINDOW_BYTES
        data = frames.strip_padding(payload) if flags & frames.FLAG_PADDED else payload
        if stream.answered:
            stream.discarded_bytes += size
            if ends_stream or stream.discarded_bytes > DISCARD_BYTES_MAX:
                self._end_discarding(stream, complete=bool(ends_stream))
            return
        if data:
            stream.parts.append(data)
            stream.size += len(data)
            self._site.buffered_bytes += len(data)
        if stream.size > self._limits.request_bytes_max:
            error = body_too_large(self._limits.request_bytes_max)
            stream.respond(*refusal(error.status, error.message))
        elif self._site.buffered_bytes > self._limits.buffered_bytes_max:
            stream.respond(*refusal(429, OVERLOADED))
        elif ends_stream:
            self._complete(stream)

    def _complete(self, stream: Http2Exchange) -> None:
        stream.complete = True
        if stream.length is not None and stream.length != stream.size:
            self._reset(stream, frames.PROTOCOL_ERROR)
            return
        parts, stream.parts = stream.parts, []
        stream.body = parts[0] if len(parts) == 1 else b"".join(parts)
        self._site.handle(stream)

    # ------------------------------------------------------------ responses

    def respond(
        self, stream: Http2Exchange, status: int, fields: Sequence[tuple[str, str]], body: bytes
    ) -> None:
        """Send a response as far as the client's windows reach; the rest follows when they open."""
        if stream.answered or stream.stream_id not in self._streams:
            return
        stream.answered = True
        self._release(stream)
        headers = [("date", self._site.date), *fields]
        if stream.origin is not None:
            headers += (
                ("access-control-allow-origin", stream.origin),
                ("access-control-allow-credentials", "true"),
                ("vary", "origin, access-control-request-method, access-control-request-headers"),
            )
        headers.append(("content-length", str(len(body))))
        if stream.method == "HEAD":
            body = b""
        block = response_block(status, headers)
        self._sender.headers(stream, block, ends_stream=not body)
        if body:
            self._sender.body(stream, body)
        else:
            self._sent(stream)

    def _sent(self, stream: Http2Exchange) -> None:
        if stream.complete:
            self._forget(stream)
        else:
            # Many clients read a response only when they have sent all they wanted to, so what is still to
            # come is taken and dropped for a while before it is refused.
            stream.since_s = self._site.now_s

    def _end_discarding(self, stream: Http2Exchange, *, complete: bool) -> None:
        stream.complete = True
        if not complete:
            self._write(frames.rst_stream_frame(stream.stream_id, frames.NO_ERROR))
            self._forget(stream)
        elif not stream.rest:
            self._forget(stream)

    def _reset(self, stream: Http2Exchange, code: int) -> None:
        self._resets += 1
        self._write(frames.rst_stream_frame(stream.stream_id, code))
        self._forget(stream)

    def _forget(self, stream: Http2Exchange) -> None:
        if self._streams.pop(stream.stream_id, None) is not None:
            self._release(stream)
            stream.abandon()
            self._close_if_done()

    def _release(self, stream: Http2Exchange) -> None:
        self._site.buffered_bytes -= stream.size
        stream.size = 0
        stream.parts = []

    def _write(self, data: bytes) -> None:
        if not self._closed:
            self._sender.write(data)

    def pause_writing(self) -> None:
        self._sender.paused_s = self._site.now_s
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        self._sender.paused_s = None
        if not self._closed:
            self._transport.resume_reading()
            self._sender.resume(tuple(self._streams.values()))

    # ------------------------------------------------------------ ends

    def _is_closed(self) -> bool:
        return self._closed

    def _fail(self, violation: ProtocolViolation) -> None:
        self._write(frames.goaway_frame(self._last_stream_id, violation.code, str(violation).encode()))
        self._close()

    def _close_if_done(self) -> None:
        if self._going_away and not self._streams:
            self._close()

    def _close(self) -> None:
        if not self._closed:
            self._closed = True
            self._sender.flush()
            self._transport.close()
            self._forget_all()

    def _forget_all(self) -> None:
        streams, self._streams = self._streams, {}
        for stream in streams.values():
            self._release(stream)
            stream.abandon()

    def eof_received(self) -> bool:
        return False  # the transport closes itself

    def connection_lost(self, exc: Exception | None) -> None:
        self._closed = True
        self._sender.discard()
        self._forget_all()
        self._site.remove(self)

    def sweep(self, now_s: float) -> None:
        limits = self._limits
        self._resets = 0
        if self._sender.paused_s is not None and now_s - self._sender.paused_s > limits.write_deadline_s:
            self.abort()
        elif self._block is not None and now_s - self._since_s > limits.header_deadline_s:
            self._fail(ProtocolViolation(frames.ENHANCE_YOUR_CALM, "the header block did not arrive in time"))
        elif not self._streams and now_s - self._since_s > limits.keep_alive_s:
            self.drain()
        for stream in tuple(self._streams.values()):
            lasted_s = now_s - stream.since_s
            if stream.rest:
                if lasted_s > limits.write_deadline_s:
                    self._reset(stream, frames.CANCEL)
            elif stream.answered:
                if lasted_s > DISCARD_S:
                    self._end_discarding(stream, complete=False)
            elif (
                not stream.complete
                and lasted_s > limits.body_deadline_s + stream.size / limits.body_bytes_per_s_min
            ):
                stream.respond(*refusal(408, REQUEST_TIMEOUT))

    def drain(self) -> None:
        if not self._going_away:
            self._going_away = True
            self._write(frames.goaway_frame(self._last_stream_id, frames.NO_ERROR))
        self._close_if_done()

    def abort(self) -> None:
        self._transport.abort()
