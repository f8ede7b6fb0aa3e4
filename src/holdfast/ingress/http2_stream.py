"""One stream of an HTTP/2 connection, from its headers to the last byte of its response."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from holdfast.http2.requests import MalformedRequest
from holdfast.ingress.errors import OVERLOADED, RequestError, body_too_large
from holdfast.ingress.exchange import Exchange, IngressLimits

LENGTH_DIGITS_MAX = 19


class Answers(Protocol):
    """The connection a stream belongs to."""

    def respond(
        self, stream: Http2Exchange, status: int, fields: Sequence[tuple[str, str]], body: bytes
    ) -> None: ...


class Http2Exchange(Exchange):
    """One stream: its request as it arrives, then its response as far as the client takes it.

    `size` counts the body's bytes and `length` is what was announced; `complete` once the client has ended
    its side. `answered` once the response has begun, `rest` is what of it has not been sent, and
    `discarded_bytes` of the request came after it. `since_s` is when the present phase began.
    """

    __slots__ = (
        "answered", "complete", "connection", "discarded_bytes", "length", "origin", "parts",
        "receive_window", "rest", "send_window", "since_s", "size", "stream_id",
    )  # fmt: skip

    def __init__(
        self, connection: Answers, stream_id: int, receive_window: int, send_window: int, since_s: float
    ) -> None:
        super().__init__("", "", [], b"")
        self.connection = connection
        self.stream_id = stream_id
        self.origin: str | None = None
        self.parts: list[bytes] = []
        self.size = 0
        self.length: int | None = None
        self.complete = False
        self.answered = False
        self.discarded_bytes = 0
        self.receive_window = receive_window
        self.send_window = send_window
        self.rest = memoryview(b"")
        self.since_s = since_s

    def respond(self, status: int, fields: Sequence[tuple[str, str]], body: bytes) -> None:
        self.connection.respond(self, status, fields, body)

    def read_headers(self, limits: IngressLimits, buffered_bytes: int) -> bool:
        """Take from the headers what the connection has to know; True when the client waits for "continue".

        Raises:
            MalformedRequest: the announced length is not a number.
            RequestError: 413 or 429, the announced body is not let in.
        """
        expects_continue = False
        for name, value in self.headers:
            if name == "origin":
                self.origin = value
            elif name == "content-length":
                if not (value.isascii() and value.isdigit()) or len(value) > LENGTH_DIGITS_MAX:
                    raise MalformedRequest("content-length is not a number")
                self.length = int(value)
                if self.length > limits.request_bytes_max:
                    raise body_too_large(limits.request_bytes_max)
                if buffered_bytes + self.length > limits.buffered_bytes_max:
                    raise RequestError(429, OVERLOADED)
            elif name == "expect":
                expects_continue = value.lower() == "100-continue"
        return expects_continue
