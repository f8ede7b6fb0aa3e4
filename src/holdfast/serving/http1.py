"""HTTP/1.1 connections of a worker: one request at a time, and its response, which may begin before it ends.

What an attempt says goes out in chunks as it comes; one that has said all by its first turn gets a plain
response. A client that sends a second request before the first is answered gets the first answer, and behind
it the connection closes: it may ask again on another.

A client that closes its side is taken to be gone.
"""

from __future__ import annotations

import asyncio
from typing import Final

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser

from holdfast.http2.requests import HEADERS_TOO_LARGE
from holdfast.http_server.http1_text import CONTINUE, PHRASES, framing_head, origin_form
from holdfast.http_server.site import Connection
from holdfast.sdk.endpoint.answers import Answer, problem
from holdfast.sdk.endpoint.headers import PairHeaders
from holdfast.serving.runner import StreamRunner
from holdfast.serving.site import Site

OVERLOADED: Final = "this endpoint runs as many attempts as it can, retry later"
TIMED_OUT: Final = "the request did not arrive in time"
LAST_CHUNK: Final = b"0\r\n\r\n"

# What a connection is doing; deadlines depend on it.
_IDLE, _HEAD, _BODY, _LATE, _CLOSED = range(5)
"""Between requests; in a head; from there to the end of the response; behind that, while the request goes on;
over."""


class Http1Connection(Connection):
    """One client connection speaking HTTP/1.0 or 1.1."""

    def __init__(self, site: Site, transport: asyncio.Transport) -> None:
        self._site = site
        self._transport = transport
        self._limits = site.limits.connection
        self._parser = HttpRequestParser(self)
        self._declining = False
        self._deaf = False
        """No further request is read: the connection ends with the present one."""
        self._phase = _IDLE
        self._since_s = site.now_s
        self._paused_s: float | None = None
        self._silent_bytes = 0
        """Read since the parser last called back: it keeps them."""
        self._receiving = False
        self._flushing_soon = False
        self._next_request()

    def _next_request(self) -> None:
        self._url = b""
        self._headers: list[tuple[str, str]] = []
        self._head_bytes = 0
        self._old = False
        self._keep_alive = True
        self._request_ended = False
        self._bodyless = False
        self._runner: StreamRunner | None = None
        self._answer: Answer | None = None
        self._response_headers: list[tuple[str, str]] = []
        self._responded = False

    def _enter(self, phase: int) -> None:
        self._phase = phase
        self._since_s = self._site.now_s

    # asyncio.Protocol

    def data_received(self, data: bytes) -> None:
        self._receiving = True
        self._silent_bytes += len(data)
        while data and not self._deaf:
            try:
                self._parser.feed_data(data)
                break
            except HttpParserUpgrade as upgrade:
                data = data[upgrade.args[0] :]
                self._decline_upgrade()
            except HttpParserError as error:
                self._refuse(400, f"bad request: {error}")
        if self._silent_bytes > self._limits.header_bytes_max:
            self._refuse(431, HEADERS_TOO_LARGE)
        self._receiving = False
        if self._runner is not None and self._runner.begun:
            self._flush_soon()
        elif not self._flushing_soon:
            self._flush()

    def pause_writing(self) -> None:
        # What there is to say stays where it is; a client that reads nothing is not read from either.
        self._paused_s = self._site.now_s
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        self._paused_s = None
        if self._phase != _CLOSED:
            self._transport.resume_reading()
            self._flush_soon()

    def connection_lost(self, exc: Exception | None) -> None:
        self._phase = _CLOSED
        self._deaf = True
        if self._runner is not None:
            self._runner.cut()
        self._site.remove(self)

    # The parser calls.

    def on_message_begin(self) -> None:
        self._silent_bytes = 0
        if self._phase == _IDLE and not self._deaf:
            self._next_request()
            self._enter(_HEAD)
        elif not self._declining:
            self._deaf = True
            self._keep_alive = False

    def on_url(self, url: bytes) -> None:
        if self._phase == _HEAD:
            self._url += url
            self._head_bytes += len(url)
            if self._head_bytes > self._limits.header_bytes_max:
                self._refuse(431, HEADERS_TOO_LARGE)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._silent_bytes = 0
        if self._phase == _HEAD:
            self._head_bytes += len(name) + len(value)
            self._headers.append((name.decode("latin-1").lower(), value.decode("latin-1")))
            limits = self._limits
            if len(self._headers) > limits.header_count_max or self._head_bytes > limits.header_bytes_max:
                self._refuse(431, HEADERS_TOO_LARGE)

    def on_headers_complete(self) -> None:
        self._silent_bytes = 0
        if self._phase != _HEAD:
            return
        self._enter(_BODY)
        method = self._parser.get_method().decode("latin-1")
        self._bodyless = method == "HEAD"
        self._old = self._parser.get_http_version() == "1.0"
        headers = PairHeaders(self._headers)
        path = origin_form(self._url.decode("latin-1")).partition("?")[0]
        route = self._site.app.routes.route(method, path, headers.content_type(), headers, full_duplex=False)
        if isinstance(route, Answer):
            self._answer = route
        elif not self._site.has_room:
            self._answer = problem(503, OVERLOADED)
        else:
            self._response_headers = route.text_headers
            self._runner = StreamRunner(self._site, route, headers, self._flush_soon)
        if headers.get("expect", "").lower() == "100-continue" and not self._old:
            self._transport.write(CONTINUE)

    def on_body(self, body: bytes) -> None:
        self._silent_bytes = 0
        runner = self._runner
        if runner is None or self._deaf or self._phase != _BODY:
            return
        self._since_s = self._site.now_s
        if not runner.over:
            runner.attempt.receive(body)

    def on_message_complete(self) -> None:
        self._silent_bytes = 0
        if self._deaf or self._phase not in (_BODY, _LATE) or self._parser.should_upgrade():
            return
        self._request_ended = True
        self._keep_alive = self._parser.should_keep_alive() and self._keep_alive
        if self._phase == _LATE:
            self._response_over()
        elif self._runner is not None and not self._runner.attempt.ended:
            self._runner.attempt.close_input()

    def _decline_upgrade(self) -> None:
        """Go on with HTTP/1.1 after a request that asked for another protocol."""
        self._parser = HttpRequestParser(self)
        self._declining = True
        self._parser.feed_data(framing_head(self._headers, old=self._old).encode("latin-1"))
        self._declining = False

    # What is sent.

    def _flush_soon(self) -> None:
        if not self._flushing_soon and not self._receiving:
            self._flushing_soon = True
            self._site.loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flushing_soon = False
        if self._phase != _BODY or self._paused_s is not None:
            return
        if self._runner is not None:
            self._flush_attempt(self._runner)
        elif self._answer is not None and (self._request_ended or self._deaf):
            self._write_whole(self._answer.status, self._answer.text_headers, self._answer.body)

    def _flush_attempt(self, runner: StreamRunner) -> None:
        runner.begun = False
        attempt = runner.attempt
        data = attempt.machine.take_output()
        if attempt.ended:
            runner.finish()
            if not self._responded:
                length = ("content-length", str(len(data)))
                self._write_whole(200, [*self._response_headers, length], data)
                return
        if data:
            if not self._responded:
                self._responded = True
                framing = [] if self._old else [("transfer-encoding", "chunked")]
                self._keep_alive = self._keep_alive and not self._old
                self._transport.write(self._head(200, [*self._response_headers, *framing]))
            self._transport.write(data if self._old else b"%x\r\n%b\r\n" % (len(data), data))
        if attempt.ended:
            if not self._old:
                self._transport.write(LAST_CHUNK)
            self._response_over()

    def _write_whole(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self._responded = True
        head = self._head(status, headers)
        self._transport.write(head if self._bodyless else head + body)
        self._response_over()

    def _head(self, status: int, headers: list[tuple[str, str]]) -> bytes:
        lines = [f"HTTP/1.1 {status} {PHRASES.get(status, 'Status')}", f"date: {self._site.date}"]
        lines += [f"{name}: {value}" for name, value in headers]
        if not self._keep_alive or self._site.draining:
            self._keep_alive = False
            lines.append("connection: close")
        elif self._old:
            lines.append("connection: keep-alive")
        return "\r\n".join((*lines, "", "")).encode("latin-1")

    def _response_over(self) -> None:
        if not self._request_ended and not self._deaf:
            self._enter(_LATE)
        elif self._keep_alive and not self._deaf and not self._site.draining:
            self._enter(_IDLE)
        else:
            self._close()

    def _refuse(self, status: int, message: str) -> None:
        """The request cannot be read any further: say so, unless its response has begun, and end."""
        if self._phase == _CLOSED or self._deaf:
            return
        self._deaf = True
        self._keep_alive = False
        if self._runner is not None:
            self._runner.cut()
        if self._responded:
            self._close()
        else:
            answer = problem(status, message)
            self._write_whole(answer.status, answer.text_headers, answer.body)

    def _close(self) -> None:
        self._deaf = True
        self._phase = _CLOSED
        self._transport.close()

    # Connection

    def sweep(self, now_s: float) -> None:
        limits = self._site.limits
        lasted_s = now_s - self._since_s
        if self._paused_s is not None:
            if now_s - self._paused_s > limits.write_deadline_s:
                self.abort()
        elif self._phase == _IDLE:
            if lasted_s > limits.keep_alive_s:
                self._close()
        elif self._phase == _HEAD:
            if lasted_s > limits.header_deadline_s:
                self._refuse(408, TIMED_OUT)
        elif self._phase == _LATE:
            if lasted_s > limits.discard_s:
                self._close()
        elif self._phase == _BODY:
            arriving = self._runner is None or not (self._runner.over or self._runner.attempt.machine.ready)
            if arriving and not self._request_ended and lasted_s > limits.replay_deadline_s:
                self._refuse(408, TIMED_OUT)

    def drain(self) -> None:
        self._keep_alive = False
        if self._phase == _IDLE:
            self._close()

    def abort(self) -> None:
        self._transport.abort()
