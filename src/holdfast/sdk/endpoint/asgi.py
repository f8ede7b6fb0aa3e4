"""Requests by ASGI.

A response ends only after the request was read to its end: some servers (Hypercorn) drop the whole connection
otherwise, with every attempt on it. Holdfast and other servers of the protocol end the request when they have
read the attempt's last frame.
"""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from holdfast.sdk.endpoint.answers import Answer
from holdfast.sdk.endpoint.headers import AsgiHeaders
from holdfast.sdk.endpoint.hooks import step_runner
from holdfast.sdk.endpoint.routes import Invoke
from holdfast.sdk.endpoint.sending_runner import SendingRunner
from holdfast.sdk.endpoint.serving import Serving

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


async def run_asgi(app: Serving, scope: Scope, receive: Receive, send: Send) -> None:
    """One connection scope of ASGI 3.

    Raises:
        RuntimeError: neither HTTP nor lifespan; the server was told to route something else here.
    """
    if scope["type"] == "lifespan":
        await _lifespan(receive, send)
        return
    if scope["type"] != "http":
        raise RuntimeError(f"this endpoint speaks HTTP, not {scope['type']}")
    headers = AsgiHeaders(scope["headers"])
    full_duplex = scope.get("http_version") == "2"
    route = app.routes.route(
        scope["method"], scope["path"], headers.content_type(), headers, full_duplex=full_duplex
    )
    if isinstance(route, Answer):
        await _answer(route, receive, send)
    else:
        await _invoke(app, route, headers, scope, receive, send)


async def _invoke(
    app: Serving, invoke: Invoke, headers: AsgiHeaders, scope: Scope, receive: Receive, send: Send
) -> None:
    async def send_body(data: bytes) -> None:
        await send({"type": "http.response.body", "body": data, "more_body": True})

    runner = step_runner(scope, asyncio.get_running_loop(), app.payloads, send_body)
    attempt = app.make_attempt(invoke, runner, headers)
    await send({"type": "http.response.start", "status": 200, "headers": invoke.response_headers})
    finished = False
    try:
        while True:
            message = await receive()
            if message["type"] != "http.request":
                return
            runner.held = True
            if body := message.get("body"):
                attempt.receive(body)
            if not message.get("more_body", False):
                attempt.close_input()
                runner.held = False
                break
            runner.held = False
            if attempt.steps_running:
                runner.flush()
            else:
                await runner.drain()
        if not attempt.ended:
            # The request is read to its end; what is left is the steps' own time.
            runner.flush()
            if not await _ended_before_disconnect(runner, receive):
                return
        await runner.sent()
        await send({"type": "http.response.body", "body": b"", "more_body": False})
        finished = True
    finally:
        if not finished:
            attempt.abandon()
        runner.close()


async def _ended_before_disconnect(runner: SendingRunner, receive: Receive) -> bool:
    ended = runner.ended()
    gone = asyncio.ensure_future(receive())
    try:
        await asyncio.wait((ended, gone), return_when=asyncio.FIRST_COMPLETED)
    finally:
        gone.cancel()
    return ended.done()


async def _answer(answer: Answer, receive: Receive, send: Send) -> None:
    while (message := await receive())["type"] == "http.request" and message.get("more_body", False):
        pass
    await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
    await send({"type": "http.response.body", "body": answer.body, "more_body": False})


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            await send({"type": "lifespan.startup.complete"})
        elif message["type"] == "lifespan.shutdown":
            await send({"type": "lifespan.shutdown.complete"})
            return
