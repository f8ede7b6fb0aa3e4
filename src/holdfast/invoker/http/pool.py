"""The connections of one endpoint, and the streams that wait for one.

A stream takes the first connection with room: few busy connections make better joined writes than many idle
ones, and what is not needed runs into its idle deadline. When all are full the stream waits, in order, in a
bounded queue, and a further connection is opened if the endpoint may have one.

Failures    a connection that cannot be made fails the waiting streams only if no other connection lives;
            nothing is retried here, since only the invoker knows the retry policy.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable

from holdfast.http2.fields import Headers
from holdfast.http2.frames import STREAM_ID_LIMIT
from holdfast.invoker.http.api import Endpoint, Stream, StreamListener, TransportFailure
from holdfast.invoker.http.header_blocks import PreparedHeaders, RequestEncoder
from holdfast.invoker.http.transport import Limits, Transport, TransportOwner

logger = logging.getLogger(__name__)

REQUESTS_PER_CONNECTION_MIN = 100
"""A learnt limit below this would cost more connections than it saves streams, and is not kept."""

FURTHER_CONNECTION_DELAY_S = 1.0
"""After a failed attempt at an additional connection, while others still serve."""


class ConnectFailed(Exception):
    """No connection to the endpoint; the text names the address and the cause."""


Connect = Callable[[TransportOwner, RequestEncoder], Awaitable[Transport]]
"""Opens one connection, ready for streams. Raises: ConnectFailed."""


class WaitingStream:
    """A stream without a connection yet: keeps what the caller writes and hands it over when one has room."""

    __slots__ = ("_body", "_buffered", "_end", "_paused", "_request", "_stream", "dropped", "listener")

    def __init__(
        self,
        request: tuple[str, str, Headers, PreparedHeaders | None],
        listener: StreamListener,
        body: bytes,
        end: bool,
    ) -> None:
        self._request = request
        self.listener = listener
        self._body = [body] if body else []
        self._buffered = len(body)
        self._end = end
        self._paused = False
        self._stream: Stream | None = None
        self.dropped = False

    def start_on(self, transport: Transport) -> None:
        body = b"".join(self._body)
        self._body.clear()
        self._buffered = 0
        self._stream = transport.start(*self._request, self.listener, body, self._end)
        if self._paused:
            self._stream.pause_reading()

    def fail(self, failure: TransportFailure) -> None:
        if not self.dropped:
            self._drop()
            self.listener.on_failure(failure)

    def _drop(self) -> None:
        self.dropped = True
        self._body.clear()
        self._buffered = 0

    def write(self, data: bytes) -> None:
        if self._stream is not None:
            self._stream.write(data)
        elif self.dropped:
            return
        elif self._end:
            raise RuntimeError("write() after end() on a waiting stream")
        else:
            self._body.append(data)
            self._buffered += len(data)

    def end(self) -> None:
        if self._stream is not None:
            self._stream.end()
        self._end = True

    def reset(self) -> None:
        self._drop()
        if self._stream is not None:
            self._stream.reset()

    def pause_reading(self) -> None:
        self._paused = True
        if self._stream is not None:
            self._stream.pause_reading()

    def resume_reading(self) -> None:
        self._paused = False
        if self._stream is not None:
            self._stream.resume_reading()

    @property
    def buffered_bytes(self) -> int:
        return self._buffered if self._stream is None else self._stream.buffered_bytes

    @property
    def http_version(self) -> str:
        return "" if self._stream is None else self._stream.http_version


class EndpointPool:
    """All connections to one endpoint."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        endpoint: Endpoint,
        limits: Limits,
        connect: Connect,
        closed_reason: str | None = None,
    ) -> None:
        self._loop = loop
        self._endpoint = endpoint
        self._limits = limits
        self._connect = connect
        self._encoder = RequestEncoder(endpoint.scheme, endpoint.authority, endpoint.base_path)
        self._transports: list[Transport] = []
        self._draining: set[Transport] = set()
        self._connecting: set[asyncio.Task[None]] = set()
        self._waiting: deque[WaitingStream] = deque()
        self._no_further_before = 0.0
        self._closed_reason = closed_reason
        self._connections_max = (
            limits.http1_connections_per_endpoint_max
            if endpoint.http11
            else limits.connections_per_endpoint_max
        )
        self._requests_max = STREAM_ID_LIMIT
        self._streams_max = 1 if endpoint.http11 else limits.streams_per_connection_max

    @property
    def connections(self) -> int:
        """Live ones, those that drain included."""
        return len(self._transports) + len(self._draining)

    @property
    def unused(self) -> bool:
        return not (self._transports or self._draining or self._connecting or self._waiting)

    def open(
        self,
        method: str,
        path: str,
        headers: Headers,
        prepared: PreparedHeaders | None,
        listener: StreamListener,
        body: bytes,
        end: bool,
    ) -> Stream:
        """See `HttpClient.open`."""
        if not self._waiting:
            for transport in self._transports:
                if transport.has_room():
                    return transport.start(method, path, headers, prepared, listener, body, end)
        self._encoder.encode(
            method, path, headers, prepared
        )  # a bad header is reported here, not on the loop
        stream = WaitingStream((method, path, headers, prepared), listener, body, end)
        if self._closed_reason is not None:
            self._loop.call_soon(stream.fail, TransportFailure(self._closed_reason, False, None))
            return stream
        if len(self._waiting) >= self._limits.waiting_streams_max:
            reason = (
                f"{len(self._waiting)} streams already wait for a connection to {self._endpoint.address} "
                "(waiting_streams_max); the deployment is slower than what is sent to it"
            )
            self._loop.call_soon(stream.fail, TransportFailure(reason, False, None))
            return stream
        self._waiting.append(stream)
        self._connect_if_short()
        return stream

    def sweep(self, now: float) -> None:
        """Let each connection look at its clock."""
        for transport in (*self._transports, *self._draining):
            transport.sweep(now)
        if self._waiting:
            self._connect_if_short()

    async def close(self, reason: str) -> None:
        """Hang up everything; open, waiting and all later streams fail with `reason`."""
        self._closed_reason = reason
        tasks = list(self._connecting)
        for task in tasks:
            task.cancel()
        self._fail_waiting(reason)
        for transport in (*self._transports, *self._draining):
            transport.close(reason)
        await asyncio.gather(*tasks, return_exceptions=True)

    # TransportOwner

    @property
    def requests_per_connection_max(self) -> int:
        # Each connection left early may live on for its longest stream; past the bound, better lose some
        # attempts.
        return self._requests_max if len(self._draining) < self._connections_max else STREAM_ID_LIMIT

    def request_limit_seen(self, requests: int) -> None:
        if requests >= REQUESTS_PER_CONNECTION_MIN:
            self._requests_max = min(self._requests_max, requests)

    def room_made(self) -> None:
        if not self._waiting:
            return
        for transport in tuple(self._transports):
            while self._waiting and transport.has_room():
                stream = self._waiting.popleft()
                if not stream.dropped:
                    stream.start_on(transport)
        if self._waiting:
            self._connect_if_short()

    def retired(self, transport: Transport) -> None:
        if transport in self._transports:
            self._transports.remove(transport)
            self._draining.add(transport)
            if self._waiting:
                self._connect_if_short()

    def lost(self, transport: Transport) -> None:
        self._draining.discard(transport)
        if transport in self._transports:
            self._transports.remove(transport)
        if self._waiting:
            self._connect_if_short()

    def listener_failed(self, error: Exception) -> None:
        logger.error("a stream listener failed for %s", self._endpoint.address, exc_info=error)

    # Connecting

    def _connect_if_short(self) -> None:
        """Open connections until the waiting streams would fit, within the endpoint's bound."""
        if self._closed_reason is not None:
            return
        if self._transports and self._loop.time() < self._no_further_before:
            return
        while (
            len(self._waiting) > len(self._connecting) * self._streams_max
            and len(self._transports) + len(self._connecting) < self._connections_max
        ):
            task = self._loop.create_task(self._connect_one())
            self._connecting.add(task)
            task.add_done_callback(self._connecting.discard)

    async def _connect_one(self) -> None:
        task = asyncio.current_task()
        try:
            transport = await self._connect(self, self._encoder)
        except ConnectFailed as error:
            self._connect_failed(str(error), task)
            return
        except Exception as error:  # the task's edge: whatever it is, the waiting streams must hear of it
            logger.exception("connecting to %s failed unexpectedly", self._endpoint.address)
            self._connect_failed(f"connecting to {self._endpoint.address} failed: {error!r}", task)
            return
        if task is not None:
            self._connecting.discard(task)
        self._streams_max = transport.streams_max
        if self._streams_max == 1:  # over TLS it may turn out to be HTTP/1.1 only now
            self._connections_max = self._limits.http1_connections_per_endpoint_max
        self._transports.append(transport)
        self.room_made()

    def _connect_failed(self, reason: str, task: asyncio.Task[None] | None) -> None:
        if task is not None:
            self._connecting.discard(task)
        self._no_further_before = self._loop.time() + FURTHER_CONNECTION_DELAY_S
        if not self._transports:
            self._fail_waiting(reason)

    def _fail_waiting(self, reason: str) -> None:
        failure = TransportFailure(reason, False, None)
        waiting, self._waiting = self._waiting, deque()
        for stream in waiting:
            try:
                stream.fail(failure)
            except Exception as error:  # one listener's bug must not keep the others waiting
                self.listener_failed(error)
