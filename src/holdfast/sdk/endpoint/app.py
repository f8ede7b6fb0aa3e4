"""`App`: the services of one deployment as an ASGI application.

The connection decides the mode. Where the request body stays open while the response is written (HTTP/2), the
attempt is full duplex: a step's result is acknowledged on the stream and the handler goes on. Where the body
has ended (HTTP/1.1 servers that read it whole, Lambda), every wait suspends. Neither needs a setting.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

from holdfast.protocol.framing import MESSAGE_BYTES_MAX
from holdfast.protocol.versions import VERSION_MAX
from holdfast.sdk.context.payloads import Payloads
from holdfast.sdk.endpoint.answers import Answer
from holdfast.sdk.endpoint.routes import Invoke, Routes
from holdfast.sdk.endpoint.running import make_attempt
from holdfast.sdk.endpoint.step_runner import StepRunner
from holdfast.sdk.handlers import ServiceDefinition
from holdfast.sdk.serde import Codec
from holdfast.sdk.strict import loop_maker, setting

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class App:
    """An ASGI application: `granian`, `hypercorn`, `uvicorn` and FastAPI's `mount` take it as it is.

    Args:
        services: what it serves.
        identity_keys: `publickeyv1_...` of the servers it runs work for; others get 401. Empty: anybody.
        codec: transforms every payload, for encryption or compression.
        bidirectional: what discovery says about the mode. None: full duplex where the discovery request came
            over HTTP/2.
        max_message_bytes: largest single message, in and out.
        max_protocol_version: the newest version discovery offers, 5 to 7. Lower it where this code and older
            code of yours serve the same invocations, until the older is gone.
        strict: whether handler code that does I/O or takes clocks and chance outside steps fails. None: as
            `HOLDFAST_STRICT` says, else in tests only (`holdfast.sdk.strict`).
    Raises:
        UsageError: two services of one name, a workflow without a main handler, types that nothing can read,
            a protocol version that is none of ours.
    """

    def __init__(
        self,
        services: Iterable[ServiceDefinition],
        *,
        identity_keys: Iterable[str] = (),
        codec: Codec | None = None,
        bidirectional: bool | None = None,
        max_message_bytes: int = MESSAGE_BYTES_MAX,
        max_protocol_version: int = VERSION_MAX,
        strict: bool | None = None,
    ) -> None:
        self.routes = Routes(services, identity_keys, bidirectional, max_protocol_version)
        self.payloads = Payloads(codec)
        self.max_message_bytes = max_message_bytes
        self.strict = setting(strict)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI 3."""
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
            return
        if scope["type"] != "http":
            raise RuntimeError(f"this endpoint speaks HTTP, not {scope['type']}")
        headers = {
            name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]
        }
        route = self.routes.route(
            scope["method"], scope["path"], headers, full_duplex=scope.get("http_version") == "2"
        )
        if isinstance(route, Answer):
            await _answer(route, receive, send)
        else:
            await self._invoke(route, headers, receive, send)

    async def _invoke(self, invoke: Invoke, headers: dict[str, str], receive: Receive, send: Send) -> None:
        loop = asyncio.get_running_loop()

        async def send_body(data: bytes) -> None:
            await send({"type": "http.response.body", "body": data, "more_body": True})

        runner = StepRunner(loop, self.payloads, send_body)
        attempt = make_attempt(
            invoke.handler,
            invoke.version,
            self.payloads,
            runner,
            headers,
            self.max_message_bytes,
            loop_maker(self.strict),
        )
        runner.attempt = attempt
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
                    break
                runner.held = False
                if attempt.steps_running:
                    runner.flush()
                else:
                    await runner.drain()
            runner.held = False
            if not attempt.ended:
                # The request is read to its end; what is left is the steps' own time.
                runner.flush()
                if not await _ended_before_disconnect(runner, receive):
                    return
            await runner.drain()
            await send({"type": "http.response.body", "body": b"", "more_body": False})
            finished = True
        finally:
            if not finished:
                attempt.abandon()
            runner.close()


async def _ended_before_disconnect(runner: StepRunner, receive: Receive) -> bool:
    ended = runner.ended()
    gone = asyncio.ensure_future(receive())
    try:
        await asyncio.wait((ended, gone), return_when=asyncio.FIRST_COMPLETED)
    finally:
        gone.cancel()
    return ended.done()


async def _answer(answer: Answer, receive: Receive, send: Send) -> None:
    # The request is read first: some servers drop a connection whose request nobody read.
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
