"""`holdfast.lambda_handler`: the services of an app as an AWS Lambda function.

    app = holdfast.app(greeter)
    handler = holdfast.lambda_handler(app)        # configured as the function's handler: `module.handler`

An event is a whole request and the answer a whole response (protocol, "Lambda"), so an attempt runs until it
waits for something that is not there, and suspends. Steps that it has started by then run to their end; their
results leave with the answer, and the server invokes the function again with them in the journal.

**Time.** Lambda ends a function that takes too long, and its answer is lost with the results of all steps in
it. So shortly before (`END_MARGIN_S`) the attempt gives up by itself: what has been done until then is
journaled, steps still running are cancelled, and the server tries again by the retry policy. A step written
as a plain function runs in a thread and cannot be cancelled; it goes on while the function does. There is no
need to hold back steps before that: all that one attempt starts, it starts at once.

**Loops.** Every thread that invokes keeps an event loop, made at its first invocation. So clients bound to a
loop (connection pools) can live as long as the function's process.
"""

import asyncio
import math
import threading
from base64 import b64encode
from collections.abc import Coroutine, Mapping
from typing import Any, Protocol, TypedDict, runtime_checkable

from holdfast.protocol.control import ErrorMessage
from holdfast.protocol.framing import MessageType, encode_frame
from holdfast.sdk.endpoint.answers import Answer, problem
from holdfast.sdk.endpoint.app import App
from holdfast.sdk.endpoint.lambda_event import BadEvent, Request, read_event
from holdfast.sdk.endpoint.routes import Invoke
from holdfast.sdk.endpoint.sending_runner import SendingRunner
from holdfast.sdk.endpoint.zstd import CONTENT_ENCODING, find_zstd
from holdfast.sdk.errors import UsageError
from holdfast.sdk.vm.machine import CODE_INTERNAL

END_MARGIN_S = 1.0
"""Before the function's end: time to stop steps, encode the answer, and hand it over."""

END_MARGIN_SHARE_MAX = 0.25
"""Of the time there is, for functions with a timeout of a few seconds."""

COMPRESSED_FROM_BYTES = 3 * 1024 * 1024
"""Smaller answers are not worth it."""

ANSWER_BYTES_MAX = 6 * 1024 * 1024 - 4096
"""What Lambda carries, less headers and JSON. In place of a larger answer Lambda would give an error of its
own, again and again, that does not say what to change."""


class Result(TypedDict):
    """What the function returns: a response for Lambda's proxies and for the server."""

    statusCode: int
    headers: dict[str, str]
    isBase64Encoded: bool
    body: str


@runtime_checkable
class _Timed(Protocol):
    """What Lambda's runtime gives beside the event."""

    def get_remaining_time_in_millis(self) -> int: ...


class LambdaHandler:
    """The callable that Lambda's runtime invokes with an event and its context; see `lambda_handler`."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._zstd = find_zstd()
        self._routes = app.routes.for_lambda(None if self._zstd is None else CONTENT_ENCODING)
        self._threads = threading.local()

    def __call__(self, event: Mapping[str, Any], context: object = None) -> Result:
        """Answer one event.

        Args:
            event: `{"path", "httpMethod", "headers", "body", "isBase64Encoded"}`, as servers and the first
                version of Lambda's proxies send it, or the second version's `{"rawPath", "requestContext":
                {"http": {"method"}}, ...}`, as function URLs do.
            context: asked for `get_remaining_time_in_millis()`; without that there is no time limit.
        Raises:
            UsageError: `lambda_in_loop`, invoked from inside a running event loop.
        """
        try:
            request = read_event(event, self._zstd)
        except BadEvent as error:
            return _whole(problem(400, str(error)))
        route = self._routes.route(
            request.method,
            request.path,
            request.headers.get("content-type", ""),
            request.headers,
            full_duplex=False,
        )
        if isinstance(route, Answer):
            return _whole(route)
        if request.is_text:
            return _whole(
                problem(
                    400,
                    "the event's body is text, but an invocation is binary; let the gateway in front of this "
                    "function treat all media types as binary, so that it sends base64",
                )
            )
        body = self._loop().run(self._attempt(route, request, _time_left_s(context)))
        return self._encoded(route, request, body)

    def _loop(self) -> "_KeptLoop":
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            pass
        else:
            raise UsageError(
                "lambda_in_loop",
                "a Lambda handler was invoked from inside a running event loop; Lambda's runtime does not do "
                "that. Elsewhere invoke it in a thread: await asyncio.to_thread(handler, event, context)",
            )
        loop: _KeptLoop | None = getattr(self._threads, "loop", None)
        if loop is None:
            loop = self._threads.loop = _KeptLoop()
        return loop

    async def _attempt(self, invoke: Invoke, request: Request, time_left_s: float | None) -> bytes:
        loop = asyncio.get_running_loop()
        out: list[bytes] = []

        async def send(data: bytes) -> None:
            out.append(data)

        runner = SendingRunner(loop, self._app.payloads, send)
        attempt = self._app.make_attempt(invoke, runner, request.headers)
        ending: asyncio.TimerHandle | None = None
        if time_left_s is not None:
            margin_s = min(END_MARGIN_S, time_left_s * END_MARGIN_SHARE_MAX)
            ending = loop.call_later(time_left_s - margin_s, attempt.give_up, _out_of_time(time_left_s))
        try:
            runner.held = True
            attempt.receive(request.body)
            attempt.close_input()
            runner.held = False
            await runner.ended()
            await runner.sent()
        finally:
            if ending is not None:
                ending.cancel()
            if not attempt.ended:
                attempt.abandon()
            runner.close()
        return b"".join(out)

    def _encoded(self, invoke: Invoke, request: Request, body: bytes) -> Result:
        headers = {name.decode(): value.decode() for name, value in invoke.response_headers}
        sent, compressed = self._compressed(request, body)
        if _base64_size(sent) > ANSWER_BYTES_MAX:
            sent, compressed = _too_large(len(sent)), False
        if compressed:
            headers["content-encoding"] = CONTENT_ENCODING
        return Result(statusCode=200, headers=headers, isBase64Encoded=True, body=b64encode(sent).decode())

    def _compressed(self, request: Request, body: bytes) -> tuple[bytes, bool]:
        accepted = CONTENT_ENCODING in request.headers.get("accept-encoding", "")
        if self._zstd is None or not accepted or len(body) < COMPRESSED_FROM_BYTES:
            return body, False
        return self._zstd.compress(body), True


def lambda_handler(app: App) -> LambdaHandler:
    """The services of an app as a Lambda function's handler.

    Identity keys, codec and limits are the app's; whatever the app says about it, discovery announces
    request/response mode. With zstd (Python 3.14, or the package `zstandard`) it also announces compression,
    which lets longer journals through Lambda's limit of 6 MB.

    Raises:
        UsageError: `not_an_app`, this is not what `holdfast.app()` returns.
    """
    if not isinstance(app, App):  # pyright: ignore[reportUnnecessaryIsInstance] - users without types
        raise UsageError(
            "not_an_app",
            f"lambda_handler got {type(app).__name__}; expected what holdfast.app(...) returns",
        )
    return LambdaHandler(app)


class _KeptLoop:
    """A thread's event loop, closed when the thread ends."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()

    def run(self, attempt: Coroutine[Any, Any, bytes]) -> bytes:
        return self._loop.run_until_complete(attempt)

    def __del__(self) -> None:
        if not self._loop.is_running():
            self._loop.close()


def _time_left_s(context: object) -> float | None:
    return max(context.get_remaining_time_in_millis() / 1000, 0.0) if isinstance(context, _Timed) else None


# ---------------------------------------------------------------- answers


def _whole(answer: Answer) -> Result:
    headers = {name.decode(): value.decode() for name, value in answer.headers}
    return Result(
        statusCode=answer.status,
        headers=headers,
        isBase64Encoded=True,
        body=b64encode(answer.body).decode(),
    )


def _out_of_time(time_left_s: float) -> ErrorMessage:
    return ErrorMessage(
        CODE_INTERNAL,
        f"the function's time ({time_left_s:.1f} s) was up before its steps had ended; what was finished by "
        "then is journaled. Give the function a longer timeout, or cut long steps into shorter ones",
    )


def _too_large(size: int) -> bytes:
    error = ErrorMessage(
        CODE_INTERNAL,
        f"the attempt's answer is {size} bytes, and Lambda carries 6 MB with a third of it lost to base64. "
        "Return references (a key, a URL) from steps and calls and keep the data elsewhere",
    )
    return encode_frame(MessageType.ERROR, error.encode())


def _base64_size(data: bytes) -> int:
    return math.ceil(len(data) / 3) * 4
