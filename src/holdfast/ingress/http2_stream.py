"""One request over HTTP/2, from its headers to its response."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from holdfast.http2.requests import (
    CONTINUE_BLOCK,
    MalformedRequest,
    RefusedHeaders,
    Request,
    response_block,
)
from holdfast.http2.server_stream import ServerStream
from holdfast.http_server.http2 import Http2OnSocket
from holdfast.ingress.errors import REQUEST_TIMEOUT, RequestError, refusal
from holdfast.ingress.exchange import Head, Waiting, abandon
from holdfast.ingress.site import Site

LENGTH_DIGITS_MAX: Final = 19


class Http2Exchange(ServerStream):
    """An `Exchange` that is a stream: handled once its body is whole, answered once, sooner if refused."""

    __slots__ = (
        "_length", "_origin", "_parts", "_site", "_size",
        "body", "head", "headers", "method", "target", "waiting",
    )  # fmt: skip

    def __init__(self, stream_id: int, connection: Http2OnSocket[Site], request: Request) -> None:
        self._site = site = connection.site
        super().__init__(stream_id, connection, site.now_s)
        self.method, self.target, self.headers = request
        self.body = b""
        self.head: Head | None = None
        self.waiting: Waiting | None = None
        self._origin: str | None = None
        self._parts: list[bytes] = []
        self._size = 0
        """Of the body, so far; nothing any more once nobody needs it."""
        self._length: int | None = None
        """As announced."""

    def begin(self) -> None:
        """Take from the headers what we have to know, and answer to them what has to be said before the body.

        Raises:
            MalformedRequest: the announced length is not a number.
        """
        expects_continue = False
        for name, value in self.headers:
            if name == "origin":
                self._origin = value
            elif name == "content-length":
                if not (value.isascii() and value.isdigit()) or len(value) > LENGTH_DIGITS_MAX:
                    raise MalformedRequest("content-length is not a number")
                self._length = int(value)
                if (error := self._site.refusal_of(self._length, self._length)) is not None:
                    self.refuse(error)
                    return
            elif name == "expect":
                expects_continue = value.lower() == "100-continue"
        if expects_continue:
            self.send_head(CONTINUE_BLOCK)

    def on_data(self, data: bytes) -> None:
        self._parts.append(data)
        self._size += len(data)
        self._site.buffered_bytes += len(data)
        if (error := self._site.refusal_of(self._size)) is not None:
            self.refuse(error)

    def on_end(self) -> None:
        if self._length is not None and self._length != self._size:
            raise MalformedRequest(f"a body of {self._size} bytes, announced were {self._length}")
        parts, self._parts = self._parts, []
        self.body = parts[0] if len(parts) == 1 else b"".join(parts)
        self._site.handle(self)

    def on_gone(self) -> None:
        self._release()
        abandon(self)

    def sweep(self, now_s: float) -> None:
        limits = self._site.limits
        if self.remote_closed:
            self.since_s = now_s  # it waits for the engine
        elif now_s - self.since_s > limits.body_deadline_s + self._size / limits.body_bytes_per_s_min:
            self.refuse(RequestError(408, REQUEST_TIMEOUT))

    def refuse(self, error: RequestError | RefusedHeaders) -> None:
        """Answer with an error of the ingress."""
        self.respond(*refusal(error.status, error.message))

    def respond(self, status: int, fields: Sequence[tuple[str, str]], body: bytes) -> None:
        """Send a response as far as the client's windows reach; the rest follows when they open."""
        if self.closed or self.ending:
            return
        self._release()
        self.since_s = self._site.now_s
        headers = [("date", self._site.date), *fields]
        if self._origin is not None:
            headers += (
                ("access-control-allow-origin", self._origin),
                ("access-control-allow-credentials", "true"),
                ("vary", "origin, access-control-request-method, access-control-request-headers"),
            )
        headers.append(("content-length", str(len(body))))
        self.answer(response_block(status, headers), b"" if self.method == "HEAD" else body)

    def _release(self) -> None:
        self._site.buffered_bytes -= self._size
        self._size = 0
        self._parts = []
