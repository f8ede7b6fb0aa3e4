"""The invoker against a deployment that is a list of open streams in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import cast

from core.harness import DEPLOYMENT
from partition.support import Engine, FakeClock, engine, until

from holdfast.catalog.model import Deployment, Handler, Mode
from holdfast.core.commands import StartRequest
from holdfast.core.model import Completed, Invocation, InvocationId
from holdfast.core.outcome import Finished
from holdfast.invoker.attempt import Attempt
from holdfast.invoker.http import HttpClient, PreparedHeaders
from holdfast.invoker.http.api import Endpoint, TransportFailure
from holdfast.invoker.runner import InvokerLimits, Runner
from holdfast.protocol import messages as wire
from holdfast.protocol.framing import FrameDecoder
from holdfast.protocol.versions import content_type_of


@dataclass
class Push:
    """One stream the runner opened: what it sent, and what the deployment answers."""

    path: str
    headers: dict[str, str]
    listener: Attempt
    sent: bytearray
    ended: bool
    was_reset: bool = False
    buffered_bytes: int = 0

    # as a Stream
    def write(self, data: bytes) -> None:
        self.sent += data

    def end(self) -> None:
        self.ended = True

    def reset(self) -> None:
        self.was_reset = True

    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...

    # as the deployment
    def frames(self) -> list[tuple[int, int, bytes]]:
        """Everything sent so far, as frames."""
        return FrameDecoder().feed(bytes(self.sent))

    def messages(self) -> list[wire.Message]:
        return [wire.decode(type_, body) for type_, _, body in self.frames()]

    @property
    def start(self) -> wire.StartMessage:
        first = self.messages()[0]
        assert isinstance(first, wire.StartMessage)
        return first

    def accept(self, version: int = 7) -> Push:
        self.listener.on_response(200, {"content-type": content_type_of(version)})
        return self

    def refuse(self, status: int, headers: dict[str, str] | None = None, body: bytes = b"") -> None:
        self.listener.on_response(status, headers or {})
        if body:
            self.listener.on_data(body)
        self.listener.on_end()

    def say(self, *messages: wire.Message, flags: int = 0) -> None:
        """All in one chunk."""
        self.listener.on_data(b"".join(wire.frame(message, flags) for message in messages))

    def finish(self, value: bytes = b"out") -> None:
        self.say(wire.OutputCommandMessage(result=wire.Value(value)), wire.EndMessage())
        self.listener.on_end()

    def lose(self, *, retry_at_once: bool = False, reason: str = "connection lost") -> None:
        self.listener.on_failure(TransportFailure(reason, retry_at_once, None))


class FakeClient:
    """Stands in for HttpClient."""

    def __init__(self) -> None:
        self.pushes: list[Push] = []

    def open(
        self,
        endpoint: Endpoint,
        method: str,
        path: str,
        headers: Sequence[tuple[str, str]],
        listener: Attempt,
        *,
        body: bytes = b"",
        end: bool = False,
        prepared: PreparedHeaders | None = None,
    ) -> Push:
        all_headers = dict([*(prepared.pairs if prepared else ()), *headers])
        push = Push(path, all_headers, listener, bytearray(body), end)
        self.pushes.append(push)
        return push


@dataclass
class FakeCatalog:
    handlers: dict[tuple[str, str], Handler] = field(default_factory=dict)
    deployments: dict[str, Deployment] = field(default_factory=dict)

    def handler(self, service: str, handler: str) -> Handler | None:
        return self.handlers.get((service, handler))

    def pinned_handler(self, deployment_id: str, service: str, handler: str) -> Handler | None:
        return self.handler(service, handler) if deployment_id in self.deployments else None

    def deployment(self, id_: str) -> Deployment | None:
        return self.deployments.get(id_)

    def add(self, *handlers: Handler) -> None:
        for handler in handlers:
            self.handlers[handler.service, handler.name] = handler


def deployment(
    *, versions: tuple[int, int] = (5, 7), mode: Mode = Mode.BIDI_STREAM, id_: str = DEPLOYMENT
) -> Deployment:
    uri = "http://127.0.0.1:9080"
    return Deployment(id_, uri, Endpoint.parse(uri, False), mode, "HTTP/2.0", *versions, 0)


@dataclass
class Stage:
    """A runner with partitions behind it and a deployment in front of it."""

    e: Engine
    runner: Runner
    client: FakeClient
    catalog: FakeCatalog
    ends: dict[InvocationId, Completed] = field(default_factory=dict)

    def call(self, handler: Handler, key: str | None = None, **options: object) -> StartRequest:
        """Start an invocation."""
        request = self.e.engine.make_request(handler, key, (), b"in", **options)  # type: ignore[arg-type]
        self.e.engine.start(request, lambda _: None, self._ended)
        return request

    def _ended(self, finished: Finished) -> None:
        self.ends[finished.id] = finished.completed

    async def push(self, count: int = 1) -> Push:
        """The `count`th stream that was opened."""
        await until(lambda: len(self.client.pushes) >= count)
        return self.client.pushes[count - 1]

    def invocation(self, request: StartRequest) -> Invocation | None:
        return self.e.engine.owner(request.id).tables.invocations.find(request.id)

    def code(self, request: StartRequest) -> str | None:
        """The code of the invocation's last failure."""
        invocation = self.invocation(request)
        return None if invocation is None or invocation.failure is None else invocation.failure.doc_code

    async def failed(self, request: StartRequest) -> Invocation:
        """The invocation, once an attempt of it has failed."""
        await until(lambda: self.code(request))
        invocation = self.invocation(request)
        assert invocation is not None
        return invocation

    async def journal(self, request: StartRequest, *types: int) -> None:
        """Wait until the committed journal is this, input left out."""
        partition = self.e.engine.owner(request.id)

        def found() -> list[int]:
            if partition._committing:
                return []
            return [type_ for type_, _ in partition.tables.journal.frames(request.row)][1:]

        await until(lambda: found() == list(types))


@asynccontextmanager
async def stage(
    *handlers: Handler,
    serving: Deployment | None = None,
    limits: InvokerLimits | None = None,
    partitions: int = 1,
) -> AsyncIterator[Stage]:
    client, catalog = FakeClient(), FakeCatalog()
    catalog.add(*handlers)
    serving = serving or deployment()
    catalog.deployments[serving.id] = serving
    made: list[Runner] = []

    def make(clock: FakeClock) -> Runner:
        loop = asyncio.get_running_loop()
        runner = Runner(loop, clock, cast(HttpClient, client), catalog, limits or InvokerLimits())
        made.append(runner)
        return runner

    async with engine(partitions, make_runner=make) as e:
        try:
            yield Stage(e, made[0], client, catalog)
        finally:
            made[0].drain()
