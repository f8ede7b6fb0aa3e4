"""Partition loops on a real event loop, with a runner that only writes down, a disk that can be held back,
and a clock that stands still."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import apsw
from core.harness import DEPLOYMENT, EPOCH_MS, VERSION

from holdfast.catalog.model import Handler
from holdfast.core.commands import Item
from holdfast.core.model import Invocation, InvocationId, RetryPolicy, Row, TargetKind
from holdfast.core.records import AttemptReport, Recover
from holdfast.invoker.runner import Runner
from holdfast.partition.engine import LocalEngine
from holdfast.partition.loop import AttemptRunner, PartitionLoop
from holdfast.partition.placement import Minter
from holdfast.partition.post import PostOffice
from holdfast.protocol.manifest import ServiceType
from holdfast.storage.partition_tables import PartitionTables
from holdfast.timers.service import TimerService

DEADLINE_S = 20.0
T = TypeVar("T")


def run(story: Coroutine[object, object, T]) -> T:
    """Run a test's coroutine under a deadline."""
    return asyncio.run(asyncio.wait_for(story, DEADLINE_S))


async def until(condition: Callable[[], object]) -> None:
    """Wait until something holds; the deadline of `run` ends it otherwise."""
    while not condition():  # noqa: ASYNC110  what is waited for knows no events
        await asyncio.sleep(0.001)


async def turns(count: int = 20) -> None:
    """Let the loop go round, so that what could happen has happened."""
    for _ in range(count):
        await asyncio.sleep(0)


class FakeClock:
    """Tells the time it was given."""

    def __init__(self, ms: int = EPOCH_MS) -> None:
        self.ms = ms

    def now_ms(self) -> int:
        return self.ms


@dataclass
class RecordingRunner:
    """An AttemptRunner that notes what it was asked for."""

    started: list[tuple[int, Invocation, int]] = field(default_factory=list)
    told: list[tuple[int, Row, int, int]] = field(default_factory=list)
    calls: list[tuple[str, Row, int]] = field(default_factory=list)

    def start(self, p: PartitionLoop, invocation: Invocation, attempt: int, input_raw: bytes | None) -> None:
        self.started.append((p.index, invocation, attempt))

    def tell(self, p: PartitionLoop, row: Row, attempt: int, index: int, type_: int, body: bytes) -> None:
        self.told.append((p.index, row, attempt, type_))

    def acknowledge(self, p: PartitionLoop, row: Row, attempt: int, completion_id: int) -> None:
        self.calls.append(("acknowledge", row, attempt))

    def half_close(self, p: PartitionLoop, row: Row, attempt: int) -> None:
        self.calls.append(("half_close", row, attempt))

    def abort(self, p: PartitionLoop, row: Row, attempt: int) -> None:
        self.calls.append(("abort", row, attempt))

    def done(self, p: PartitionLoop, row: Row, attempt: int) -> None:
        self.calls.append(("done", row, attempt))

    def ids(self) -> list[InvocationId]:
        return [invocation.id for _, invocation, _ in self.started]


class HeldDisk:
    """Stands in for a loop's committer: a COMMIT runs when the test lets it."""

    def __init__(self, partition: PartitionLoop) -> None:
        self._real = partition._committer
        self.waiting: list[tuple[Callable[[], None], Callable[..., None]]] = []
        self.commits = 0
        partition._committer = self  # type: ignore[assignment]

    def submit(self, job: Callable[[], None], done: Callable[..., None]) -> None:
        self.waiting.append((job, done))

    def release(self) -> None:
        """Let the one that waits go through."""
        job, done = self.waiting.pop(0)
        self.commits += 1
        job()
        done(None)

    def close(self) -> None:
        self._real.close()


@dataclass
class Engine:
    """Everything around partitions but attempts and network."""

    engine: LocalEngine
    partitions: list[PartitionLoop]
    runner: RecordingRunner
    clock: FakeClock
    timers: list[TimerService]
    fatal: list[BaseException]

    def report(self, id_: InvocationId, *items: Item) -> None:
        """The latest attempt of an invocation sends something."""
        index, invocation, attempt = [s for s in self.runner.started if s[1].id == id_][-1]
        record = AttemptReport(self.clock.ms, invocation.row, attempt, DEPLOYMENT, VERSION, list(items))
        self.partitions[index].submit(record)


@asynccontextmanager
async def engine(
    partitions: int = 1,
    directory: Path | None = None,
    start_ms: int = EPOCH_MS,
    make_runner: Callable[[FakeClock], AttemptRunner] | None = None,
) -> AsyncIterator[Engine]:
    """A wired engine, as the server wires it; recovered and started. `make_runner` puts another runner in
    the place of the recording one."""
    loop, clock, runner = asyncio.get_running_loop(), FakeClock(start_ms), RecordingRunner()
    pushes = runner if make_runner is None else make_runner(clock)
    loops: list[PartitionLoop] = []
    posts: list[PostOffice] = []
    timers: list[TimerService] = []
    minters: list[Minter] = []
    fatal: list[BaseException] = []
    for index in range(partitions):
        file = None if directory is None else directory / f"partition-{index}.sqlite"
        tables = PartitionTables(file, index, partitions)
        tables.database.execute("PRAGMA synchronous=OFF")
        timer = TimerService(loop, clock)
        loops.append(PartitionLoop(tables, loop, pushes, timer.arm, _ship(posts, index), fatal.append))
        timers.append(timer)
        minters.append(Minter(index, partitions, tables.invocations.row_limit))
    wired = Engine(LocalEngine(loops, minters, clock, loop), loops, runner, clock, timers, fatal)
    if isinstance(pushes, Runner):
        pushes.attach_engine(wired.engine)
    for partition, timer in zip(loops, timers, strict=True):
        posts.append(PostOffice(partition, loops, minters, clock))
        partition.submit(Recover(clock.ms))
        timer.start(partition)
    for post in posts:
        post.start()
    try:
        yield wired
    finally:
        for timer in timers:
            timer.stop()
        for partition in reversed(loops):
            with suppress(apsw.ConnectionClosedError):  # a story has closed it
                await partition.close(1.0)


def _ship(posts: list[PostOffice], index: int) -> Callable[[int], None]:
    return lambda destination: posts[index].ship(destination)


async def answered(submit: Callable[[Callable[[T], None]], object]) -> T:
    """The answer that a call with a callback gets."""
    future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
    submit(future.set_result)
    waiting: Awaitable[T] = future
    return await waiting


def handler(
    kind: TargetKind = TargetKind.SERVICE,
    service: str = "Greeter",
    name: str = "greet",
    *,
    journal_retention_ms: int = 86_400_000,
    inactivity_timeout_ms: int = 60_000,
    abort_timeout_ms: int = 60_000,
    enable_lazy_state: bool = False,
    retry: RetryPolicy | None = None,
) -> Handler:
    """A handler as the catalog would give it."""
    types = {TargetKind.SERVICE: ServiceType.SERVICE, TargetKind.WORKFLOW_RUN: ServiceType.WORKFLOW,
             TargetKind.WORKFLOW_SHARED: ServiceType.WORKFLOW}  # fmt: skip
    return Handler(
        service, name, types.get(kind, ServiceType.VIRTUAL_OBJECT), kind, DEPLOYMENT, True, None, None,
        86_400_000, 86_400_000, journal_retention_ms, inactivity_timeout_ms, abort_timeout_ms,
        enable_lazy_state, retry or RetryPolicy(),
    )  # fmt: skip
