"""Cancelling an invocation: signal 1 becomes `InvocationCancelled`, raised where the handler waits.

All of it happens while the loop is quiet, so that what is raised, and where, follows from the notifications
so far and from nothing else.

1. The calls in flight are cancelled, each by a signal to its invocation. That takes the invocations' ids:
   until they are here the cancellation waits, and the handler goes on.
2. Everything durable that is awaited fails with `InvocationCancelled`. Timeouts do not: what they guard does.
3. What is left waits for other tasks, for an `Event` or a `Queue`. Usually the error travels there by itself
   (out of a `TaskGroup`, a `gather`). If the loop gets quiet and nothing durable is awaited any more, nobody
   will ever wake it: then one blocked task is interrupted, the newest first, since tasks are awaited by older
   ones; and so on until something durable is awaited or the handler has ended. Each task once per signal: one
   that catches the error and waits again is a deadlock, and reported as such.
"""

import asyncio
from asyncio.tasks import _GatheringFuture  # type: ignore[attr-defined]
from collections.abc import Sequence
from typing import Any

from holdfast.protocol.commands import SendSignalCommandMessage
from holdfast.protocol.framing import MessageType
from holdfast.protocol.results import VOID
from holdfast.sdk.errors import InvocationCancelled
from holdfast.sdk.loop.durable_loop import waiter_of
from holdfast.sdk.vm.machine import CANCEL_SIGNAL, Machine
from holdfast.sdk.waits import DurableFuture, IdFuture

CALLS_LOOKED_AT_MIN = 64


class CallInFlight:
    """A call whose result has not come: what cancelling this invocation cancels, too."""

    __slots__ = ("id", "result")

    def __init__(self, id_: IdFuture, result: DurableFuture[Any]) -> None:
        self.id = id_
        self.result = result


class Cancellation:
    """The cancelling of one attempt's invocation, as far as it has come."""

    def __init__(self) -> None:
        self.active = False
        """A cancel signal came and the handler has not ended: ask `carry_out` when the loop is quiet."""
        self._due = False
        self._calls: list[CallInFlight] = []
        self._calls_looked_at = CALLS_LOOKED_AT_MIN
        self._interrupted: list[asyncio.Task[Any]] = []

    def signalled(self) -> None:
        """Signal 1 was delivered."""
        self.active = self._due = True
        self._interrupted.clear()

    def add_call(self, call: CallInFlight) -> None:
        """Cancel it when this invocation is cancelled."""
        self._calls.append(call)
        if len(self._calls) >= self._calls_looked_at:
            # Amortised: the list is at most twice as long as there are calls in flight.
            self._calls = self._in_flight()
            self._calls_looked_at = max(CALLS_LOOKED_AT_MIN, 2 * len(self._calls))

    def carry_out(
        self,
        machine: Machine,
        awaited: "Sequence[asyncio.Future[Any]]",
        tasks: "Sequence[asyncio.Task[Any]]",
    ) -> bool:
        """Raise what is to be raised now; answers whether anything was.

        Args:
            awaited: everything durable that handler code waits for.
            tasks: the handler's open tasks, newest first, the main one last.
        Raises:
            Mismatch: the journal does not continue with the signals to the calls.
        """
        if not self._due:
            return False if awaited else self._interrupt(tasks)
        calls = self._in_flight()
        if any(call.id.given is None for call in calls):
            return False
        self._due = False
        self._calls = []
        for call in calls:
            signal = SendSignalCommandMessage(call.id.given or "", idx=CANCEL_SIGNAL, result=VOID)
            machine.issue(MessageType.SEND_SIGNAL_COMMAND, signal.encode())
        for future in awaited:
            future.set_exception(InvocationCancelled())
        return True if awaited else self._interrupt(tasks)

    def ids_missing(self) -> "list[IdFuture]":
        """What a cancellation that is due waits for."""
        return [call.id for call in self._in_flight() if call.id.given is None] if self._due else []

    def forget(self) -> None:
        """The attempt is over."""
        self._calls.clear()
        self._interrupted.clear()

    def _in_flight(self) -> list[CallInFlight]:
        return [call for call in self._calls if not call.result.done()]

    def _interrupt(self, tasks: "Sequence[asyncio.Task[Any]]") -> bool:
        for task in tasks:
            waiter = waiter_of(task)
            # One that waits for another task hears of it from there.
            if waiter is None or waiter.done() or isinstance(waiter, asyncio.Task | _GatheringFuture):
                continue
            if task not in self._interrupted:
                self._interrupted.append(task)
                waiter.set_exception(InvocationCancelled())
                return True
        return False
