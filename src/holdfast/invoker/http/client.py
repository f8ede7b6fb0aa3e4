"""The HTTP client of a worker process: endpoints to pools, and the clock they share.

`open` is the hot path and does nothing but look up the pool. One timer sweeps all connections for pings and
idle deadlines, so that no connection has timers of its own.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable

from holdfast.http2.fields import Headers
from holdfast.invoker.http.api import (
    Endpoint,
    RequestFailed,
    Response,
    Stream,
    StreamListener,
    TransportFailure,
)
from holdfast.invoker.http.connect import ALPN_H2, ALPN_HTTP11, connect, default_ssl_context
from holdfast.invoker.http.h1_transport import H1Transport
from holdfast.invoker.http.h2_transport import H2Transport
from holdfast.invoker.http.header_blocks import PreparedHeaders, RequestEncoder, ResponseCache
from holdfast.invoker.http.pool import EndpointPool
from holdfast.invoker.http.transport import Limits, Transport, TransportOwner

CLOSED_REASON = "the HTTP client is closed: the server is shutting down"


class HttpClient:
    """Opens streams to deployments; one per worker process, used on its event loop only.

    Args:
        connect_timeout_s: for resolving, connecting, TLS and the HTTP/2 handshake together.
        streams_per_connection_max: our own limit, below the peer's MAX_CONCURRENT_STREAMS if that is larger.
        connections_per_endpoint_max: HTTP/2; http1_connections_per_endpoint_max: HTTP/1.1, one stream each.
        waiting_streams_max: per endpoint; one more fails at once.
        idle_timeout_s: a connection without streams is closed after it.
        ping_interval_s, ping_timeout_s: a peer silent for the first, with streams open, is pinged and given
            up after the second. Both are looked at every sweep_interval_s.
        ssl_context: for https endpoints that may use HTTP/2; its ALPN list is set here. Default: verified
            with the platform's roots. ssl_context_http11: the same for endpoints registered as HTTP/1.1.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        *,
        connect_timeout_s: float = 10.0,
        streams_per_connection_max: int = 256,
        connections_per_endpoint_max: int = 32,
        http1_connections_per_endpoint_max: int = 256,
        waiting_streams_max: int = 16_384,
        idle_timeout_s: float = 300.0,
        ping_interval_s: float = 20.0,
        ping_timeout_s: float = 10.0,
        sweep_interval_s: float = 5.0,
        ssl_context: ssl.SSLContext | None = None,
        ssl_context_http11: ssl.SSLContext | None = None,
    ) -> None:
        self._loop = loop
        self._limits = Limits(
            connect_timeout_s=connect_timeout_s,
            streams_per_connection_max=streams_per_connection_max,
            connections_per_endpoint_max=connections_per_endpoint_max,
            http1_connections_per_endpoint_max=http1_connections_per_endpoint_max,
            waiting_streams_max=waiting_streams_max,
            idle_timeout_s=idle_timeout_s,
            ping_interval_s=ping_interval_s,
            ping_timeout_s=ping_timeout_s,
            sweep_interval_s=sweep_interval_s,
        )
        for context, protocols in (
            (ssl_context, [ALPN_H2, ALPN_HTTP11]),
            (ssl_context_http11, [ALPN_HTTP11]),
        ):
            if context is not None:
                context.set_alpn_protocols(protocols)
        self._ssl_context = ssl_context
        self._ssl_context_http11 = ssl_context_http11
        self._cache = ResponseCache()
        self._pools: dict[Endpoint, EndpointPool] = {}
        # Mostly the next request goes where the last one went, and an endpoint's hash is a call.
        self._last_endpoint: Endpoint | None = None
        self._last_pool: EndpointPool | None = None
        self._sweeper: asyncio.TimerHandle | None = None
        self._closed = False

    def open(
        self,
        endpoint: Endpoint,
        method: str,
        path: str,
        headers: Headers,
        listener: StreamListener,
        *,
        body: bytes = b"",
        end: bool = False,
        prepared: PreparedHeaders | None = None,
    ) -> Stream:
        """Send a request; its listener hears the rest, later, on the loop.

        Args:
            path: percent-encoded, appended to the endpoint's base path.
            headers: lower-case names; without those that belong to the connection (host, content-length with
                an open body, transfer-encoding).
            body: sent with the headers; `end=True` when that is all of it.
            prepared: headers sent before `headers`, encoded once for many requests.
        Raises:
            HeaderError: a header, method or path that HTTP cannot carry.
        """
        pool = self._last_pool
        if pool is None or endpoint is not self._last_endpoint:
            pool = self._last_pool = self._pools.get(endpoint) or self._add_pool(endpoint)
            self._last_endpoint = endpoint
        return pool.open(method, path, headers, prepared, listener, body, end)

    async def request(
        self,
        endpoint: Endpoint,
        method: str,
        path: str,
        headers: Headers,
        body: bytes = b"",
        *,
        timeout_s: float,
        max_body_bytes: int,
    ) -> Response:
        """A whole exchange, for discovery. Cancelled or late: the stream is reset.

        Raises:
            RequestFailed: no connection, no complete answer within `timeout_s`, or a body too long.
            HeaderError: as for `open`.
        """
        collector = _Collector(self._loop.create_future(), endpoint, max_body_bytes)
        stream = self.open(endpoint, method, path, headers, collector, body=body, end=True)
        try:
            async with asyncio.timeout(timeout_s):
                await collector.done
                return collector.response(stream.http_version)
        except TimeoutError:
            reason = f"{endpoint.address} gave no complete answer to {method} {path} within {timeout_s:g} s"
            raise RequestFailed(TransportFailure(reason, False, None)) from None
        finally:
            stream.reset()

    def connections(self, endpoint: Endpoint) -> int:
        """Live connections to an endpoint, those included that only finish what they carry."""
        pool = self._pools.get(endpoint)
        return pool.connections if pool is not None else 0

    async def close(self) -> None:
        """Hang up all connections; open, waiting and later streams fail, through their listeners."""
        self._closed = True
        if self._sweeper is not None:
            self._sweeper.cancel()
        pools = list(self._pools.values())
        await asyncio.gather(*(pool.close(CLOSED_REASON) for pool in pools))

    def _add_pool(self, endpoint: Endpoint) -> EndpointPool:
        def connect_to_endpoint(owner: TransportOwner, encoder: RequestEncoder) -> Awaitable[Transport]:
            return connect(
                self._loop,
                endpoint,
                self._context_for(endpoint),
                lambda: H2Transport(self._loop, owner, endpoint, encoder, self._cache, self._limits),
                lambda: H1Transport(self._loop, owner, endpoint, encoder, self._limits),
                self._limits.connect_timeout_s,
            )

        pool = self._pools[endpoint] = EndpointPool(
            self._loop, endpoint, self._limits, connect_to_endpoint, CLOSED_REASON if self._closed else None
        )
        if self._sweeper is None and not self._closed:
            self._sweeper = self._loop.call_later(self._limits.sweep_interval_s, self._sweep)
        return pool

    def _context_for(self, endpoint: Endpoint) -> ssl.SSLContext | None:
        if endpoint.scheme != "https":
            return None
        if endpoint.http11:
            if self._ssl_context_http11 is None:
                self._ssl_context_http11 = default_ssl_context([ALPN_HTTP11])
            return self._ssl_context_http11
        if self._ssl_context is None:
            self._ssl_context = default_ssl_context([ALPN_H2, ALPN_HTTP11])
        return self._ssl_context

    def _sweep(self) -> None:
        now = self._loop.time()
        for endpoint, pool in list(self._pools.items()):
            pool.sweep(now)
            if pool.unused:
                del self._pools[endpoint]
                self._last_pool = None
        self._sweeper = self._loop.call_later(self._limits.sweep_interval_s, self._sweep)


class _Collector:
    """Gathers a response for `request`."""

    def __init__(self, done: asyncio.Future[None], endpoint: Endpoint, max_body_bytes: int) -> None:
        self.done = done
        self._endpoint = endpoint
        self._max_body_bytes = max_body_bytes
        self._status = 0
        self._headers: dict[str, str] = {}
        self._body = bytearray()

    def response(self, http_version: str) -> Response:
        """What was gathered, once `done`."""
        return Response(self._status, self._headers, bytes(self._body), http_version)

    def on_response(self, status: int, headers: dict[str, str]) -> None:
        self._status = status
        self._headers = headers

    def on_data(self, data: bytes) -> None:
        self._body += data
        if len(self._body) > self._max_body_bytes:
            reason = f"the answer of {self._endpoint.address} exceeds {self._max_body_bytes} bytes"
            self._body.clear()
            self.on_failure(TransportFailure(reason, False, None))

    def on_end(self) -> None:
        if not self.done.done():
            self.done.set_result(None)

    def on_failure(self, failure: TransportFailure) -> None:
        if not self.done.done():
            self.done.set_exception(RequestFailed(failure))
