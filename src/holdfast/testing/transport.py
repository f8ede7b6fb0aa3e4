"""ASGI applications as deployments: what the invoker asks of HTTP, without sockets.

Each application has an address of its own (`http://services-0.test/`). Opening a stream runs the application
as a task; what is written becomes `http.request` events, what it sends goes to the listener. HTTP/2 is full
duplex: the application reads and answers at once. A stream that the invoker resets is an `http.disconnect`,
as with any server; the application then ends by itself.

Two things are added to what a network would carry:

The scope's `extensions` hold an `AttemptHooks` under `HOOKS`. An SDK that finds it takes the time from there
and asks it before each step. SDKs that do not know it count from the machine's clock; the instants in their
Sleep commands and delayed sends are moved by the difference of the clocks, so that a day is a day for them,
too.

A `Saboteur` sees every frame on its way in, one at a time and each durable before the next, and may cut the
stream there: the application's task is cancelled, which is as near as one process comes to a process that
died.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from contextvars import Context, copy_context
from typing import Protocol
from urllib.parse import unquote

import structlog

from holdfast.invoker.http.api import (
    Endpoint,
    RequestFailed,
    Response,
    Stream,
    StreamListener,
    TransportFailure,
)
from holdfast.invoker.http.header_blocks import PreparedHeaders
from holdfast.protocol.framing import FrameDecoder, MessageType, encode_frame
from holdfast.protocol.messages import OneWayCallCommandMessage, SleepCommandMessage
from holdfast.sdk.endpoint.hooks import HOOKS
from holdfast.testing.asgi import AsgiApp, Message

log = structlog.get_logger("holdfast.testing")

_INVOCATION_ID = "x-restate-invocation-id"
_SLEEP = MessageType.SLEEP_COMMAND.value
_TIMED = frozenset((_SLEEP, MessageType.ONE_WAY_CALL_COMMAND.value))
"""Commands that carry an instant."""


class AttemptHooks:
    """What a test tells an SDK that asks: one per attempt; see `holdfast.sdk.endpoint.hooks`."""

    def __init__(
        self, now_ms: Callable[[], int], before_step: Callable[[str], None], after_step: Callable[[str], None]
    ) -> None:
        self._now_ms = now_ms
        self._before_step = before_step
        self._after_step = after_step
        self.asked_time = False

    def now_ms(self) -> int:
        """The virtual wall clock, milliseconds since the epoch."""
        self.asked_time = True
        return self._now_ms()

    def before_step(self, name: str) -> None:
        """Raises what the step is to fail with, if it is to fail."""
        self._before_step(name)

    def after_step(self, name: str) -> None:
        """The step's body is over."""
        self._after_step(name)


class Saboteur(Protocol):
    """Decides where streams break. `None` as reason: go on."""

    async def after_frame(self, invocation_id: str) -> str | None:
        """Wait until all that came is durable, then say why the service dies here."""
        ...

    def on_write(self, invocation_id: str, cut: Callable[[str], None]) -> None:
        """The server wrote something, or opened the attempt. `cut` may be called later."""
        ...


class AsgiClient:
    """The invoker's HTTP client over applications. Used on one loop.

    Args:
        apps: by address as `Endpoint.address` has it (`services-0.test:80`).
        now_ms: the engine's clock. real_now_ms: the one that strange SDKs read.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        apps: dict[str, AsgiApp],
        now_ms: Callable[[], int],
        real_now_ms: Callable[[], int],
        before_step: Callable[[str], None],
        after_step: Callable[[str], None],
        saboteur: Saboteur,
    ) -> None:
        self._loop = loop
        self._apps = apps
        self._now_ms = now_ms
        self._real_now_ms = real_now_ms
        self._before_step = before_step
        self._after_step = after_step
        self._saboteur = saboteur
        self._variables = copy_context()
        self.streams: set[AsgiStream] = set()

    def variables(self) -> Context:
        """The context variables a request starts with: those of the test."""
        return self._variables.copy()

    def open(
        self,
        endpoint: Endpoint,
        method: str,
        path: str,
        headers: Sequence[tuple[str, str]],
        listener: StreamListener,
        *,
        body: bytes = b"",
        end: bool = False,
        prepared: PreparedHeaders | None = None,
    ) -> Stream:
        """As `HttpClient.open`."""
        pairs = [*(prepared.pairs if prepared is not None else ()), *headers]
        hooks = AttemptHooks(self._now_ms, self._before_step, self._after_step)
        scope = _scope(endpoint, method, path, pairs, hooks)
        stream = AsgiStream(self, listener, endpoint, dict(headers).get(_INVOCATION_ID), hooks)
        stream.write(body)
        if end:
            stream.end()
        stream.run(self._apps[endpoint.address], scope)
        return stream

    async def request(
        self,
        endpoint: Endpoint,
        method: str,
        path: str,
        headers: Sequence[tuple[str, str]],
        body: bytes = b"",
        *,
        timeout_s: float,
        max_body_bytes: int,
    ) -> Response:
        """As `HttpClient.request`. A body is in memory already, so its size is not bounded."""
        collector = _Collector(self._loop.create_future())
        stream = self.open(endpoint, method, path, headers, collector, body=body, end=True)
        try:
            async with asyncio.timeout(timeout_s):
                await collector.done
        except TimeoutError:
            reason = f"the application did not answer {method} {path} within {timeout_s:g} s"
            raise RequestFailed(TransportFailure(reason, False, None)) from None
        finally:
            stream.reset()
        return Response(collector.status, collector.headers, bytes(collector.body), stream.http_version)

    def cut_all(self, reason: str) -> None:
        """Every stream breaks now, as when the process that serves them dies."""
        for stream in tuple(self.streams):
            stream.cut(reason)

    async def close(self) -> None:
        """End all applications' tasks."""
        tasks = [stream.task for stream in self.streams if stream.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # ------------------------------------------------------------ for streams

    def skew_ms(self) -> int:
        """To add to an instant that was made from the machine's clock."""
        return self._now_ms() - self._real_now_ms()

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        return self._loop

    @property
    def saboteur(self) -> Saboteur:
        return self._saboteur


class AsgiStream:
    """One request to an application and its response."""

    def __init__(
        self,
        client: AsgiClient,
        listener: StreamListener,
        endpoint: Endpoint,
        invocation_id: str | None,
        hooks: AttemptHooks,
    ) -> None:
        self._client = client
        self._listener = listener
        self._endpoint = endpoint
        self._invocation_id = invocation_id
        self._hooks = hooks
        self._inbox: deque[Message] = deque()
        self._unread_bytes = 0
        self._arrived: asyncio.Future[None] | None = None
        self._reading = asyncio.Event()
        self._reading.set()
        self._closed = False  # the listener hears nothing more
        self._gone = False  # the peer is gone, for the application
        self._started = False
        self._frames = FrameDecoder()
        self.task: asyncio.Task[None] | None = None

    # ------------------------------------------------------------ the invoker's side

    def write(self, data: bytes) -> None:
        if data and not self._gone:
            self._unread_bytes += len(data)
            self._put({"type": "http.request", "body": data, "more_body": True})
            if self._invocation_id is not None:
                self._client.saboteur.on_write(self._invocation_id, self.cut)

    def end(self) -> None:
        if not self._gone:
            self._put({"type": "http.request", "body": b"", "more_body": False})

    def reset(self) -> None:
        self._closed = True
        self._disconnect()

    def pause_reading(self) -> None:
        self._reading.clear()

    def resume_reading(self) -> None:
        self._reading.set()

    @property
    def buffered_bytes(self) -> int:
        return self._unread_bytes

    @property
    def http_version(self) -> str:
        return "HTTP/1.1" if self._endpoint.http11 else "HTTP/2.0"

    # ------------------------------------------------------------ running

    def run(self, app: AsgiApp, scope: Message) -> None:
        """Start the application's task."""
        self._client.streams.add(self)
        # What the service set in one request must not be there in the next: whatever wakes the engine may be
        # a step of the attempt before.
        variables = self._client.variables()
        self.task = self._client.loop.create_task(self._run(app, scope), context=variables)
        self.task.add_done_callback(lambda _: self._client.streams.discard(self))

    def cut(self, reason: str) -> None:
        """The service dies: its task is cancelled, nothing more comes from it."""
        if self._closed:
            return
        self._gone = True
        if self.task is not None:
            self.task.cancel()
        self._client.loop.call_soon(self._fail, reason)

    async def _run(self, app: AsgiApp, scope: Message) -> None:
        try:
            await app(scope, self._receive, self._send)
        except asyncio.CancelledError:
            raise
        except Exception as error:
            log.exception("an application raised", path=scope["path"])
            if not self._started and not self._closed:
                self._listener.on_response(500, {"content-type": "text/plain"})
                self._listener.on_data(f"the application raised {error!r}".encode())
                self._closed = True
                self._listener.on_end()
            else:
                self._fail(f"the application raised {error!r}")
            return
        self._fail("the application returned before its response was complete")

    def _fail(self, reason: str) -> None:
        if not self._closed:
            self._closed = True
            self._disconnect()
            self._listener.on_failure(
                TransportFailure(f"{self._endpoint.address}: {reason}", retry_at_once=False, reset_code=None)
            )

    # ------------------------------------------------------------ the application's side

    def _put(self, message: Message) -> None:
        self._inbox.append(message)
        if self._arrived is not None and not self._arrived.done():
            self._arrived.set_result(None)

    def _disconnect(self) -> None:
        if not self._gone:
            self._gone = True
            self._put({"type": "http.disconnect"})

    async def _receive(self) -> Message:
        while not self._inbox:
            if self._gone:
                return {"type": "http.disconnect"}
            self._arrived = self._client.loop.create_future()
            await self._arrived
        message = self._inbox.popleft()
        self._unread_bytes -= len(message.get("body", b""))
        return message

    async def _send(self, message: Message) -> None:
        await self._reading.wait()
        if self._closed or self._gone:
            return
        if message["type"] == "http.response.start":
            self._started = True
            headers: dict[str, str] = {}
            for raw_name, raw_value in message.get("headers", ()):
                name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
                headers[name] = f"{headers[name]},{value}" if name in headers else value
            self._listener.on_response(message["status"], headers)
            return
        if message["type"] != "http.response.body":
            return
        body = message.get("body", b"")
        if body:
            await self._deliver(bytes(body))
        if not message.get("more_body", False):
            self._finish()

    def _finish(self) -> None:
        if not self._closed and not self._gone:
            self._closed = True
            self._listener.on_end()
            self._disconnect()

    async def _deliver(self, body: bytes) -> None:
        if self._invocation_id is None or not self._started:
            self._listener.on_data(body)
            return
        for type_, flags, frame in self._frames.feed(body):
            if type_ in _TIMED and not self._hooks.asked_time:
                frame = self._moved(type_, frame)
            self._listener.on_data(encode_frame(type_, frame, flags))
            reason = await self._client.saboteur.after_frame(self._invocation_id)
            if reason is not None:
                self.cut(reason)
            if self._closed or self._gone:
                return

    def _moved(self, type_: int, frame: bytes) -> bytes:
        """The command with its instant on the virtual clock."""
        if type_ == _SLEEP:
            sleep = SleepCommandMessage.decode(frame)
            sleep.wake_up_time = max(sleep.wake_up_time + self._client.skew_ms(), 0)
            return sleep.encode()
        send = OneWayCallCommandMessage.decode(frame)
        if send.invoke_time:
            send.invoke_time = max(send.invoke_time + self._client.skew_ms(), 1)
        return send.encode()


def _scope(
    endpoint: Endpoint, method: str, path: str, headers: Sequence[tuple[str, str]], hooks: AttemptHooks
) -> Message:
    whole = f"{endpoint.base_path}{path}"
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1" if endpoint.http11 else "2",
        "method": method,
        "scheme": endpoint.scheme,
        "path": unquote(whole),
        "raw_path": whole.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", endpoint.authority.encode())]
        + [(name.encode(), value.encode()) for name, value in headers],
        "client": ("127.0.0.1", 1),
        "server": (endpoint.host, endpoint.port),
        "extensions": {HOOKS: hooks},
        "state": {},
    }


class _Collector:
    """Gathers a response."""

    def __init__(self, done: asyncio.Future[None]) -> None:
        self.done = done
        self.status = 0
        self.headers: dict[str, str] = {}
        self.body = bytearray()

    def on_response(self, status: int, headers: dict[str, str]) -> None:
        self.status, self.headers = status, headers

    def on_data(self, data: bytes) -> None:
        self.body += data

    def on_end(self) -> None:
        if not self.done.done():
            self.done.set_result(None)

    def on_failure(self, failure: TransportFailure) -> None:
        if not self.done.done():
            self.done.set_exception(RequestFailed(failure))
