"""A fake engine and catalog, a served ingress, and a client that speaks in bytes."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TypeVar

import uvloop

from holdfast.catalog.model import Handler
from holdfast.core.commands import StartRequest
from holdfast.core.model import (
    FROM_INGRESS,
    Completed,
    Failure,
    InvocationId,
    Origin,
    Result,
    RetryPolicy,
    Row,
    Success,
    Target,
    TargetKind,
)
from holdfast.core.outcome import Accepted, Answer, Finished, Found, Refused
from holdfast.core.records import Record, Signal
from holdfast.ingress.exchange import IngressLimits
from holdfast.ingress.server import IngressServer
from holdfast.protocol.ids import (
    idempotent_unique,
    keyed_partition_key,
    make_invocation_id,
    workflow_unique,
)
from holdfast.protocol.manifest import InputRule, OutputRule, ServiceType

T = TypeVar("T")

NOW_MS = 1_700_000_000_000
DAY_MS = 86_400_000
JSON_IN, JSON_OUT = InputRule(content_type="application/json"), OutputRule("application/json")
NOT_FOUND = Refused(404, "not_found", "the invocation does not exist")

KINDS = {
    ServiceType.SERVICE: TargetKind.SERVICE,
    ServiceType.VIRTUAL_OBJECT: TargetKind.OBJECT_EXCLUSIVE,
    ServiceType.WORKFLOW: TargetKind.WORKFLOW_RUN,
}


def handler(
    service: str,
    name: str,
    service_type: ServiceType = ServiceType.SERVICE,
    *,
    public: bool = True,
    takes: InputRule | None = JSON_IN,
    gives: OutputRule | None = JSON_OUT,
) -> Handler:
    return Handler(
        service, name, service_type, KINDS[service_type], "dp_1", public, takes, gives,
        DAY_MS, DAY_MS, DAY_MS, 60_000, 60_000, False, RetryPolicy(),
    )  # fmt: skip


class FakeCatalog:
    """Handlers by (service, name)."""

    def __init__(self, *handlers: Handler) -> None:
        self.handlers = {(each.service, each.name): each for each in handlers}

    def handler(self, service: str, handler: str) -> Handler | None:
        return self.handlers.get((service, handler))

    def service_type(self, service: str) -> ServiceType | None:
        return next((each.service_type for each in self.handlers.values() if each.service == service), None)

    def service_names(self) -> list[str]:
        return list({each.service for each in self.handlers.values()})


GREETER = handler("Greeter", "greet")
ECHO = handler("Greeter", "echo", takes=None, gives=None)
SLOW = handler("Greeter", "slow", takes=None)
FAILS = handler("Greeter", "fails", takes=None)
SECRET = handler("Greeter", "secret", public=False)
ADD = handler("Counter", "add", ServiceType.VIRTUAL_OBJECT)
RUN = handler("Flow", "run", ServiceType.WORKFLOW)
CATALOG = FakeCatalog(GREETER, ECHO, SLOW, FAILS, SECRET, ADD, RUN)


@dataclass
class Made:
    """What `make_request` was told."""

    request: StartRequest
    handler: Handler
    headers: list[tuple[str, str]]
    body: bytes


@dataclass
class FakeWatch:
    cancelled: bool = False

    def cancel(self) -> None:
        self.cancelled = True


Behaviour = Callable[[Made], Result | None]
"""A handler: its result, or None to stay unfinished until `FakeEngine.finish`."""


def greet(made: Made) -> Result:
    return Success(b'"hi ' + made.body.strip(b'"') + b'"')


def echo(made: Made) -> Result:
    return Success(made.body)


def slow(made: Made) -> Result | None:
    return None


def fails(made: Made) -> Result:
    return Failure(int(made.body or b"409"), "terminal!")


BEHAVIOURS: dict[str, Behaviour] = {"slow": slow, "fails": fails, "greet": greet, "add": echo, "run": echo}


@dataclass
class FakeEngine:
    """Accepts, runs at once or on `finish`, remembers; answers in a later turn of the loop."""

    behaviours: dict[str, Behaviour] = field(default_factory=lambda: dict(BEHAVIOURS))
    refusal: Refused | None = None
    overloaded: bool = False
    made: list[Made] = field(default_factory=list)
    signals: list[Signal] = field(default_factory=list)
    watches: list[FakeWatch] = field(default_factory=list)
    known: dict[InvocationId, Made] = field(default_factory=dict)
    results: dict[InvocationId, Completed] = field(default_factory=dict)
    waiting: dict[InvocationId, list[tuple[FakeWatch, Callable[[Finished], None]]]] = field(
        default_factory=dict
    )

    def now_ms(self) -> int:
        return NOW_MS

    def make_request(
        self,
        handler: Handler,
        key: str | None,
        headers: Sequence[tuple[str, str]],
        body: bytes,
        *,
        idempotency_key: str | None = None,
        start_at: int = 0,
        origin: Origin = FROM_INGRESS,
        scope: str | None = None,
        limit_key: str | None = None,
        trace_parent: str | None = None,
    ) -> StartRequest:
        if handler.kind is TargetKind.WORKFLOW_RUN and key is not None:
            id_ = make_invocation_id(keyed_partition_key(key), workflow_unique(handler.service, key))
        elif idempotency_key is not None:
            unique = idempotent_unique(handler.service, key, handler.name, idempotency_key)
            id_ = make_invocation_id(keyed_partition_key(key or idempotency_key), unique)
        else:
            id_ = make_invocation_id(keyed_partition_key(key or ""), os.urandom(16))
        idempotent = idempotency_key is not None
        request = StartRequest(
            InvocationId(id_),
            Row(1),
            not idempotent,
            Target(handler.service, handler.name, key, handler.kind),
            b"",
            handler.retention(idempotent=idempotent),
            idempotency_key,
            start_at,
            origin,
            scope,
            limit_key,
            trace_parent,
        )
        self.made.append(Made(request, handler, list(headers), body))
        return request

    def start(
        self,
        request: StartRequest,
        on_answer: Callable[[Accepted | Refused], None],
        on_finished: Callable[[Finished], None] | None = None,
    ) -> FakeWatch:
        watch = FakeWatch()
        self.watches.append(watch)
        if self.refusal is not None:
            self._later(watch, on_answer, self.refusal)
            return watch
        id_ = request.id
        existing = id_ in self.known
        if not existing:
            self.known[id_] = self.made[-1]
        first = self.known[id_].request
        completed = self.results.get(id_)
        expires_at = None if completed is None else completed.at + DAY_MS
        start_at = first.start_at or None
        self._later(watch, on_answer, Accepted(Row(1), id_, existing, start_at, completed, expires_at))
        if completed is None and on_finished is not None:
            self.waiting.setdefault(id_, []).append((watch, on_finished))
        if not existing and not first.start_at:
            result = self.behaviours.get(request.target.handler, echo)(self.known[id_])
            if result is not None:
                self.finish(id_, result)
        return watch

    def attach(
        self,
        id_: InvocationId,
        on_answer: Callable[[Found | Refused], None],
        on_finished: Callable[[Finished], None] | None = None,
    ) -> FakeWatch:
        watch = FakeWatch()
        self.watches.append(watch)
        completed = self.results.get(id_)
        if id_ not in self.known:
            self._later(watch, on_answer, NOT_FOUND)
        else:
            expires_at = None if completed is None else completed.at + DAY_MS
            self._later(watch, on_answer, Found(Row(1), self.target_of(id_), completed, expires_at))
            if completed is None and on_finished is not None:
                self.waiting.setdefault(id_, []).append((watch, on_finished))
        return watch

    def submit(
        self, id_: InvocationId, record: Record, on_answer: Callable[[Answer | None], None] | None = None
    ) -> None:
        assert isinstance(record, Signal)
        self.signals.append(record)
        if on_answer is not None:
            answer = self.refusal or (None if id_ in self.known else NOT_FOUND)
            asyncio.get_running_loop().call_soon(on_answer, answer)

    async def ask(self, id_: InvocationId, record: Record) -> Answer | None:
        raise NotImplementedError

    def owner_of_key(self, key: str) -> InvocationId:
        raise NotImplementedError

    def mint(self, like: InvocationId) -> tuple[InvocationId, Row]:
        raise NotImplementedError

    def target_of(self, id_: InvocationId) -> Target:
        made = self.known.get(id_)
        return Target("Gone", "gone", None, TargetKind.SERVICE) if made is None else made.request.target

    def finish(self, id_: InvocationId, result: Result) -> None:
        """The invocation ends; whoever waits is told."""
        self.results[id_] = completed = Completed(result, NOW_MS)
        for watch, on_finished in self.waiting.pop(id_, []):
            self._later(
                watch, on_finished, Finished(Row(1), id_, self.target_of(id_), completed, NOW_MS + DAY_MS)
            )

    def known_by_key(self, idempotency_key: str) -> InvocationId:
        keys = {made.request.idempotency_key: id_ for id_, made in self.known.items()}
        return keys[idempotency_key]

    def finish_all(self, result: Result) -> None:
        for id_ in list(self.waiting):
            self.finish(id_, result)

    def _later(self, watch: FakeWatch, callback: Callable[[T], None], value: T) -> None:
        def tell() -> None:
            if not watch.cancelled:
                callback(value)

        asyncio.get_running_loop().call_soon(tell)


@dataclass
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes


class Client:
    """One connection, driven with bytes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def reply(self, *, head: bool = False) -> Reply:
        """The next response; interim ones count. Fails after five seconds."""
        async with asyncio.timeout(5):
            lines = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            status = int(lines[0].split(" ")[1])
            headers = dict(line.split(": ", 1) for line in lines[1:] if line)
            size = 0 if head else int(headers.get("content-length", "0"))
            return Reply(status, headers, await self.reader.readexactly(size))

    async def ask(self, data: bytes) -> Reply:
        await self.send(data)
        return await self.reply()

    async def ended(self) -> bool:
        """Whether the server closes the connection, without another byte."""
        async with asyncio.timeout(5):
            try:
                return await self.reader.read(1) == b""
            except ConnectionResetError:
                return True


def post(path: str, body: bytes = b"", *headers: str) -> bytes:
    lines = [f"POST {path} HTTP/1.1", "host: x", *headers, f"content-length: {len(body)}", "", ""]
    return "\r\n".join(lines).encode() + body


def get(path: str, *headers: str) -> bytes:
    return "\r\n".join([f"GET {path} HTTP/1.1", "host: x", *headers, "", ""]).encode()


def post_json(path: str, body: bytes, *headers: str) -> bytes:
    return post(path, body, "content-type: application/json", *headers)


@dataclass
class Served:
    """A running ingress on its fake engine."""

    engine: FakeEngine
    server: IngressServer
    port: int

    @asynccontextmanager
    async def client(self) -> AsyncIterator[Client]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            yield Client(reader, writer)
        finally:
            writer.close()

    async def ask(self, data: bytes) -> Reply:
        """One request on its own connection."""
        async with self.client() as client:
            return await client.ask(data)


@asynccontextmanager
async def served(
    limits: IngressLimits | None = None, catalog: FakeCatalog = CATALOG
) -> AsyncIterator[Served]:
    engine = FakeEngine()
    server = IngressServer(engine, catalog, limits or IngressLimits(), asyncio.get_running_loop())
    port = await server.start("127.0.0.1", 0)
    try:
        yield Served(engine, server, port)
    finally:
        await server.close(0)


async def until(condition: Callable[[], object]) -> None:
    """Let the loop run until `condition` holds; fails after five seconds."""
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110, the fakes have no events to wait for
            await asyncio.sleep(0.002)


def run(story: Coroutine[object, object, None]) -> None:
    """Run a story on the loop the server uses."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(story)
