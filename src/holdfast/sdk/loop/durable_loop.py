"""An event loop whose only events are journal entries.

`asyncio` splits in two: the half that schedules callbacks, which every Task, Future, Queue and TaskGroup is
made of, and the half that talks to the world. This loop has the first half whole and, in place of the second,
one seam: `call_later` and `call_at` become durable timers. So `asyncio.sleep`, `timeout`, `wait_for`,
`gather`, `TaskGroup`, `Queue`, `Event` and `Lock` are the standard library's own code, and they replay,
because callbacks run strictly first in, first out and nothing wakes them but what the attempt delivers.

Everything else a loop can do (sockets, pipes, subprocesses, executors, signals, other threads) happens
outside the journal. Those methods raise `UsageError` naming the call and the cure.

**Time.** `time()` starts at 0 and advances only when a durable timer fires, to the moment that timer was set
for. It is therefore the same on every replay. Relative waits are what they say; a deadline computed before a
long wait on something else is measured from the loop's time, not from the wall's.

**Nesting.** The loop is stepped from a callback or a task of the process's real loop. `run_until_quiet` makes
itself the running loop for that long and puts the real one back, in the same thread, so `asyncio` calls in
handler code find this loop and calls in step bodies find the real one.
"""

import asyncio
import logging
import sys
from asyncio import events
from collections import deque
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context, copy_context
from typing import Any, Protocol, TypeVar, cast

from holdfast.sdk.agent_frameworks import framework_cure
from holdfast.sdk.errors import AttemptEnded, TerminalError, UsageError
from holdfast.sdk.loop.generators import OpenGenerators
from holdfast.sdk.loop.inline_executor import InlineExecutor
from holdfast.sdk.loop.ordered import OrderedFuture, OrderedTask, order_sets_of

T = TypeVar("T")

LOG = logging.getLogger("holdfast.sdk")

CALLBACKS_PER_RUN_MAX = 1_000_000
"""Callbacks between two notifications. A handler that polls (`while not done: await asyncio.sleep(0)`) would
otherwise hold the whole process for ever: nothing can change while it spins."""

REFUSALS_MAX = 1000
"""How often handler code that goes on after the end of its attempt is told so."""

WOKEN_FROM_OUTSIDE = (
    "an Event, a Queue, a Future or a task of the handler was touched outside the handler's own code: in a "
    "step, a thread or another event loop. The journal does not know of that, so a replay would go another "
    "way. Return the value from the step, or complete an awakeable"
)

DELAY_S_MAX = 10 * 365 * 24 * 3600
"""The longest durable timer, ten years; a longer one is more likely a unit mistaken."""

get_running_loop = events._get_running_loop
_set_running_loop = events._set_running_loop


class DurableTimers(Protocol):
    """Who makes timers durable: the attempt."""

    def start_timer(self, timer: "DurableTimer", delay_s: float) -> None:
        """Journal a sleep whose completion calls `timer.fire()`."""


class _NoTimers:
    """After the end no timer is made durable."""

    def start_timer(self, timer: "DurableTimer", delay_s: float) -> None: ...


_NO_TIMERS = _NoTimers()


class Ready:
    """A callback waiting for its turn: what `call_soon` returns."""

    __slots__ = ("args", "callback", "context")

    def __init__(self, callback: Callable[..., object], args: tuple[object, ...], context: Context) -> None:
        self.callback: Callable[..., object] | None = callback
        self.args = args
        self.context = context

    def cancel(self) -> None:
        """Take it out of the queue; harmless when it has run."""
        self.callback = None

    def cancelled(self) -> bool:
        """Whether it will not run (any more)."""
        return self.callback is None


class DurableTimer(Ready):
    """What `call_later` and `call_at` return: a callback that follows a durable sleep."""

    __slots__ = ("_loop", "_when")

    def __init__(
        self,
        callback: Callable[..., object],
        args: tuple[object, ...],
        context: Context,
        loop: "DurableLoop",
        when: float,
    ) -> None:
        super().__init__(callback, args, context)
        self._loop = loop
        self._when = when

    def when(self) -> float:
        """The loop time it is set for, seconds."""
        return self._when

    @property
    def sleeper(self) -> "asyncio.Future[Any] | None":
        """What `asyncio.sleep` waits for with this timer; None for a timeout's timer or a cancelled one."""
        # Others put a future of theirs in the same place: `asyncio.wait` and, in 3.11, `wait_for`.
        sleeping = self.callback is asyncio.futures._set_result_unless_cancelled  # type: ignore[attr-defined]
        return cast("asyncio.Future[Any]", self.args[0]) if sleeping else None

    def fire(self) -> None:
        """The sleep is over: the loop's time advances and the callback is ready."""
        self._loop.advance(self._when)
        if self.callback is not None:
            self._loop.ready.append(self)


class DurableLoop(asyncio.AbstractEventLoop):
    """Runs the tasks of one attempt; see the module's text."""

    def __init__(self, timers: DurableTimers) -> None:
        self.ready: deque[Ready] = deque()
        self._timers = timers
        self._time_s = 0.0
        self._closed = False
        self.driven = False
        """Set while the attempt delivers something and the loop runs; at other times nothing may wake it."""
        self.ending = False
        """Once set, every new future fails with `AttemptEnded`: the attempt is being taken down."""
        self._tasks: list[asyncio.Task[Any]] = []
        self._tasks_looked_at = 64
        self._hashes = 0
        self._refusals = 0
        self.callbacks_max = CALLBACKS_PER_RUN_MAX
        self.generators = OpenGenerators(self)

    def run_until_quiet(self) -> None:
        """Run ready callbacks, and those they make ready, until there is none.

        Raises:
            UsageError: `spinning`: more than `callbacks_max` of them.
            BaseException: what a callback outside tasks raised, SystemExit and KeyboardInterrupt in any.
        """
        ready = self.ready
        if not ready:
            return
        outer = get_running_loop()
        outer_task = _leave_current_task(outer)
        _set_running_loop(self)
        hooks = self.generators.enter()
        left = self.callbacks_max
        try:
            while ready:
                handle = ready.popleft()
                callback = handle.callback
                if callback is not None:
                    handle.context.run(callback, *handle.args)
                    left -= 1
                    if left < 0:
                        raise UsageError(
                            "spinning",
                            f"the handler ran {self.callbacks_max} callbacks without waiting for anything "
                            "the journal can complete; it probably polls with asyncio.sleep(0). Await the "
                            "result itself, or sleep for a time greater than zero",
                        )
        finally:
            self.generators.leave(hooks)
            _set_running_loop(outer)
            _enter_current_task(outer, outer_task)

    def advance(self, to: float) -> None:
        """A timer set for `to` has fired."""
        self._time_s = max(self._time_s, to)

    # What asyncio's own primitives use.

    def call_soon(  # type: ignore[override]
        self, callback: Callable[..., object], *args: object, context: Context | None = None
    ) -> Ready:
        if not self.driven and not self.ending:
            raise UsageError("woken_from_outside", WOKEN_FROM_OUTSIDE)
        handle = Ready(callback, args, copy_context() if context is None else context)
        self.ready.append(handle)
        return handle

    def call_later(  # type: ignore[override]
        self, delay: float, callback: Callable[..., object], *args: object, context: Context | None = None
    ) -> Ready:
        return self.call_at(self._time_s + delay, callback, *args, context=context)

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., object], *args: object, context: Context | None = None
    ) -> Ready:
        delay_s = when - self._time_s
        if delay_s <= 0:
            return self.call_soon(callback, *args, context=context)
        if delay_s > DELAY_S_MAX:
            raise UsageError(
                "bad_delay", f"a wait of {delay_s:.0f} seconds is more than ten years; are the units right?"
            )
        timer = DurableTimer(callback, args, copy_context() if context is None else context, self, when)
        if not self.ending:
            self._timers.start_timer(timer, delay_s)
        return timer

    def time(self) -> float:
        """Seconds since the handler's start, as far as durable timers have told."""
        return self._time_s

    def create_future(self) -> "asyncio.Future[Any]":
        future: OrderedFuture[Any] = OrderedFuture(loop=self)
        if self.ending and self.refuses():
            future.set_exception(AttemptEnded())
        return future

    def refuses(self) -> bool:
        """Whether handler code that asks for something after the end is refused.

        Code that catches everything and asks again without ever waiting (`while True: try: await x() except
        BaseException: ...`) would hold the process for ever. In the end it gets something to wait for.
        """
        self._refusals += 1
        return self._refusals <= REFUSALS_MAX

    def next_hash(self) -> int:
        """What the next future to be hashed is hashed by."""
        self._hashes += 1
        return self._hashes

    def create_task(
        self,
        coro: Coroutine[Any, Any, T] | Generator[Any, None, T],
        *,
        name: str | None = None,
        context: Context | None = None,
        **_newer: object,
    ) -> "asyncio.Task[T]":
        task = OrderedTask(
            cast("Coroutine[Any, Any, T]", coro), loop=self, name=name or "durable", context=context
        )
        self._tasks.append(task)
        if len(self._tasks) >= self._tasks_looked_at:
            # Amortised: the list is at most twice as long as there are open tasks.
            self._tasks = self.open_tasks()
            self._tasks_looked_at = max(64, 2 * len(self._tasks))
        return task

    def open_tasks(self) -> "list[asyncio.Task[Any]]":
        """Tasks made with `create_task` that have not ended, oldest first."""
        return [task for task in self._tasks if not task.done()]

    def get_debug(self) -> bool:
        return False

    def get_task_factory(self) -> None:
        """None: tasks are made by `create_task`. anyio asks before it starts one."""
        return None

    def is_running(self) -> bool:
        return get_running_loop() is self

    def is_closed(self) -> bool:
        return self._closed

    def close(self) -> None:
        """Drop what is left; nothing runs any more."""
        self._closed = True
        self.ready.clear()
        self.generators.close()

    def release(self) -> None:
        """Let go of the attempt; the loop has been closed."""
        self._timers = _NO_TIMERS
        self._tasks.clear()
        del self.generators

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """A task that failed and that nobody awaited is logged, as asyncio does it.

        Futures nobody looked at are not: what they were to be is in the journal. Terminal errors neither.
        """
        error = context.get("exception")
        if (
            isinstance(context.get("future"), asyncio.Task)
            and isinstance(error, Exception)
            and ExceptionGroup("", [error]).split(TerminalError)[1] is not None
        ):
            LOG.warning("a task that the handler started and did not await failed: %r", error, exc_info=error)

    def get_exception_handler(self) -> None:
        return None

    def default_exception_handler(self, context: dict[str, Any]) -> None:
        """As `call_exception_handler`."""

    async def shutdown_asyncgens(self) -> None:
        """Nothing to shut down."""

    def _timer_handle_cancelled(self, handle: object) -> None:
        """Part of what some libraries expect of a loop; cancelled timers need no accounting here."""


def waiter_of(task: "asyncio.Task[Any]") -> "asyncio.Future[Any] | None":
    """What a task that is not running waits for; None when it is about to run."""
    return cast("asyncio.Future[Any] | None", task._fut_waiter)  # type: ignore[attr-defined]


def _call_inline(loop: DurableLoop, call: Callable[..., T], *args: object) -> "asyncio.Future[T]":
    """What `run_in_executor` of an `InlineExecutor` comes to."""
    future: asyncio.Future[T] = loop.create_future()
    try:
        future.set_result(call(*args))
    except Exception as error:
        future.set_exception(error)
    return future


def _refusal(name: str, cure: str) -> Callable[..., object]:
    def refuse(self: DurableLoop, *args: Any, **kwargs: object) -> object:
        if name == "run_in_executor" and args and isinstance(args[0], InlineExecutor):
            return _call_inline(self, *args[1:])
        caller = sys._getframe(1)  # pyright: ignore[reportPrivateUsage]
        raise UsageError(
            "unrecorded_io",
            f"loop.{name}() was called in a handler, outside a step: it is not journaled and would happen "
            f"again on every replay. {framework_cure(caller) or cure}",
        )

    refuse.__name__ = name
    return refuse


_STEP = "Wrap it in a step: `await ctx.run(function, ...)`"
_THREAD = "Wrap it in a step: `await ctx.run(function, ...)` runs plain functions in a thread"
REFUSED = {
    "run_in_executor": _THREAD,
    "call_soon_threadsafe": "Results of other threads come through steps, awakeables or signals",
    "run_forever": "The server runs the handler; just await",
    "run_until_complete": "The server runs the handler; just await",
    "set_debug": "Debug mode has no meaning here; leave it off",
} | dict.fromkeys(
    [
        "getaddrinfo", "getnameinfo", "create_connection", "create_server", "create_unix_connection",
        "create_unix_server", "create_datagram_endpoint", "connect_accepted_socket", "connect_read_pipe",
        "connect_write_pipe", "start_tls", "sendfile", "subprocess_shell", "subprocess_exec", "add_reader",
        "remove_reader", "add_writer", "remove_writer", "sock_recv", "sock_recv_into", "sock_recvfrom",
        "sock_recvfrom_into", "sock_sendall", "sock_sendto", "sock_connect", "sock_accept", "sock_sendfile",
        "add_signal_handler", "remove_signal_handler",
    ],
    _STEP,
)  # fmt: skip

for _name, _cure in REFUSED.items():
    setattr(DurableLoop, _name, _refusal(_name, _cure))

order_sets_of(DurableLoop)


# From 3.14 on a thread has one current task whatever its loop, and stepping a second loop inside a task is
# refused; the outer task steps aside meanwhile. Before, each loop has a current task of its own.
_ONE_TASK_PER_THREAD = sys.version_info >= (3, 14)


def _leave_current_task(loop: asyncio.AbstractEventLoop | None) -> Any:
    if _ONE_TASK_PER_THREAD and loop is not None:
        return asyncio.tasks._swap_current_task(loop, None)  # type: ignore[attr-defined, unused-ignore]
    return None


def _enter_current_task(loop: asyncio.AbstractEventLoop | None, task: Any) -> None:
    if _ONE_TASK_PER_THREAD and loop is not None:
        asyncio.tasks._swap_current_task(loop, task)  # type: ignore[attr-defined, unused-ignore]
