"""HTTP/1.1 connections: bytes to exchanges and responses to bytes, one write per response.

The parser (httptools) calls back for each piece of a request; a complete one becomes an `Http1Exchange`.
Requests that arrive behind an unanswered one wait in `_queue` and are handled strictly in order, one at a
time; when a few wait the socket is read no further. A request that must be refused before it is complete
(too large, malformed) takes its place in the same order, and after its response the connection ends: the
rest of the request was never read, so nothing behind it can be trusted. It ends politely: the write side is
closed and what still arrives is discarded for a moment, because closing a socket with unread bytes resets it
and the client would lose the very response that explains.

Most requests of a client have the head of the one before, byte for byte. Such a head is remembered with what
the parser made of it (`Site.heads`), and a chunk that is a known head and exactly its body needs no parser.

A client that closes its side is taken to be gone; half-closed clients are not served.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Final

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser

from holdfast.http2.requests import HEADERS_TOO_LARGE
from holdfast.http_server.http1_text import CONTINUE, framing_head, origin_form
from holdfast.http_server.site import Connection
from holdfast.ingress.errors import OVERLOADED, REQUEST_TIMEOUT, refusal
from holdfast.ingress.exchange import Head, abandon
from holdfast.ingress.http1_text import Http1Exchange, field_name, names, response_head
from holdfast.ingress.site import HEAD_KEPT_BYTES_MAX, Site

PIPELINE_PAUSE_REQUESTS: Final = 16
LINGER_S: Final = 2.0
JOIN_BYTES_MAX: Final = 64 << 10
_HEAD_END = b"\r\n\r\n"

# What a connection is doing; deadlines depend on it.
_IDLE, _HEAD, _BODY, _WAIT, _LINGER, _CLOSED = range(6)

_OURS = frozenset(("connection", "content-length", "expect", "origin"))


class Http1Connection(Connection):
    """One client connection speaking HTTP/1.0 or 1.1."""

    def __init__(self, site: Site, transport: asyncio.Transport) -> None:
        self._site = site
        self._transport = transport
        self._limits = site.limits
        self._parser = HttpRequestParser(self)
        self._phase = _IDLE
        self._since_s = site.now_s
        self._arriving: Http1Exchange | None = None
        self._current: Http1Exchange | None = None
        self._queue: deque[Http1Exchange] = deque()
        self._url = b""
        self._new_head = b""
        """The bytes that may turn out to be the head of a plain request, to be remembered then."""
        self._chunk_bytes = 0
        self._head_chunk = 0
        self._unparsed_bytes = 0
        self._announced_bytes = 0
        self._in_head = False
        self._body: list[bytes] = []
        self._body_bytes = 0
        self._reading_paused = False
        self._write_paused_s: float | None = None
        self._continue_owed = False
        self._ending = False
        self._pumping = False
        self._declining = False

    # ------------------------------------------------------------ bytes in

    def data_received(self, data: bytes) -> None:
        if self._ending:
            return
        self._new_head = b""
        if self._arriving is None and self._current is None and (end := data.find(_HEAD_END)) > 0:
            head = data[: end + len(_HEAD_END)]
            known = self._site.heads.get(head)
            if known is None:
                self._new_head = head
            elif (
                len(data) - len(head) == known.body_bytes
                and (held := self._site.buffered_bytes + known.body_bytes) <= self._limits.buffered_bytes_max
            ):
                self._site.buffered_bytes = held
                self._current = exchange = Http1Exchange(self, known, data[len(head) :])
                self._phase = _WAIT
                self._site.handle(exchange)
                return
        unfinished = self._arriving if self._in_head else None
        self._chunk_bytes = len(data)
        while True:
            try:
                self._parser.feed_data(data)
                break
            except HttpParserUpgrade as upgrade:
                data = data[upgrade.args[0] :]
                self._decline_upgrade()
                if not data or self._ending:
                    return
            except HttpParserError as error:
                if not self._ending:
                    self._refuse(400, f"bad request: {error}")
                return
        if unfinished is not None and self._in_head and unfinished is self._arriving:
            # The whole chunk was part of one head, which the parser keeps until a header is complete.
            self._unparsed_bytes += len(data)
            if self._unparsed_bytes > self._limits.header_bytes_max and not self._ending:
                self._refuse(431, HEADERS_TOO_LARGE)

    def _decline_upgrade(self) -> None:
        """Go on with HTTP/1.1 after a request that asked for another protocol."""
        self._parser = HttpRequestParser(self)
        if self._arriving is None:
            return
        self._declining = True
        self._parser.feed_data(framing_head(self._arriving.headers, old=self._arriving.old).encode())
        self._declining = False

    def on_message_begin(self) -> None:
        if self._ending or self._declining:
            return
        self._arriving = Http1Exchange(self)
        self._url = b""
        self._unparsed_bytes = self._announced_bytes = 0
        self._head_chunk = self._chunk_bytes
        self._in_head = True
        if self._current is None:
            self._phase = _HEAD
            self._since_s = self._site.now_s

    def on_url(self, url: bytes) -> None:
        if self._in_head:
            self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        arriving = self._arriving
        if not self._in_head or arriving is None:
            return  # a trailer
        field = names.get(name)
        if field is None:
            field = field_name(name)
        try:
            text = value.decode()
        except UnicodeDecodeError:
            self._refuse(400, f"bad header {field}: the value is not UTF-8")
            return
        headers = arriving.headers
        headers.append((field, text))
        if field in _OURS:
            if field == "origin":
                arriving.origin = text
            elif field == "content-length":
                self._announced_bytes = int(text)
            else:
                self._connection_header(arriving, field, text)

    def _connection_header(self, arriving: Http1Exchange, field: str, text: str) -> None:
        # Without one of these headers the version makes no difference to us, and asking for it is slow.
        arriving.old = self._parser.get_http_version() == "1.0"
        if field == "expect":
            self._new_head = b""
            self._continue_owed = not arriving.old and text.lower() == "100-continue"

    def on_headers_complete(self) -> None:
        arriving = self._arriving
        if arriving is None or self._ending or not self._in_head:
            return
        self._in_head = False
        parser, headers, limits = self._parser, arriving.headers, self._limits
        # A head inside a chunk that is no larger than a head may be needs no counting.
        if len(headers) > limits.header_count_max or (
            self._head_chunk + self._unparsed_bytes + self._chunk_bytes > limits.header_bytes_max
            and _head_bytes(self._url, headers) > limits.header_bytes_max
        ):
            self._refuse(431, HEADERS_TOO_LARGE)
            return
        method = parser.get_method()
        arriving.method = "POST" if method == b"POST" else method.decode("ascii")
        try:
            arriving.target = origin_form(self._url.decode())
        except UnicodeDecodeError:
            self._refuse(400, "bad path: it is not UTF-8")
            return
        if self._phase == _HEAD:
            self._phase = _BODY
            self._since_s = self._site.now_s
        size = self._announced_bytes
        if size and (error := self._site.refusal_of(size, size)) is not None:
            self._refuse(error.status, error.message)
            return
        if self._continue_owed and self._current is None:
            self._continue_owed = False
            self._transport.write(CONTINUE)

    def on_body(self, body: bytes) -> None:
        if self._ending:
            return
        self._body_bytes += len(body)
        self._site.buffered_bytes += len(body)
        if (error := self._site.refusal_of(self._body_bytes)) is not None:
            self._refuse(error.status, error.message)
        else:
            self._body.append(body)

    def on_message_complete(self) -> None:
        arriving = self._arriving
        if arriving is None or self._ending or self._parser.should_upgrade():
            return
        self._arriving = None
        self._continue_owed = False
        if self._body:
            arriving.body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
            self._body = []
            self._body_bytes = 0
        arriving.keep_alive = self._parser.should_keep_alive()
        if not arriving.keep_alive:
            self._ending = True
        if self._new_head:
            self._remember_head(arriving)
        if self._current is None:
            self._begin(arriving)
        else:
            self._enqueue(arriving)

    def _remember_head(self, exchange: Http1Exchange) -> None:
        """Remember the head of a request that was its chunk and nothing else, unless it was special.

        Its length is announced in the head, so the same head in front of as many bytes means the same.
        """
        head, self._new_head = self._new_head, b""
        size = len(exchange.body)
        plain = exchange.keep_alive and not exchange.old and size == self._announced_bytes
        if plain and len(head) + size == self._chunk_bytes and len(head) <= HEAD_KEPT_BYTES_MAX:
            exchange.head = Head(exchange.method, exchange.target, exchange.headers, size, exchange.origin)
            self._site.remember_head(head, exchange.head)

    # ------------------------------------------------------------ in order

    def _begin(self, exchange: Http1Exchange) -> None:
        self._current = exchange
        self._phase = _WAIT
        if exchange.refused is None:
            self._site.handle(exchange)
        else:
            exchange.respond(*refusal(*exchange.refused))

    def _enqueue(self, exchange: Http1Exchange) -> None:
        queue = self._queue
        queue.append(exchange)
        if len(queue) >= PIPELINE_PAUSE_REQUESTS and not self._reading_paused:
            self._reading_paused = True
            self._transport.pause_reading()
        if len(queue) > self._limits.pipelined_requests_max and not self._ending:
            self._refuse(429, OVERLOADED)

    def _refuse(self, status: int, message: str) -> None:
        """Answer the arriving request with an error, in its turn, and end the connection after it."""
        self._ending = True
        self._release_body()
        exchange = self._arriving or Http1Exchange(self)
        self._arriving = None
        exchange.keep_alive = False
        exchange.refused = (status, message)
        if self._current is None:
            self._begin(exchange)
        else:
            self._enqueue(exchange)

    def respond(
        self, exchange: Http1Exchange, status: int, fields: Sequence[tuple[str, str]], body: bytes
    ) -> None:
        """Write a response and go on with the next request."""
        if exchange is not self._current:
            return
        if self._site.draining:
            exchange.keep_alive = False
        head = response_head(exchange, status, fields, len(body), self._site.date)
        if exchange.method == "HEAD" or not body:
            self._transport.write(head)
        elif len(body) <= JOIN_BYTES_MAX:
            self._transport.write(head + body)
        else:
            self._transport.writelines((head, body))
        self._site.buffered_bytes -= len(exchange.body)
        self._current = None
        if not exchange.keep_alive:
            self._finish(exchange.refused is not None)
        elif self._queue or self._arriving is not None or self._reading_paused:
            if not self._pumping:
                self._next()
        else:
            self._phase = _IDLE
            self._since_s = self._site.now_s

    def _next(self) -> None:
        """Go on behind a response: with waiting requests, or with what is arriving."""
        self._pumping = True
        while self._queue and self._current is None and self._write_paused_s is None:
            self._begin(self._queue.popleft())
        self._pumping = False
        if self._current is not None or self._phase in (_LINGER, _CLOSED):
            return
        self._since_s = self._site.now_s
        if self._write_paused_s is not None:
            self._phase = _IDLE  # `resume_writing` goes on
            return
        if self._reading_paused:
            self._reading_paused = False
            self._transport.resume_reading()
        if self._arriving is None:
            self._phase = _IDLE
        elif self._in_head:
            self._phase = _HEAD
        else:
            self._phase = _BODY
            if self._continue_owed:
                self._continue_owed = False
                self._transport.write(CONTINUE)

    # ------------------------------------------------------------ ends

    def _finish(self, unread: bool) -> None:
        """The last response is written: close once it has gone out; `unread` discards what still comes in."""
        self._ending = True
        self._abandon_all()
        if self._reading_paused:
            self._reading_paused = False
            self._transport.resume_reading()
        self._phase = _LINGER
        self._since_s = self._site.now_s
        if not unread:
            self._transport.close()
        elif self._transport.can_write_eof():
            self._transport.write_eof()

    def _release_body(self) -> None:
        self._site.buffered_bytes -= self._body_bytes
        self._body = []
        self._body_bytes = 0

    def _abandon_all(self) -> None:
        self._release_body()
        self._arriving = None
        current, self._current = self._current, None
        if current is not None:
            self._site.buffered_bytes -= len(current.body)
            abandon(current)
        for exchange in self._queue:
            self._site.buffered_bytes -= len(exchange.body)
        self._queue.clear()

    def connection_lost(self, exc: Exception | None) -> None:
        self._phase = _CLOSED
        self._ending = True
        self._abandon_all()
        self._site.remove(self)

    def pause_writing(self) -> None:
        self._write_paused_s = self._site.now_s
        if not self._reading_paused:
            self._reading_paused = True
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        self._write_paused_s = None
        if self._phase == _CLOSED:
            return
        if self._current is None:
            if self._phase != _LINGER:
                self._next()
        elif self._reading_paused and len(self._queue) < PIPELINE_PAUSE_REQUESTS:
            self._reading_paused = False
            self._transport.resume_reading()

    def sweep(self, now_s: float) -> None:
        limits, lasted_s = self._limits, now_s - self._since_s
        if self._write_paused_s is not None and now_s - self._write_paused_s > limits.write_deadline_s:
            self.abort()
        elif self._phase == _HEAD:
            if lasted_s > limits.header_deadline_s:
                self._refuse(408, REQUEST_TIMEOUT)
        elif self._phase == _BODY:
            if lasted_s > limits.body_deadline_s + self._body_bytes / limits.body_bytes_per_s_min:
                self._refuse(408, REQUEST_TIMEOUT)
        elif self._phase == _IDLE:
            if lasted_s > limits.keep_alive_s:
                self._transport.close()
        elif self._phase == _LINGER and lasted_s > LINGER_S and self._write_paused_s is None:
            self._transport.close()

    def drain(self) -> None:
        if self._phase == _IDLE and self._current is None and not self._queue:
            self._transport.close()

    def abort(self) -> None:
        self._transport.abort()


def _head_bytes(url: bytes, headers: list[tuple[str, str]]) -> int:
    return len(url) + sum([len(name) + len(value) + 4 for name, value in headers])
