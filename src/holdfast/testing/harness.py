"""The test environment: the engine and the services in this process, on virtual time.

`Harness` is a client (`call`, `send`, `workflow`, `resolve_awakeable` ... are those of `holdfast.Client`)
that brings the server along, can move time and break things, and shows what is stored. The engine is the one
the server runs: the same tables (in memory), state machine, timers and invoker; only HTTP and the clock are
replaced.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeAlias, cast

from holdfast.client import IngressError, SendHandle
from holdfast.core.outcome import Refused
from holdfast.core.records import Cancel, Kill, Pause, Purge, Record, ReplaceState, Resume
from holdfast.ingress.dispatch import Dispatcher
from holdfast.ingress.exchange import IngressLimits
from holdfast.invoker.http.api import Endpoint
from holdfast.invoker.runner import Runner
from holdfast.partition.sweeper import Sweeper
from holdfast.sdk.endpoint.make import app as make_app
from holdfast.sdk.errors import RetryableError, UsageError
from holdfast.sdk.handlers import ServiceDefinition
from holdfast.sdk.remote import Named, Target
from holdfast.sdk.serde import Codec
from holdfast.sdk.strict import on_by_default
from holdfast.server.config import Config, Millis
from holdfast.server.node import Node
from holdfast.testing.asgi import AsgiApp
from holdfast.testing.clock import EPOCH, VirtualClock
from holdfast.testing.faults import Crasher, CrashPoint, StepFailures
from holdfast.testing.ingress import LocalClient
from holdfast.testing.inspection import (
    Found,
    Place,
    all_invocations,
    by_id,
    invocation_id,
    journal_of,
    latest,
    state_of,
    view,
    why_stuck,
)
from holdfast.testing.journal import InvocationView, Journal
from holdfast.testing.lifespan import lifespan
from holdfast.testing.loop import VirtualLoop
from holdfast.testing.transport import AsgiClient
from holdfast.timers.service import TimerService

App: TypeAlias = AsgiApp | ServiceDefinition
"""What can be put under test."""

CONFIG = Config(
    data_dir="", journal_retention=Millis(100 * 365 * 86_400_000), cleanup_interval=Millis(6 * 3_600_000)
)
"""The server's defaults, but journals stay for as long as a test may want to read them, and what has ended is
looked for less often: years have many hours."""

_FOR_EVER_MS = 1 << 62


class Stuck(AssertionError):
    """The scenario waits, and nothing will ever happen: no timer is pending, nothing runs."""


class NotHappened(AssertionError):
    """The test ended well, but a fault it asked for was never reached: it did not test what it says."""


class Harness(LocalClient):
    """An engine with services, for the time of an `async with`; made by `run` or the pytest fixture.

    Args:
        apps: ASGI applications that serve handlers, as they would be deployed; or services, which then make
            one application together.
        always_replay: every attempt is ended at the first await that has no answer yet, and the next one
        replays
            the journal: what depends on anything but the journal shows.
        crash_after_entry: a service dies once, when this journal entry (0 is the input) of any invocation is
            stored. crash: the same, of one invocation in particular. Retries follow on virtual time.
        start: the virtual instant at which the test begins.
        path: where the applications serve their handlers, if not at their root.
        config: of the engine; `CONFIG` with changes made by `dataclasses.replace`.
        codec, headers: as for `holdfast.Client`.
    """

    def __init__(
        self,
        *apps: App,
        always_replay: bool = False,
        crash_after_entry: int | None = None,
        crash: CrashPoint | None = None,
        start: datetime = EPOCH,
        path: str = "",
        config: Config = CONFIG,
        codec: Codec | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(codec, headers)
        if crash is None and crash_after_entry is not None:
            crash = CrashPoint(crash_after_entry)
        self._apps = _applications(apps, codec)
        self._always_replay = always_replay
        self._crash = crash
        self._start = start
        self._path = path
        self._config = config
        self._failures = StepFailures()
        self._crasher: Crasher | None = None
        self._node: Node | None = None
        self._services: AsgiClient | None = None
        self._closing = AsyncExitStack()
        self._task: asyncio.Task[Any] | None = None
        self._stuck: Stuck | None = None
        self._fatal: BaseException | None = None

    # ------------------------------------------------------------ life

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        if not isinstance(loop, VirtualLoop):
            raise UsageError(
                "real_loop",
                "Harness needs virtual time: run the scenario with holdfast.testing.run(app, scenario), or "
                "as an async test with the fixture holdfast_env",
            )
        async with AsyncExitStack() as closing:
            await self._open(loop, closing)
            self._closing = closing.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        task, self._task = self._task, None
        if self._stuck is not None and task is not None:
            task.uncancel()
        await self._closing.aclose()
        if self._fatal is not None:
            raise RuntimeError("the engine stopped; this is a bug of Holdfast") from self._fatal
        if self._stuck is not None and isinstance(error, asyncio.CancelledError):
            raise self._stuck
        if error is None:
            self._check_happened()

    async def aclose(self) -> None:
        """As leaving the `async with`."""
        await self.__aexit__(None, None, None)

    async def _open(self, loop: VirtualLoop, closing: AsyncExitStack) -> None:
        self._loop = loop
        loop.background_owners = (TimerService, Sweeper, Runner)
        closing.enter_context(on_by_default())
        for app in self._apps:
            await closing.enter_async_context(lifespan(app))
        self._clock = clock = VirtualClock(loop, self._start)
        self._crasher = Crasher(loop, self._crash, self._find)
        endpoints = [
            Endpoint.parse(f"http://services-{number}.test{self._path}", http11=self._always_replay)
            for number in range(len(self._apps))
        ]
        self._services = http = AsgiClient(
            loop,
            {endpoint.address: app for endpoint, app in zip(endpoints, self._apps, strict=True)},
            clock.now_ms,
            lambda: time.time_ns() // 1_000_000,
            self._before_step,
            self._after_step,
            self._crasher,
        )
        self._node = node = await Node.start(
            self._config, _Memory(), loop, clock, http, self._on_fatal, timer_wait_ms_max=_FOR_EVER_MS
        )
        closing.push_async_callback(node.stop)
        for endpoint in endpoints:
            discovered = await node.discovery.discover(endpoint)
            node.catalog.register(
                discovered, force=False, breaking=False, dry_run=False, now_ms=clock.now_ms()
            )
        self._dispatcher = Dispatcher(node.engine, node.catalog, IngressLimits())
        self._task = asyncio.current_task()
        loop.busy_checks.append(self._is_busy)
        closing.callback(loop.busy_checks.remove, self._is_busy)
        loop.stuck_checks.append(self._check_stuck)
        closing.callback(loop.stuck_checks.remove, self._check_stuck)

    def _check_happened(self) -> None:
        if self._crash is not None and self._crasher is not None and not self._crasher.happened:
            raise NotHappened(f"the service was to die at {self._crash}, and no journal came that far")
        if self._failures.left:
            left = ", ".join(f"{name!r} {times} more times" for name, times in self._failures.left.items())
            raise NotHappened(f"steps were to fail and did not: {left}")

    # ------------------------------------------------------------ time

    @property
    def now(self) -> datetime:
        """The virtual instant, UTC."""
        return self._clock.now()

    async def advance(self, by: timedelta) -> None:
        """Let time pass, with everything that happens in it."""
        await asyncio.sleep(by.total_seconds())
        await self.settle()

    async def settle(self) -> None:
        """Wait until nothing more happens without time passing."""
        await self._loop.settle()

    # ------------------------------------------------------------ what is stored

    def journal(
        self, of: str | Target[Any, Any] | SendHandle[Any] | InvocationView, *, key: str | None = None
    ) -> Journal:
        """A journal: by invocation id, by handle, or the newest of a handler (with its `key`).

        Raises:
            UsageError: there is no such invocation.
        """
        partition, invocation = self._one(of, key)
        return journal_of(partition, invocation)

    def invocation_view(
        self, of: str | Target[Any, Any] | SendHandle[Any] | InvocationView, *, key: str | None = None
    ) -> InvocationView:
        """How an invocation stands; named as for `journal`."""
        return view(self._one(of, key)[1])

    def invocations(self) -> list[InvocationView]:
        """All invocations, oldest first."""
        return [view(invocation) for _, invocation in all_invocations(self._running)]

    def state(self, service: str | Named, key: str) -> dict[str, object]:
        """The state of an object or workflow; JSON is decoded."""
        return state_of(self._running, service if isinstance(service, str) else service.name, key)

    async def set_state(self, service: str | Named, key: str, state: Mapping[str, object]) -> None:
        """Replace the whole state of an object or workflow, in its turn; values as JSON, bytes as they
        are."""
        name = service if isinstance(service, str) else service.name
        pairs = tuple((field.encode(), _encoded(value)) for field, value in state.items())
        engine = self._running.engine
        record = ReplaceState(self._clock.now_ms(), f"{name}/{key}", pairs)
        _accept("set the state of", await engine.ask(engine.owner_of_key(key), record))

    # ------------------------------------------------------------ operators

    async def cancel(self, of: str | SendHandle[Any] | InvocationView) -> None:
        """Ask an invocation to cancel itself; returns when the wish is stored. Errors of all of these:

        Raises:
            IngressError: there is no such invocation, or its status does not allow it.
        """
        await self._operate("cancel", of, Cancel)

    async def kill(self, of: str | SendHandle[Any] | InvocationView) -> None:
        """End an invocation without asking it."""
        await self._operate("kill", of, Kill)

    async def pause(self, of: str | SendHandle[Any] | InvocationView) -> None:
        """Make no further attempts until `resume`."""
        await self._operate("pause", of, Pause)

    async def resume(self, of: str | SendHandle[Any] | InvocationView) -> None:
        """Make the next attempt now."""
        await self._operate("resume", of, Resume)

    async def purge(self, of: str | SendHandle[Any] | InvocationView) -> None:
        """Forget a completed invocation."""
        await self._operate("purge", of, Purge)

    # ------------------------------------------------------------ faults

    def lose_process(self) -> None:
        """All services die now: every attempt under way is cut, and retried after its back-off."""
        if self._services is not None:
            self._services.cut_all("the service died, as the test wanted")

    def fail_step(self, name: str, times: int = 1, error: Callable[[], Exception] | None = None) -> None:
        """Let a step fail the next `times` times it would run.

        Args:
            error: makes what the step raises; default: a RetryableError, so that its policy decides.
        """
        make = error or (lambda: RetryableError(f"step {name!r} failed, as the test wanted"))
        self._failures.arm(name, times, make)

    @property
    def crash_happened(self) -> bool:
        """Whether the crash asked for has happened."""
        return self._crasher is not None and self._crasher.happened

    def crash_points(self) -> list[CrashPoint]:
        """Where a service could have died so far: see `crash_everywhere`."""
        return [] if self._crasher is None else self._crasher.points()

    # ------------------------------------------------------------ inside

    @property
    def _running(self) -> Node:
        if self._node is None:
            raise UsageError("not_running", "the test environment is not running; use it as `async with`")
        return self._node

    def _find(self, id_text: str) -> Place:
        return by_id(self._running, id_text)

    def _one(self, of: str | Target[Any, Any] | SendHandle[Any] | InvocationView, key: str | None) -> Found:
        if not isinstance(of, str | SendHandle | InvocationView):
            parts = (of.service.name, key, of.name)
            return latest(self._running, "/".join(part for part in parts if part is not None))
        if isinstance(of, str) and "/" in of:
            return latest(self._running, of)
        id_text = _id_of(of)
        partition, invocation = self._find(id_text)
        if invocation is None:
            raise UsageError("no_invocation", f"there is no invocation {id_text}, or it is kept no longer")
        return partition, invocation

    async def _operate(
        self, what: str, of: str | SendHandle[Any] | InvocationView, make: Callable[..., Record]
    ) -> None:
        id_ = invocation_id(_id_of(of))
        _accept(what, await self._running.engine.ask(id_, make(self._clock.now_ms(), id_)))

    def _before_step(self, name: str) -> None:
        self._loop.real_work_begins()
        self._failures.before_step(name)

    def _after_step(self, _: str) -> None:
        self._loop.real_work_ends()

    def _on_fatal(self, error: BaseException) -> None:
        self._fatal = error
        self.fail_waiting(RuntimeError(f"the engine stopped: {error!r}"))

    def _is_busy(self) -> bool:
        return any(not partition.settled for partition in self._running.partitions)

    def _check_stuck(self) -> None:
        """Called when no timer but housekeeping is pending."""
        node = self._running
        if self._stuck is not None or next(node.runner.running, None) is not None:
            return
        if node.runner.waiting_count or any(p.timers.next_at() is not None for p in node.partitions):
            return
        error = Stuck(f"nothing can happen any more, and the test still waits:\n{why_stuck(node)}")
        if not self.fail_waiting(error) and self._task is not None:
            self._stuck = error
            self._task.cancel()


def apps_of(app: App | Sequence[App]) -> Sequence[App]:
    """One thing to test, or several, as several."""
    if isinstance(app, list | tuple):
        return cast("Sequence[App]", app)
    return (cast("App", app),)


def _applications(apps: tuple[App, ...], codec: Codec | None) -> list[AsgiApp]:
    """Services together are one application."""
    if not apps:
        raise UsageError("no_app", "Harness needs what to test: holdfast.app(...), or services")
    services = [app for app in apps if isinstance(app, ServiceDefinition)]
    found: list[AsgiApp] = [app for app in apps if not isinstance(app, ServiceDefinition)]
    if services:
        found.append(make_app(*services, codec=codec))
    return found


class _Memory:
    """Databases that end with the test."""

    @property
    def catalog_file(self) -> Path:
        return Path(":memory:")

    def partition_file(self, partition: int) -> Path:
        return Path(":memory:")

    def release(self) -> None:
        pass


def _id_of(of: str | SendHandle[Any] | InvocationView) -> str:
    if isinstance(of, str):
        return of
    return of.id if isinstance(of, InvocationView) else of.invocation_id


def _encoded(value: object) -> bytes:
    return value if isinstance(value, bytes) else json.dumps(value).encode()


def _accept(what: str, answer: object) -> None:
    if isinstance(answer, Refused):
        raise IngressError(answer.code, answer.code, f"cannot {what} it: {answer.message}")
