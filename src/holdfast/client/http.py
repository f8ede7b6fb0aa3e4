"""httpx as both fronts use it: found when it is needed, set up for long waits, its errors sorted.

Owns the import of the optional dependency, the settings of connections, and the question of how far a request
got when httpx raises. A call may wait for days with nothing on the wire, so there is no read timeout; a peer
that vanished without a word (a lost machine, a forgotten NAT entry) is found by TCP keepalive instead.
"""

from __future__ import annotations

import socket
from importlib import import_module
from typing import TYPE_CHECKING, Final

from holdfast.client.exchange import Answered, Attempt, Broken
from holdfast.client.wire import Response
from holdfast.sdk.errors import UsageError

if TYPE_CHECKING:
    import httpx

CONNECT_TIMEOUT_S: Final = 5.0
WRITE_TIMEOUT_S: Final = 60.0
"""Of one write; a body of any size is many."""

CONNECTIONS_MAX: Final = 1000
"""Requests at once; one more waits for a connection to be free."""

IDLE_CONNECTIONS_MAX: Final = 20
IDLE_SECONDS_MAX: Final = 5.0
"""Shorter than servers close idle connections: reusing one that just closes costs a request without a key."""

KEEPALIVE_IDLE_S: Final = 30
KEEPALIVE_INTERVAL_S: Final = 10
KEEPALIVE_PROBES: Final = 6

USER_AGENT: Final = "holdfast-python"


def new_async_client() -> httpx.AsyncClient:
    """An httpx client for long waits. Raises UsageError: httpx is not installed."""
    _check_installed()
    import httpx

    client = httpx.AsyncClient(
        transport=httpx.AsyncHTTPTransport(limits=_limits(), socket_options=_socket_options())
    )
    _say_little(client.headers)
    return client


def new_sync_client() -> httpx.Client:
    """An httpx client for long waits. Raises UsageError: httpx is not installed."""
    _check_installed()
    import httpx

    client = httpx.Client(transport=httpx.HTTPTransport(limits=_limits(), socket_options=_socket_options()))
    _say_little(client.headers)
    return client


def build(client: httpx.AsyncClient | httpx.Client, url: str, attempt: Attempt) -> httpx.Request:
    """The attempt's request for a client whose ingress is at `url`."""
    import httpx

    request, limit_s = attempt.request, attempt.timeout_s
    connect_s = CONNECT_TIMEOUT_S if limit_s is None else min(limit_s, CONNECT_TIMEOUT_S)
    write_s = WRITE_TIMEOUT_S if limit_s is None else min(limit_s, WRITE_TIMEOUT_S)
    return client.build_request(
        request.method,
        url + request.path,
        headers=list(request.headers),
        content=request.body,
        timeout=httpx.Timeout(connect=connect_s, read=limit_s, write=write_s, pool=limit_s),
    )


def answered(response: httpx.Response, took_s: float) -> Answered:
    """A response that was read whole."""
    headers = {name.lower(): value for name, value in response.headers.items()}
    return Answered(Response(response.status_code, headers, response.content), took_s)


def request_errors() -> type[httpx.RequestError]:
    """What httpx raises when a request gets no response."""
    import httpx

    return httpx.RequestError


def broken(error: httpx.RequestError, took_s: float) -> Broken:
    """How far the request got. When in doubt it was sent."""
    import httpx

    not_sent = isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout)
    timed_out = isinstance(error, httpx.ReadTimeout | httpx.PoolTimeout)
    return Broken(error, not not_sent, timed_out, took_s)


def _check_installed() -> None:
    try:
        import_module("httpx")
    except ImportError as error:
        raise UsageError(
            "client_extra_missing",
            f"the clients need httpx ({error}); install it with: pip install 'holdfast[client]'",
        ) from error


def _limits() -> httpx.Limits:
    import httpx

    return httpx.Limits(
        max_connections=CONNECTIONS_MAX,
        max_keepalive_connections=IDLE_CONNECTIONS_MAX,
        keepalive_expiry=IDLE_SECONDS_MAX,
    )


def _socket_options() -> list[tuple[int, int, int]]:
    options = [(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1), (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)]
    for name, value in (
        ("TCP_KEEPIDLE", KEEPALIVE_IDLE_S),
        ("TCP_KEEPINTVL", KEEPALIVE_INTERVAL_S),
        ("TCP_KEEPCNT", KEEPALIVE_PROBES),
    ):
        if (option := getattr(socket, name, None)) is not None:  # which of these exist depends on the system
            options.append((socket.IPPROTO_TCP, option, value))
    return options


def _say_little(headers: httpx.Headers) -> None:
    """Drop what httpx says of itself: a request's headers are stored with the invocation, every time."""
    for name in ("accept", "accept-encoding", "connection"):
        del headers[name]
    headers["user-agent"] = USER_AGENT
