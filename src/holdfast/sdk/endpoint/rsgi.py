"""Requests by RSGI, Granian's own interface.

It hands over plain bytes where ASGI makes a dict and a trip through a queue for each piece. And its server is
known to accept a response that ends before the request does, so an attempt that is done with what it was sent
at first, which is nearly every attempt without a wait, is one read and one whole response.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from typing import Protocol as Interface

from holdfast.sdk.endpoint.answers import Answer
from holdfast.sdk.endpoint.headers import RsgiHeaders, TextHeaders
from holdfast.sdk.endpoint.routes import Invoke
from holdfast.sdk.endpoint.sending_runner import SendingRunner
from holdfast.sdk.endpoint.serving import Serving

Pairs = list[tuple[str, str]]


class Scope(Interface):
    """What a request is."""

    @property
    def proto(self) -> str: ...
    @property
    def http_version(self) -> str: ...
    @property
    def method(self) -> str: ...
    @property
    def path(self) -> str: ...
    @property
    def headers(self) -> TextHeaders: ...


class Transport(Interface):
    """A response body under way."""

    def send_bytes(self, data: bytes) -> Awaitable[None]: ...


class Protocol(Interface):
    """A request's body and its response."""

    def __call__(self) -> Awaitable[bytes]: ...
    def __aiter__(self) -> AsyncIterator[bytes]: ...
    def client_disconnect(self) -> Awaitable[None]: ...
    def response_bytes(self, status: int, headers: Pairs, body: bytes) -> None: ...
    def response_stream(self, status: int, headers: Pairs) -> Transport: ...


async def run_rsgi(app: Serving, scope: Scope, protocol: Protocol) -> None:
    """One request of RSGI 1.

    Raises:
        RuntimeError: a websocket.
    """
    if scope.proto != "http":
        raise RuntimeError(f"this endpoint speaks HTTP, not {scope.proto}")
    headers = RsgiHeaders(scope.headers)
    route = app.routes.route(
        scope.method,
        scope.path,
        headers.content_type(),
        headers,
        full_duplex=scope.http_version.startswith("2"),
    )
    if isinstance(route, Answer):
        await protocol()
        protocol.response_bytes(route.status, route.text_headers, route.body)
    else:
        await _invoke(app, route, headers, protocol)


async def _invoke(app: Serving, invoke: Invoke, headers: RsgiHeaders, protocol: Protocol) -> None:
    transport: Transport | None = None

    async def send_body(data: bytes) -> None:
        nonlocal transport
        if transport is None:
            transport = protocol.response_stream(200, invoke.text_headers)
        await transport.send_bytes(data)

    runner = SendingRunner(asyncio.get_running_loop(), app.payloads, send_body)
    attempt = app.make_attempt(invoke, runner, headers)
    finished = False
    try:
        async for data in protocol:
            runner.held = True
            attempt.receive(data)
            runner.held = False
            if attempt.ended:
                break
            if attempt.steps_running:
                runner.flush()
            else:
                await runner.drain()
        else:
            runner.held = True
            attempt.close_input()
            runner.held = False
        if attempt.ended and transport is None:
            protocol.response_bytes(200, invoke.text_headers, attempt.machine.take_output())
        elif attempt.ended or await _ended_before_disconnect(runner, protocol):
            await runner.sent()
        else:
            return
        finished = True
    finally:
        if not finished:
            attempt.abandon()
        runner.close()


async def _ended_before_disconnect(runner: SendingRunner, protocol: Protocol) -> bool:
    """The request is read to its end; what is left is the steps' own time."""
    runner.flush()
    ended = runner.ended()
    gone = asyncio.ensure_future(protocol.client_disconnect())
    try:
        await asyncio.wait((ended, gone), return_when=asyncio.FIRST_COMPLETED)
    finally:
        gone.cancel()
    return ended.done()
