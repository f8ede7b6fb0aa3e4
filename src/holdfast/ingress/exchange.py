"""One request and its response, without the HTTP version they travel in.

`dispatch` reads the request and calls `respond` once, now or later. If the client goes away first, the
connection calls `abandon`, and whoever waits on the client's behalf stops; a late `respond` is then harmless.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class IngressLimits:
    """What one server accepts. Sizes in bytes, times in seconds."""

    request_bytes_max: int = 32 << 20
    """One body."""
    buffered_bytes_max: int = 512 << 20
    """All bodies that are arriving or waiting for the engine, together; more answers 429."""
    header_bytes_max: int = 64 << 10
    """Request line and headers together; more answers 431."""
    header_count_max: int = 256
    concurrent_requests_max: int = 20_000
    """Requests that wait for the engine; more answers 429."""
    connections_max: int = 20_000
    """More are closed at once."""
    pipelined_requests_max: int = 1024
    """Requests of one HTTP/1.1 connection that wait behind another; more ends the connection."""
    streams_max: int = 256
    """Concurrent streams of one HTTP/2 connection."""
    header_deadline_s: float = 15.0
    """From a request's first byte to the end of its headers."""
    body_deadline_s: float = 30.0
    """From the end of the headers to the end of the body, plus a second per `body_bytes_per_s_min`."""
    body_bytes_per_s_min: int = 8 << 10
    keep_alive_s: float = 75.0
    """How long a connection may sit without a request."""
    write_deadline_s: float = 60.0
    """How long a client may leave a response unread."""
    discard_s: float = 5.0
    """How long a request over HTTP/2 may go on behind its response."""
    scopes_enabled: bool = False
    """Whether `/restate/scope/...` and limit keys reach the engine."""


class Waiting(Protocol):
    """Somebody who will respond later."""

    def abandon(self) -> None:
        """The client is gone: stop waiting."""

    def refuse(self, status: int, message: str) -> None:
        """Respond with a refusal now and stop waiting."""


@dataclass(slots=True)
class Said:
    """What the headers of a request say about an invocation. `headers` are those the handler gets."""

    headers: list[tuple[str, str]]
    content_type: str | None = None
    idempotency_key: str | None = None
    trace_parent: str | None = None
    limit_key: str | None = None


@dataclass(slots=True)
class Head:
    """A request without its body, as many requests repeat it: they share it, and nobody changes its lists.

    `origin` is the header of that name, `said` what the dispatcher made of the headers, once it has."""

    method: str
    target: str
    headers: list[tuple[str, str]]
    body_bytes: int
    origin: str | None
    said: Said | None = None


class Exchange(Protocol):
    """A complete request. `target` is path and query as received; `headers` are in order, names in lower
    case, without HTTP/2's pseudo headers. `head` is what it shares with equal requests, if anything, and
    `waiting` who will respond."""

    method: str
    target: str
    headers: list[tuple[str, str]]
    body: bytes
    head: Head | None
    waiting: Waiting | None

    def respond(self, status: int, fields: Sequence[tuple[str, str]], body: bytes) -> None:
        """Send the response, whole. Does nothing when the client is gone."""


def abandon(exchange: Exchange) -> None:
    """The client went away."""
    waiting = exchange.waiting
    if waiting is not None:
        exchange.waiting = None
        waiting.abandon()
