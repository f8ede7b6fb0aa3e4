"""HTTP/2 on a socket: an `asyncio.Protocol` around `H2Connection`.

Promises    one joined write per loop tick, however many streams had something to say; a peer that is silent
            while it owes answers is pinged and given up after `ping_timeout_s`; an idle connection is closed.
Never does  choose connections (`pool`) or judge frames (`h2_connection`).

On GOAWAY with streams still open a PING goes out at once. A peer that is winding down answers it and goes on;
one that has stopped reading its streams (Hypercorn after its request limit) hangs up instead, so that
the streams it will never answer fail now and not at their own deadline. Having lost streams that way once,
the pool learns the limit: later connections to that endpoint are left in good time, while they still answer.
"""

from __future__ import annotations

import asyncio
from typing import cast

from holdfast.http2.fields import Headers
from holdfast.http2.output import OUTPUT_BYTES_MAX
from holdfast.invoker.http.api import Endpoint, Stream, StreamListener
from holdfast.invoker.http.h2_connection import H2Connection
from holdfast.invoker.http.header_blocks import PreparedHeaders, RequestEncoder, ResponseCache
from holdfast.invoker.http.transport import Limits, TransportOwner


class H2Transport(asyncio.Protocol):
    """One HTTP/2 connection of a pool; see `transport.Transport`.

    `ready` resolves to None once the peer's SETTINGS arrived, or to the reason why they never will.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        owner: TransportOwner,
        endpoint: Endpoint,
        encoder: RequestEncoder,
        cache: ResponseCache,
        limits: Limits,
    ) -> None:
        self._loop = loop
        self._owner = owner
        self._address = endpoint.address
        self._encode = encoder.encode
        self._limits = limits
        self._streams_max = limits.streams_per_connection_max
        self._socket: asyncio.Transport | None = None
        self._last_heard = loop.time()
        self._pinged_at: float | None = None
        self._idle_since: float | None = loop.time()
        self.ready: asyncio.Future[str | None] = loop.create_future()
        self._finished_at_goaway: int | None = None
        self._connection = H2Connection(
            self, endpoint.address, cache, streams_total_max=owner.requests_per_connection_max
        )

    @property
    def streams_max(self) -> int:
        return self._streams_max

    def has_room(self) -> bool:
        return self._connection.room(self._streams_max)

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
        block = self._encode(method, path, headers, prepared)
        self._idle_since = None
        connection = self._connection
        stream = connection.open(block, listener, body, end)
        if connection.draining:  # that was the last one it may carry
            self._owner.retired(self)
        return stream

    def sweep(self, now: float) -> None:
        if self._connection.closed:  # since the last sweep, and the peer does not take our goodbye
            if self._socket is not None:
                self._socket.abort()
        elif self._idle_since is not None:
            if now - self._idle_since >= self._limits.idle_timeout_s:
                self.close("idle")
        elif self._pinged_at is not None and self._last_heard < self._pinged_at:
            if now - self._pinged_at >= self._limits.ping_timeout_s:
                self.close(
                    f"{self._address} sent nothing for {now - self._last_heard:.1f} s and answered no PING"
                )
        elif now - self._last_heard >= self._limits.ping_interval_s:
            self._pinged_at = now
            self._connection.ping()

    def close(self, reason: str) -> None:
        self._connection.fail(reason)
        self._hang_up()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._socket = cast(asyncio.Transport, transport)
        self._socket.set_write_buffer_limits(high=OUTPUT_BYTES_MAX)
        self._flush()

    def data_received(self, data: bytes) -> None:
        self._last_heard = self._loop.time()
        connection = self._connection
        connection.receive(data)
        if connection.closed:
            self._hang_up()

    def pause_writing(self) -> None:
        self._connection.output.pause()

    def resume_writing(self) -> None:
        self._connection.output.resume()

    def connection_lost(self, exc: Exception | None) -> None:
        self._socket = None
        if self._finished_at_goaway and self._connection.open_streams:
            self._owner.request_limit_seen(self._finished_at_goaway)
        why = f": {exc}" if exc else ""
        self._connection.fail(
            f"{self._address} closed the connection{why}"
            if self._connection.ready
            else f"{self._address} closed the connection during the HTTP/2 handshake{why}; it may speak only "
            "HTTP/1.1 (META0014: register with use_http_11) or expect TLS"
        )
        if not self.ready.done():
            self.ready.set_result(self._connection.end_reason)
        self._owner.lost(self)

    # h2_connection.ConnectionOwner

    def output_ready(self) -> None:
        if self._socket is not None:
            self._loop.call_soon(self._flush)

    def settings_received(self) -> None:
        if not self.ready.done():
            self.ready.set_result(None)
        self._owner.room_made()

    def stream_closed(self, idle: bool) -> None:
        if idle:
            self._idle_since = self._loop.time()
            if self._connection.draining:
                self._loop.call_soon(self.close, "drained")
        self._owner.room_made()

    def going_away(self) -> None:
        self._owner.retired(self)
        if self._connection.open_streams:
            self._finished_at_goaway = self._connection.opened_streams - self._connection.open_streams
            self._connection.ping()
        else:
            self._loop.call_soon(self.close, "drained")

    def listener_failed(self, error: Exception) -> None:
        self._owner.listener_failed(error)

    def _flush(self) -> None:
        # A socket that is closing refuses to be written to; its streams end with `connection_lost`.
        if self._socket is not None and not self._socket.is_closing():
            data = self._connection.take_output()
            if data:
                self._socket.write(data)

    def _hang_up(self) -> None:
        self._flush()
        if self._socket is not None:
            self._socket.close()
