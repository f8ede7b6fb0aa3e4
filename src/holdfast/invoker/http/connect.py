"""Opening a connection: resolve, connect, TLS, ALPN, HTTP/2 handshake; one deadline over all of it."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from typing import cast

from holdfast.invoker.http.api import Endpoint
from holdfast.invoker.http.h1_transport import H1Transport
from holdfast.invoker.http.h2_transport import H2Transport
from holdfast.invoker.http.pool import ConnectFailed
from holdfast.invoker.http.transport import Transport

ALPN_H2 = "h2"
ALPN_HTTP11 = "http/1.1"


class _Chooser(asyncio.Protocol):
    """Waits for the TLS handshake, then hands the socket to the protocol ALPN agreed on."""

    def __init__(self, make_h2: Callable[[], H2Transport], make_h1: Callable[[], H1Transport]) -> None:
        self._make_h2 = make_h2
        self._make_h1 = make_h1
        self.chosen: H2Transport | H1Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        socket = cast(asyncio.Transport, transport)
        tls = transport.get_extra_info("ssl_object")
        agreed = tls.selected_alpn_protocol() if tls is not None else None
        chosen = self._make_h2() if agreed == ALPN_H2 else self._make_h1()
        socket.set_protocol(chosen)
        self.chosen = chosen
        chosen.connection_made(transport)


def default_ssl_context(protocols: list[str]) -> ssl.SSLContext:
    """The platform's roots, verification on."""
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(protocols)
    return context


async def connect(
    loop: asyncio.AbstractEventLoop,
    endpoint: Endpoint,
    ssl_context: ssl.SSLContext | None,
    make_h2: Callable[[], H2Transport],
    make_h1: Callable[[], H1Transport],
    timeout_s: float,
) -> Transport:
    """One connection, ready for streams.

    Raises:
        ConnectFailed: not within `timeout_s`, or refused, unresolvable, untrusted, or no HTTP/2 answer.
    """
    address = endpoint.address
    try:
        async with asyncio.timeout(timeout_s):
            return await _connect(loop, endpoint, ssl_context, make_h2, make_h1)
    except TimeoutError:
        raise ConnectFailed(f"{address} was not reached within {timeout_s:g} s (META0003)") from None
    except ssl.SSLError as error:
        raise ConnectFailed(f"TLS with {address} failed: {error.reason or error} (META0003)") from error
    except (OSError, UnicodeError) as error:  # UnicodeError: a label no resolver takes
        raise ConnectFailed(f"{address} cannot be reached: {error} (META0003)") from error


async def _connect(
    loop: asyncio.AbstractEventLoop,
    endpoint: Endpoint,
    ssl_context: ssl.SSLContext | None,
    make_h2: Callable[[], H2Transport],
    make_h1: Callable[[], H1Transport],
) -> Transport:
    if ssl_context is not None:
        _, chooser = await loop.create_connection(
            lambda: _Chooser(make_h2, make_h1),
            endpoint.host,
            endpoint.port,
            ssl=ssl_context,
            server_hostname=endpoint.host,
        )
        transport = chooser.chosen
        if transport is None:
            raise OSError("the connection closed during the TLS handshake")
    elif endpoint.http11:
        _, transport = await loop.create_connection(make_h1, endpoint.host, endpoint.port)
    else:
        _, transport = await loop.create_connection(make_h2, endpoint.host, endpoint.port)
    if isinstance(transport, H2Transport):
        try:
            failure = await transport.ready
        except asyncio.CancelledError:
            transport.close("abandoned before the HTTP/2 handshake ended")
            raise
        if failure is not None:
            raise ConnectFailed(failure)
    return transport
