"""What a pool and its connections know of each other, and the limits both keep.

A *transport* is one live connection (`h2_transport`, `h1_transport`); its *owner* is the pool of the
endpoint.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol

from holdfast.http2.fields import Headers
from holdfast.invoker.http.api import Stream, StreamListener, TransportFailure
from holdfast.invoker.http.header_blocks import PreparedHeaders


@dataclass(frozen=True, slots=True)
class Limits:
    """Every bound and deadline of the client; see `HttpClient` for what each is for."""

    connect_timeout_s: float = 10.0
    streams_per_connection_max: int = 256
    connections_per_endpoint_max: int = 32
    http1_connections_per_endpoint_max: int = 256
    waiting_streams_max: int = 16_384
    idle_timeout_s: float = 300.0
    ping_interval_s: float = 20.0
    ping_timeout_s: float = 10.0
    sweep_interval_s: float = 5.0


class _Detached:
    """Listens for streams that ended, which also cuts the reference cycle with the real listener."""

    def on_response(self, status: int, headers: dict[str, str]) -> None: ...

    def on_data(self, data: bytes) -> None: ...

    def on_end(self) -> None: ...

    def on_failure(self, failure: TransportFailure) -> None: ...


DETACHED: Final = _Detached()


class TransportOwner(Protocol):
    """The pool, as its connections see it."""

    @property
    def requests_per_connection_max(self) -> int:
        """How many streams a new connection may carry in its life: what the endpoint was seen to accept."""
        ...

    def request_limit_seen(self, requests: int) -> None:
        """A connection announced its end after that many finished streams and dropped the ones still open."""

    def room_made(self) -> None:
        """A stream ended somewhere, or a connection became ready: waiting streams may start."""

    def retired(self, transport: Transport) -> None:
        """This connection takes no further streams; the open ones go on."""

    def lost(self, transport: Transport) -> None:
        """This connection is closed and all its streams have been told."""

    def listener_failed(self, error: Exception) -> None:
        """A listener raised; the exception is for the log."""


class Transport(Protocol):
    """One live connection, as its pool sees it."""

    @property
    def streams_max(self) -> int:
        """How many streams it may carry at once."""
        ...

    def has_room(self) -> bool:
        """Whether `start` may be called now."""
        ...

    def start(
        self,
        method: str,
        path: str,
        headers: Headers,
        prepared: PreparedHeaders | None,
        listener: StreamListener,
        body: bytes,
        end: bool,
    ) -> Stream:
        """Open a stream.

        Raises:
            HeaderError: something HTTP cannot carry; nothing was sent.
        """
        ...

    def sweep(self, now: float) -> None:
        """Housekeeping, every `sweep_interval_s`: pings, the idle deadline."""

    def close(self, reason: str) -> None:
        """Hang up; open streams fail with `reason`."""
