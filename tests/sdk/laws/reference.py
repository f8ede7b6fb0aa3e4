"""The same program on asyncio's own event loop, with nothing durable about it: what its result ought to be.

Nothing of the SDK's machinery is used but the order of its sets: a `BaseEventLoop`, futures that the
journal's notifications complete one by one, and a context that numbers them. Left out is what asyncio has no
word for (cancelling an invocation) and what it leaves to chance (`as_completed` over bare coroutines).
"""

from __future__ import annotations

import asyncio
import json
import sys
from asyncio import events
from collections import deque
from datetime import timedelta
from random import Random
from typing import Any

from holdfast import TerminalError
from holdfast.protocol import messages as m
from holdfast.protocol.framing import is_command
from holdfast.protocol.notifications import NotificationTemplate
from holdfast.sdk.loop.ordered import OrderedFuture as Future
from holdfast.sdk.loop.ordered import OrderedTask
from tests.sdk.laws.play import Player
from tests.sdk.laws.programs import Node, Program
from tests.sdk.laws.server import Server, State, frame_of


class NothingToSelect:
    """A selector without files."""

    def select(self, timeout: float | None) -> list[Any]:
        return []


class PlainLoop(asyncio.BaseEventLoop):
    """asyncio's loop; its timers wait for the journal instead of a clock."""

    def __init__(self, context: PlainContext) -> None:
        super().__init__()
        self._selector = NothingToSelect()
        self._context = context
        self._now = 0.0
        self._hashes = 0
        self.set_task_factory(lambda loop, coro, **kept: OrderedTask(coro, loop=loop, **kept))

    def _process_events(self, event_list: list[Any]) -> None: ...

    def next_hash(self) -> int:
        self._hashes += 1
        return self._hashes

    def time(self) -> float:
        return self._now

    def call_exception_handler(self, context: Any) -> None: ...

    def call_at(self, when: float, callback: Any, *args: Any, context: Any = None) -> Any:
        if when <= self._now:
            return self.call_soon(callback, *args, context=context)
        handle = events.TimerHandle(when, callback, args, self, context)
        self._context.waiting[self._context.new_id()] = handle
        return handle

    def fire(self, handle: events.TimerHandle) -> None:
        self._now = max(self._now, handle.when())
        if not handle.cancelled():
            self._ready.append(handle)

    def run_until_quiet(self) -> None:
        hooks = sys.get_asyncgen_hooks()
        sys.set_asyncgen_hooks(self._asyncgen_firstiter_hook, self._asyncgen_finalizer_hook)
        events._set_running_loop(self)
        try:
            while self._ready:
                self._run_once()
        finally:
            events._set_running_loop(None)
            sys.set_asyncgen_hooks(*hooks)

    def _write_to_self(self) -> None: ...


class PlainContext:
    """As much of a context as `Player` uses."""

    def __init__(self, server: Server) -> None:
        self.waiting: dict[int, Any] = {}
        self.random = Random(server.seed if server.version >= 6 else int.from_bytes(bytes(range(24)), "big"))
        self._ids = 0
        self._signals = 16
        start = State(server.state.mode).start()
        self._state = {key.decode(): json.loads(value) for key, value in start["state_map"]}
        self._all_known = not start["partial_state"]
        self._cleared: set[str] = set()
        self._signal_waits: dict[int, Future[Any]] = {}
        self._early_signals: dict[int, Any] = {}
        self._named: dict[str, deque[Future[Any]]] = {}
        self._early_named: dict[str, deque[Any]] = {}
        self.loop = PlainLoop(self)

    # Completions.

    def new_id(self) -> int:
        self._ids += 1
        return self._ids

    def future(self, default: object = None) -> Future[Any]:
        future: Future[Any] = Future(loop=self.loop)
        future.default = default  # type: ignore[attr-defined]
        self.waiting[self.new_id()] = future
        return future

    def deliver(self, body: bytes) -> None:
        notification = NotificationTemplate.decode(body)
        result = notification.result
        if notification.completion_id is not None:
            waiting = self.waiting.pop(notification.completion_id, None)
            if isinstance(waiting, events.TimerHandle):
                self.loop.fire(waiting)
            elif waiting is not None:
                settle(waiting, result)
        elif notification.signal_id is not None:
            future = self._signal_waits.pop(notification.signal_id, None)
            if future is None:
                self._early_signals[notification.signal_id] = result
            else:
                settle(future, result)
        else:
            name = notification.signal_name or ""
            queue = self._named.get(name, deque())
            while queue and queue[0].done():
                queue.popleft()
            if queue:
                settle(queue.popleft(), result)
            else:
                self._early_named.setdefault(name, deque()).append(result)

    # The context.

    def run(self, *_: object) -> Future[Any]:
        return self.future()

    def sleep(self, _: float | timedelta, name: str = "") -> Future[Any]:
        return self.future()

    def call(self, *_: object) -> Future[Any]:
        id_ = self.future()
        call = self.future()

        async def cancel_invocation() -> None:
            await id_

        call.cancel_invocation = cancel_invocation  # type: ignore[attr-defined]
        return call

    def send(self, *_: object, delay: float) -> Any:
        id_ = self.future()
        return type("Sent", (), {"invocation_id": lambda self: id_})()

    def invocation(self, _: str) -> Any:
        return type("Other", (), {"attach": lambda _: self.future()})()

    def get(self, name: str, default: object = None) -> Future[Any]:
        if self._all_known or name in self._state or name in self._cleared:
            self.new_id()
            known: Future[Any] = Future(loop=self.loop)
            known.set_result(self._state.get(name, default))
            return known
        return self.future(default)

    def state_keys(self) -> Future[Any]:
        if not self._all_known:
            return self.future()
        self.new_id()
        known: Future[Any] = Future(loop=self.loop)
        known.set_result(sorted(self._state))
        return known

    def set(self, name: str, value: object) -> None:
        self._state[name] = value

    def clear(self, name: str) -> None:
        self._state.pop(name, None)
        self._cleared.add(name)

    def clear_all(self) -> None:
        self._state.clear()
        self._all_known = True

    def awakeable(self) -> Any:
        self._signals += 1
        future: Future[Any] = Future(loop=self.loop)
        if self._signals in self._early_signals:
            settle(future, self._early_signals.pop(self._signals))
        else:
            self._signal_waits[self._signals] = future
        return type("Made", (), {"future": future, "__await__": lambda _: future.__await__()})()

    def signal(self, name: str) -> Future[Any]:
        future: Future[Any] = Future(loop=self.loop)
        if self._early_named.get(name):
            settle(future, self._early_named[name].popleft())
        else:
            self._named.setdefault(name, deque()).append(future)
        return future

    def promise(self, _: str) -> Any:
        return type("Promise", (), {
            "get": lambda _: self.future(),
            "peek": lambda _: self.future(),
            "resolve": lambda _, value: self.future(),
            "__await__": lambda _: self.future().__await__(),
        })()  # fmt: skip


def settle(future: Future[Any], result: Any) -> None:
    if future.done():
        return
    if isinstance(result, m.Failure):
        future.set_exception(TerminalError(result.message, result.code))
    elif isinstance(result, m.Value):
        future.set_result(json.loads(result.content))
    elif isinstance(result, m.StateKeys):
        future.set_result([key.decode() for key in result.keys])
    elif isinstance(result, m.Void):
        future.set_result(getattr(future, "default", None))
    else:
        future.set_result(result.invocation_id)


def applies(program: Program, server: Server) -> bool:
    """Whether asyncio itself says what the result must be."""
    return not server.cancelled and "as_completed" not in operations(program.root)


def operations(node: Node) -> set[object]:
    return {node[0]}.union(*(operations(part) for part in node[1:] if isinstance(part, tuple)))


def result(program: Program, server: Server) -> bytes | None:
    """What the program returns, given the journal's notifications; None when it never does."""
    context = PlainContext(server)
    loop = context.loop

    async def main() -> bytes:
        return json.dumps(await Player(context).play(program.root)).encode()  # type: ignore[arg-type]

    # Not counted, as the handler's main task is not: the order of sets follows from the counting.
    task = asyncio.Task(main(), loop=loop)
    loop.run_until_quiet()
    for frame in server.journal:
        type_, body = frame_of(frame)
        if not is_command(type_) and not task.done():
            context.deliver(body)
            loop.run_until_quiet()
    found = task.result() if task.done() else None
    # Unwound, so that the collector finds nothing to unwind later.
    for _ in range(10):
        for left in asyncio.all_tasks(loop):
            left.cancel()
        loop.run_until_quiet()
    return found
