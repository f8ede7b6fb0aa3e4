"""HTTP/2 connections of a worker: streams to attempts, and what attempts say to frames.

Everything an attempt says in a turn of the loop, and everything all attempts of a connection say, is one
write. A turn in which bodies of steps were started ends after their first moments, so that what is quick goes
out with the command that asked for it.
"""

from __future__ import annotations

import asyncio

from holdfast.http2 import frames
from holdfast.http2.frames import ProtocolViolation
from holdfast.http2.output import OUTPUT_BYTES_MAX
from holdfast.http2.requests import RefusedHeaders, Request, response_block
from holdfast.http2.server_side import ServerSide
from holdfast.http2.server_stream import ServerStream
from holdfast.sdk.endpoint.answers import Answer, problem
from holdfast.sdk.endpoint.headers import PairHeaders
from holdfast.sdk.endpoint.routes import Invoke
from holdfast.serving.runner import StreamRunner
from holdfast.serving.site import Site


class AnswerStream(ServerStream):
    """A request that is answered at once; what is left of it is read and dropped."""

    __slots__ = ("since_s",)

    def __init__(self, stream_id: int, connection: Http2Connection, window_bytes: int) -> None:
        super().__init__(stream_id, connection, window_bytes)
        self.since_s = connection.site.now_s

    def on_data(self, data: bytes) -> None:
        """Nobody reads it."""

    def on_end(self) -> None:
        """Nobody waits for it."""

    def on_gone(self) -> None:
        """Nobody minds."""


class AttemptStream(ServerStream):
    """A request that is an attempt.

    Attributes:
        since_s: when its present phase began: arriving, waiting to be taken, being discarded.
        heard: counts pieces of the request.
        moved: what `sweep` saw last, to tell whether anything moves.
    """

    __slots__ = ("_connection", "_invoke", "_responded", "due", "heard", "moved", "runner", "since_s")

    def __init__(
        self,
        stream_id: int,
        connection: Http2Connection,
        window_bytes: int,
        invoke: Invoke,
        headers: PairHeaders,
    ) -> None:
        super().__init__(stream_id, connection, window_bytes)
        self._connection = connection
        self._invoke = invoke
        self._responded = False
        self.due = False
        self.since_s = connection.site.now_s
        self.heard = self.moved = 0
        self.runner = StreamRunner(connection.site, invoke, headers, self._flush)

    def on_data(self, data: bytes) -> None:
        self.heard += 1
        self.runner.attempt.receive(data)

    def on_end(self) -> None:
        self.runner.attempt.close_input()

    def on_gone(self) -> None:
        self.runner.cut()

    def _flush(self) -> None:
        if not self.due:
            self.due = True
            self._connection.add_due(self)

    def collect(self) -> None:
        """Send what the attempt has to say."""
        self.due = False
        runner = self.runner
        runner.begun = False
        if self.closed or runner.over:
            return
        attempt = runner.attempt
        data = attempt.machine.take_output()
        if not self._responded:
            self._responded = True
            self._connection.respond(self.stream_id, self._invoke)
        if attempt.ended:
            self.since_s = self._connection.site.now_s
            if data:
                self.write_last(data)
            else:
                self.end()
            runner.finish()
        elif data:
            self.write(data)


class Http2Connection(ServerSide, asyncio.Protocol):
    """One client connection speaking HTTP/2; created when the client's preface has been read."""

    def __init__(self, site: Site, transport: asyncio.Transport) -> None:
        self.site = site
        self._transport = transport
        self._due: list[AttemptStream] = []
        self._flushing_soon = False
        self._receiving = True
        self._paused_s: float | None = None
        self._active_s = site.now_s
        super().__init__(site.limits.connection, self._flush_soon)
        self._receiving = False
        transport.set_write_buffer_limits(high=OUTPUT_BYTES_MAX)

    # asyncio.Protocol

    def data_received(self, data: bytes) -> None:
        self._receiving = True
        self._active_s = self.site.now_s
        self.receive(data)
        self._receiving = False
        for stream in self._due:
            if stream.runner.begun:
                self._flush_soon()
                return
        if not self._flushing_soon:
            self._flush()

    def pause_writing(self) -> None:
        # A client that reads nothing is not read from either.
        self._paused_s = self.site.now_s
        self.output.pause()
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        self._paused_s = None
        self.output.resume()
        if not self.closed:
            self._transport.resume_reading()

    def eof_received(self) -> bool:
        return False  # the transport closes itself

    def connection_lost(self, exc: Exception | None) -> None:
        self.cut_streams()
        self.site.remove(self)

    # What is sent.

    def add_due(self, stream: AttemptStream) -> None:
        """A stream has something to say, at the end of this turn."""
        self._due.append(stream)
        self._flush_soon()

    def respond(self, stream_id: int, invoke: Invoke) -> None:
        """The head of an attempt's response."""
        heads = self.site.heads
        known = heads.get(id(invoke))
        if known is None:
            fields = [("date", self.site.date), *invoke.text_headers]
            known = heads[id(invoke)] = invoke, response_block(200, fields)
        self._send_head(stream_id, known[1])

    def _send_head(self, stream_id: int, block: bytes) -> None:
        output = self.output
        output.emit(frames.headers_frames(stream_id, block, False, output.frame_bytes_max))

    def _flush_soon(self) -> None:
        if not self._flushing_soon and not self._receiving:
            self._flushing_soon = True
            self.site.loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flushing_soon = False
        if self._transport.is_closing():
            return
        if self._due:
            due, self._due = self._due, []
            for stream in due:
                stream.collect()
        if data := self.take_output():
            self._transport.write(data)
        if self.closed:
            self._transport.close()

    # ServerSide

    def open_stream(self, stream_id: int, request: Request, ends: bool) -> ServerStream | None:
        method, target, fields = request
        site = self.site
        headers = PairHeaders(fields)
        path = target.partition("?")[0] if "?" in target else target
        route = site.app.routes.route(method, path, headers.content_type(), headers, full_duplex=True)
        if isinstance(route, Answer):
            return self._answer(stream_id, route, bodyless=method == "HEAD")
        if not site.has_room:
            return None
        return AttemptStream(stream_id, self, site.limits.connection.stream_window_bytes, route, headers)

    def refused_headers(self, stream_id: int, refusal: RefusedHeaders) -> ServerStream:
        return self._answer(stream_id, problem(refusal.status, refusal.message))

    def _answer(self, stream_id: int, answer: Answer, *, bodyless: bool = False) -> ServerStream:
        stream = AnswerStream(stream_id, self, self.site.limits.connection.stream_window_bytes)
        self._send_head(
            stream_id, response_block(answer.status, [("date", self.site.date), *answer.text_headers])
        )
        if answer.body and not bodyless:
            stream.write_last(answer.body)
        else:
            stream.end()
        return stream

    # Connection

    def sweep(self, now_s: float) -> None:
        super().sweep(now_s)
        limits = self.site.limits
        if self._paused_s is not None and now_s - self._paused_s > limits.write_deadline_s:
            self.abort()
        elif self.closed:
            if now_s - self._active_s > limits.discard_s:
                self.abort()  # it does not take our goodbye
        elif self.in_block and now_s - self._active_s > limits.header_deadline_s:
            self.fail(ProtocolViolation(frames.ENHANCE_YOUR_CALM, "the header block did not arrive in time"))
            self._flush_soon()
        elif not self.open_streams and now_s - self._active_s > limits.keep_alive_s:
            self.drain()
        else:
            for stream in self.streams:
                self._sweep_stream(stream, now_s)

    def _sweep_stream(self, stream: ServerStream, now_s: float) -> None:
        limits = self.site.limits
        if isinstance(stream, AnswerStream):
            if now_s - stream.since_s > (limits.write_deadline_s if stream.queued else limits.discard_s):
                self.reset(stream, frames.NO_ERROR)
        elif isinstance(stream, AttemptStream):
            moved = stream.heard + stream.pumped
            if moved != stream.moved:
                stream.moved = moved
                stream.since_s = now_s
            lasted_s = now_s - stream.since_s
            if stream.queued:
                if lasted_s > limits.write_deadline_s:
                    self.reset(stream, frames.CANCEL)
            elif stream.local_closed:
                if lasted_s > limits.discard_s:
                    self.reset(stream, frames.NO_ERROR)
            elif not stream.runner.attempt.machine.ready and lasted_s > limits.replay_deadline_s:
                self.reset(stream, frames.CANCEL)

    def drain(self) -> None:
        super().drain()
        self._flush_soon()

    def abort(self) -> None:
        self._transport.abort()
