"""The text of HTTP/1.1: header names in, response heads out; what many requests share is kept ready."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

from holdfast.http_server.http1_text import PHRASES
from holdfast.ingress.errors import NOT_READY
from holdfast.ingress.exchange import Head, Waiting

NAME_CACHE_ENTRIES_MAX: Final = 1024
NAME_CACHE_BYTES_MAX: Final = 64

_PHRASES = PHRASES | {NOT_READY: "Not Ready"}
_STATUS_LINES = {
    code: f"HTTP/1.1 {code} {_PHRASES.get(code, 'Status')}\r\ndate: " for code in range(200, 600)
}

names: dict[bytes, str] = {}
"""Header names as clients write them, to lower case: look here first, then ask `field_name`."""


class Answers(Protocol):
    """The connection an exchange belongs to."""

    def respond(
        self, exchange: Http1Exchange, status: int, fields: Sequence[tuple[str, str]], body: bytes
    ) -> None: ...


class Http1Exchange:
    """An `Exchange` of an HTTP/1 connection. `old` is HTTP/1.0; `refused` is status and message for one that
    was refused before it was complete."""

    __slots__ = (
        "body", "connection", "head", "headers", "keep_alive", "method", "old", "origin", "refused", "target",
        "waiting",
    )  # fmt: skip

    def __init__(self, connection: Answers, head: Head | None = None, body: bytes = b"") -> None:
        if head is None:
            self.method = self.target = ""
            self.headers: list[tuple[str, str]] = []
            self.origin: str | None = None
        else:
            self.method = head.method
            self.target = head.target
            self.headers = head.headers
            self.origin = head.origin
        self.body = body
        self.head = head
        self.waiting: Waiting | None = None
        self.connection = connection
        self.keep_alive = True
        self.old = False
        self.refused: tuple[int, str] | None = None

    def respond(self, status: int, fields: Sequence[tuple[str, str]], body: bytes) -> None:
        self.connection.respond(self, status, fields, body)


def response_head(
    exchange: Http1Exchange, status: int, fields: Sequence[tuple[str, str]], body_bytes: int, date: str
) -> bytes:
    """Status line and headers, with the empty line behind them."""
    head = f"{_STATUS_LINES[status]}{date}\r\n"
    for name, value in fields:
        head += f"{name}: {value}\r\n"
    if exchange.origin is not None:
        head += (
            f"access-control-allow-origin: {exchange.origin}\r\n"
            "access-control-allow-credentials: true\r\n"
            "vary: origin, access-control-request-method, access-control-request-headers\r\n"
        )
    if not exchange.keep_alive:
        head += "connection: close\r\n"
    elif exchange.old:
        head += "connection: keep-alive\r\n"
    head += f"content-length: {body_bytes}\r\n\r\n"
    return head.encode() if head.isascii() else head.encode("latin-1", "replace")


def field_name(name: bytes) -> str:
    """A header name in lower case, remembered in `names` unless it is unusually long."""
    field = name.decode("latin-1").lower()
    if len(name) <= NAME_CACHE_BYTES_MAX:
        if len(names) >= NAME_CACHE_ENTRIES_MAX:
            names.clear()
        names[name] = field
    return field
