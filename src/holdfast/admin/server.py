"""Serves the admin application on the event loop that everything else runs on.

uvicorn is the HTTP server: this interface is not hot. Signals stay with the process: they mean the whole
server and not this part of it.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Generator
from contextlib import contextmanager
from functools import partial

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

SHUTDOWN_GRACE_S = 5
START_POLL_S = 0.005
BACKLOG = 128
CONCURRENT_REQUESTS_MAX = 1024


ABORT = "holdfast.abort"
"""In the scope of a request: a function that breaks its connection off, for clients that do not read."""


class AdminServer:
    """One listener for an application."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._server: _QuietServer | None = None
        self._serving: asyncio.Task[None] | None = None

    async def start(self, host: str, port: int) -> int:
        """Listen; the port, which is chosen by the system when `port` is 0.

        Raises:
            OSError: the address cannot be bound; the text names it.
        """
        listener = _bind(host, port)
        config = uvicorn.Config(
            self._with_abort,
            interface="asgi3",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            ws="none",
            limit_concurrency=CONCURRENT_REQUESTS_MAX,
            timeout_graceful_shutdown=SHUTDOWN_GRACE_S,
        )
        self._server = _QuietServer(config)
        bound: int = listener.getsockname()[1]
        self._serving = asyncio.create_task(self._server.serve([listener]), name="admin")
        while not self._server.started:
            if self._serving.done():
                await self._serving
            await asyncio.sleep(START_POLL_S)
        return bound

    async def close(self) -> None:
        """Stop listening; requests under way get `SHUTDOWN_GRACE_S` to end. Harmless when not started."""
        if self._server is not None and self._serving is not None:
            self._server.should_exit = True
            await self._serving
            self._server = self._serving = None

    async def _with_abort(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope[ABORT] = partial(self._abort, scope.get("client"))
        await self._app(scope, receive, send)

    def _abort(self, client: object) -> None:
        if self._server is None:
            return
        for connection in tuple(self._server.server_state.connections):
            transport = getattr(connection, "transport", None)
            if transport is not None and getattr(connection, "client", None) == client:
                transport.abort()


class _QuietServer(uvicorn.Server):
    """uvicorn without its signal handlers."""

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


def _bind(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                # "::" means every address of this machine, the IPv4 ones too.
                listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            listener.bind(address)
            listener.listen(BACKLOG)
            listener.setblocking(False)
        except OSError:
            listener.close()
            raise
    except OSError as error:
        shown = f"[{host}]" if ":" in host else host
        raise OSError(
            error.errno,
            f"the admin interface cannot listen on {shown}:{port}: {error.strerror or error}. Stop what uses "
            "the address, or configure another one",
        ) from error
    return listener
