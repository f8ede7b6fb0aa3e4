"""HTTP/2 connections of a worker: streams to attempts, and what attempts say to frames.

Everything an attempt says in a turn of the loop, and everything all attempts of a connection say, is one
write. A turn in which bodies of steps were started ends after their first moments, so that what is quick goes
out with the command that asked for it.
"""

from __future__ import annotations

import asyncio

from holdfast.http2 import frames
from holdfast.http2.requests import RefusedHeaders, Request, response_block
from holdfast.http2.server_stream import ServerStream
from holdfast.http_server.http2 import Http2OnSocket
from holdfast.sdk.endpoint.answers import Answer, problem
from holdfast.sdk.endpoint.headers import PairHeaders
from holdfast.sdk.endpoint.routes import Invoke
from holdfast.serving.runner import StreamRunner
from holdfast.serving.site import Site


class AnswerStream(ServerStream):
    """A request that is answered at once; what is left of it is read and dropped."""

    __slots__ = ()

    def on_data(self, data: bytes) -> None:
        """Nobody reads it."""

    def on_end(self) -> None:
        """Nobody waits for it."""

    def on_gone(self) -> None:
        """Nobody minds."""


class AttemptStream(ServerStream):
    """A request that is an attempt; pieces of it count as signs of life."""

    __slots__ = ("_connection", "_invoke", "_responded", "due", "runner")

    def __init__(
        self, stream_id: int, connection: Http2Connection, invoke: Invoke, headers: PairHeaders
    ) -> None:
        super().__init__(stream_id, connection, connection.site.now_s)
        self._connection = connection
        self._invoke = invoke
        self._responded = False
        self.due = False
        self.runner = StreamRunner(connection.site, invoke, headers, self._flush)

    def on_data(self, data: bytes) -> None:
        self.moved += 1
        self.runner.attempt.receive(data)

    def on_end(self) -> None:
        self.runner.attempt.close_input()

    def on_gone(self) -> None:
        self.runner.cut()

    def sweep(self, now_s: float) -> None:
        connection = self._connection
        if self.runner.attempt.machine.ready:
            self.since_s = now_s  # it waits for whom it called, not for its client
        elif now_s - self.since_s > connection.site.limits.replay_deadline_s:
            connection.reset(self, frames.CANCEL)

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
            self.send_head(self._connection.head(self._invoke))
        if attempt.ended:
            self.since_s = self._connection.site.now_s
            if data:
                self.write_last(data)
            else:
                self.end()
            runner.finish()
        elif data:
            self.write(data)


class Http2Connection(Http2OnSocket[Site]):
    """One client's attempts."""

    def __init__(self, site: Site, transport: asyncio.Transport) -> None:
        self._due: list[AttemptStream] = []
        super().__init__(site, transport, site.limits.connection)

    def add_due(self, stream: AttemptStream) -> None:
        """A stream has something to say, at the end of this turn."""
        self._due.append(stream)
        self.flush_soon()

    def head(self, invoke: Invoke) -> bytes:
        """The header block of an attempt's response."""
        heads = self.site.heads
        known = heads.get(id(invoke))
        if known is None:
            fields = [("date", self.site.date), *invoke.text_headers]
            known = heads[id(invoke)] = invoke, response_block(200, fields)
        return known[1]

    def flush_read(self) -> None:
        for stream in self._due:
            if stream.runner.begun:
                self.flush_soon()
                return
        super().flush_read()

    def collect(self) -> None:
        if self._due:
            due, self._due = self._due, []
            for stream in due:
                stream.collect()

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
        return AttemptStream(stream_id, self, route, headers)

    def refused_headers(self, stream_id: int, refusal: RefusedHeaders) -> ServerStream:
        return self._answer(stream_id, problem(refusal.status, refusal.message))

    def _answer(self, stream_id: int, answer: Answer, *, bodyless: bool = False) -> ServerStream:
        stream = AnswerStream(stream_id, self, self.site.now_s)
        block = response_block(answer.status, [("date", self.site.date), *answer.text_headers])
        stream.answer(block, b"" if bodyless else answer.body)
        return stream
