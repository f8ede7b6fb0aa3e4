"""What the invoker sees of HTTP: an endpoint, a stream, a listener, a failure.

Owns        the nouns and the two `Protocol` classes between the invoker and whatever carries bytes.
Promises    one stream is one request and its response, full duplex. Its listener hears `on_response` at most
            once, then chunks, then exactly one of `on_end` and `on_failure`, or nothing more after `reset()`.
Never does  I/O, and never decides about retries: it only says whether the peer can have seen the request.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import urlsplit

_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class TransportFailure:
    """Why a stream ended without a complete response.

    Attributes:
        reason: readable, names the peer's address.
        retry_at_once: the peer certainly did not process the stream and is worth asking again now: it refused
            the stream, its GOAWAY excludes it, or the connection closed before anything was sent on it. A
            peer that cannot be reached is False, so that nobody spins on it.
        reset_code: the HTTP/2 error code when the peer reset this stream, else None.
    """

    reason: str
    retry_at_once: bool
    reset_code: int | None


class RequestFailed(Exception):
    """`HttpClient.request` got no usable answer; the text names the endpoint and the cause."""

    def __init__(self, failure: TransportFailure) -> None:
        super().__init__(failure.reason)
        self.failure = failure


class StreamListener(Protocol):
    """Hears one stream. Every call is made on the event loop, never from inside `open()` or `write()`."""

    def on_response(self, status: int, headers: dict[str, str]) -> None:
        """The response started; names are lower-case, repeated fields are joined with a comma. The dictionary
        may be kept but not changed: equal responses share it."""

    def on_data(self, data: bytes) -> None:
        """A piece of the response body, as it was read."""

    def on_end(self) -> None:
        """The response ended cleanly; the last call."""

    def on_failure(self, failure: TransportFailure) -> None:
        """Instead of `on_end`; the last call."""


class Stream(Protocol):
    """One request on its way. All calls return at once; after the stream ended they do nothing."""

    def write(self, data: bytes) -> None:
        """Send a piece of the request body; kept under flow control, so watch `buffered_bytes`."""

    def end(self) -> None:
        """Half-close: no more request body. The response may go on."""

    def reset(self) -> None:
        """Abandon both directions (HTTP/1.1: close the connection). No callback comes after it."""

    def pause_reading(self) -> None:
        """Stop granting the peer more room for this response; what it may already send still arrives."""

    def resume_reading(self) -> None:
        """Undo `pause_reading`."""

    @property
    def buffered_bytes(self) -> int:
        """Written here and still held back by flow control or a full socket."""
        ...

    @property
    def http_version(self) -> str:
        """What carries the request: `HTTP/1.1` or `HTTP/2.0`; empty while it waits for a connection, since
        over TLS the peer chooses."""
        ...


@dataclass(frozen=True, slots=True)
class Response:
    """A whole response, for callers that want one: `HttpClient.request`. `http_version` is what it came in,
    `HTTP/1.1` or `HTTP/2.0`: over TLS the peer chooses (ALPN)."""

    status: int
    headers: dict[str, str]
    body: bytes
    http_version: str


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a deployment lives. The hash is computed once, since this is looked up for every attempt."""

    scheme: str
    host: str
    port: int
    base_path: str
    http11: bool
    _hash: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        key = (self.scheme, self.host, self.port, self.base_path, self.http11)
        object.__setattr__(self, "_hash", hash(key))

    def __hash__(self) -> int:
        return self._hash

    @property
    def address(self) -> str:
        """`host:port`, an IPv6 host in brackets: for messages."""
        return f"{self._bracketed()}:{self.port}"

    @property
    def authority(self) -> str:
        """The `:authority` or `Host` value: without the port when it is the scheme's own."""
        return self._bracketed() if _DEFAULT_PORTS[self.scheme] == self.port else self.address

    def _bracketed(self) -> str:
        return f"[{self.host}]" if ":" in self.host else self.host

    @staticmethod
    def parse(uri: str, http11: bool) -> Endpoint:
        """Read a deployment URI such as `http://127.0.0.1:9080/base`.

        Raises:
            ValueError: not an http(s) URI with a host, or it carries something an endpoint has no place for
                (credentials, a query, a fragment, spaces or control characters).
        """
        if any(ch <= " " or ch == "\x7f" or ch > "~" for ch in uri):
            raise ValueError(
                f"deployment URI {uri!r} holds a space, a control character or a character outside ASCII; "
                "percent-encode it (host names: punycode)"
            )
        try:
            parts = urlsplit(uri)
            port = parts.port
        except ValueError as error:
            raise ValueError(f"deployment URI {uri!r} has a bad host or port: {error}") from None
        scheme = parts.scheme
        if scheme not in _DEFAULT_PORTS:
            raise ValueError(f"deployment URI {uri!r} must start with http:// or https://")
        if not parts.hostname:
            raise ValueError(f"deployment URI {uri!r} names no host; expected http://host:port/path")
        if parts.username is not None or parts.password is not None:
            raise ValueError(
                f"deployment URI for {parts.hostname} carries credentials; send them as headers instead"
            )
        if parts.query or parts.fragment:
            raise ValueError(f"deployment URI {uri!r} has a query or a fragment; only a base path is allowed")
        if port == 0:
            raise ValueError(f"deployment URI {uri!r} has port 0; expected 1 to 65535")
        return Endpoint(
            scheme=scheme,
            host=parts.hostname,
            port=port or _DEFAULT_PORTS[scheme],
            base_path=parts.path.rstrip("/"),
            http11=http11,
        )
