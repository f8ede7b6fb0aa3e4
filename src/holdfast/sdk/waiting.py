"""Who waits for which notification, and notifications that came before anybody did.

Completions are asked for by the command that they answer, so they come later than the asking. Signals come
when they come: an awakeable's may arrive before the handler has made it, and a named one is kept, in order of
arrival, until somebody takes it; each is taken once.
"""

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from typing import Any, TypeAlias

from holdfast.protocol.results import Result
from holdfast.sdk.errors import AttemptEnded
from holdfast.sdk.loop.durable_loop import DurableTimer
from holdfast.sdk.vm.machine import Notification
from holdfast.sdk.waits import DurableFuture, IdFuture

Awaited: TypeAlias = tuple[tuple[int, ...], tuple[int, ...], tuple[str, ...]]
"""Completion ids, signal indexes, signal names."""


class Waiting(ABC):
    """The half of an attempt that knows its waits; `Attempt` is the other."""

    def __init__(self) -> None:
        self._waits: dict[int, DurableFuture[Any] | DurableTimer] = {}
        self._early: dict[int, Result] = {}
        self._signal_waits: dict[int, DurableFuture[Any]] = {}
        self._early_signals: dict[int, Result] = {}
        self._named_waits: dict[str, deque[DurableFuture[Any]]] = {}
        self._early_named: dict[str, deque[Result]] = {}

    # Handler code waits.

    def wait(self, completion_id: int, future: DurableFuture[Any]) -> None:
        """`future` gets the notification with this id."""
        if self._early and (result := self._early.pop(completion_id, None)) is not None:
            self._deliver_early(future, result)
        else:
            self._waits[completion_id] = future

    def wait_timer(self, completion_id: int, timer: DurableTimer) -> None:
        """`timer` fires with the notification with this id."""
        if self._early and self._early.pop(completion_id, None) is not None:
            timer.fire()
        else:
            self._waits[completion_id] = timer

    def wait_signal(self, signal_id: int, future: DurableFuture[Any]) -> None:
        """`future` gets the first such signal."""
        result = self._early_signals.pop(signal_id, None)
        if result is not None:
            self._deliver_early(future, result)
        else:
            self._signal_waits[signal_id] = future

    def wait_named(self, name: str, future: DurableFuture[Any]) -> None:
        """`future` gets the next signal of this name that nobody took."""
        early = self._early_named.get(name)
        if early:
            self._deliver_early(future, early.popleft())
        else:
            self._named_waits.setdefault(name, deque()).append(future)

    @abstractmethod
    def unreadable(self, error: Exception) -> None:
        """A result that came early cannot be read: the attempt fails, as with one that comes late."""

    def _deliver_early(self, future: DurableFuture[Any], result: Result) -> None:
        try:
            future.deliver(result)
        except Exception as error:
            self.unreadable(error)
            raise AttemptEnded from None

    # Something came.

    def deliver(self, notification: Notification) -> None:
        """Hand it to who waits for it. Raises what a serde of the user's raises."""
        result = notification.result
        completion_id = notification.completion_id
        if completion_id is not None:
            waiter = self._waits.pop(completion_id, None)
            if waiter is None:
                self._early[completion_id] = result
            elif isinstance(waiter, DurableTimer):
                waiter.fire()
            else:
                waiter.deliver(result)
        elif notification.signal_id is not None:
            future = self._signal_waits.pop(notification.signal_id, None)
            if future is None:
                self._early_signals[notification.signal_id] = result
            else:
                future.deliver(result)
        elif notification.signal_name is not None:
            self._deliver_named(notification.signal_name, result)

    def _deliver_named(self, name: str, result: Result) -> None:
        queue = self._named_waits.get(name)
        while queue:
            future = queue.popleft()
            if not future.done():
                future.deliver(result)
                return
        self._early_named.setdefault(name, deque()).append(result)

    # What is waited for.

    @property
    def waits_for_signals(self) -> bool:
        """Whether anything outside the journal may be waited for: awakeables, named signals."""
        return bool(self._signal_waits or self._named_waits)

    def awaited(self) -> "list[asyncio.Future[Any]]":
        """Everything durable that handler code waits for right now, in the order it was asked for; of timers,
        those that are slept on."""
        awaited: list[asyncio.Future[Any]] = []
        for waiter in self._waits.values():
            if isinstance(waiter, DurableTimer):
                sleeper = waiter.sleeper
                if sleeper is not None and not sleeper.done():
                    awaited.append(sleeper)
            elif waiter.awaited:
                awaited.append(waiter)
        awaited += [future for future in self._signal_waits.values() if future.awaited]
        for queue in self._named_waits.values():
            awaited += [future for future in queue if future.awaited]
        return awaited

    def awaited_ids(self, besides: list[IdFuture]) -> Awaited:
        """The same as completion ids, signal indexes and names, timeouts included.

        Args:
            besides: futures that count although no handler code waits for them.
        """
        completions = tuple(
            completion_id
            for completion_id, waiter in self._waits.items()
            if (
                waiter.callback is not None
                if isinstance(waiter, DurableTimer)
                else waiter.awaited or (besides and waiter in besides)
            )
        )
        signals = tuple(index for index, future in self._signal_waits.items() if future.awaited)
        names = tuple(
            name for name, queue in self._named_waits.items() if any(future.awaited for future in queue)
        )
        return completions, signals, names

    def ids_of(self, groups: "list[list[DurableFuture[Any]]]") -> list[tuple[int, ...]]:
        """The completion ids of each group, ascending; groups with anything but completions are left out."""
        ids = {id(waiter): completion_id for completion_id, waiter in self._waits.items()}
        return [
            tuple(sorted(ids[id(future)] for future in group))
            for group in groups
            if all(id(future) in ids for future in group)
        ]
