"""Calls, sends, attaching and asking for output: what one invocation wants of another.

A request is stored as a command of the caller, then travels as a message to the partition of the callee, and
its result travels back. Both ways are exactly once: within a partition by being one record, between
partitions by the outbox (see `post`).
"""

from __future__ import annotations

from holdfast.core.commands import Attach, Call, GetOutput, Send, SendSignal
from holdfast.core.journal import notify, store
from holdfast.core.lifecycle import attach, find_live, finish
from holdfast.core.messages import AskOutput, AttachTo, Complete, DeliverSignal, StartInvocation
from holdfast.core.model import (
    CANCEL_SIGNAL,
    JOURNAL_MARGIN,
    VOID,
    Completed,
    Failure,
    Inboxed,
    Invocation,
    InvocationId,
    Notification,
    NotificationKind,
    Scheduled,
    SignalResult,
    StartedId,
    Waiter,
)
from holdfast.core.records import TimerKind
from holdfast.core.step import Step

NOT_FOUND = Failure(404, "not found")
CANCELED = Failure(409, "canceled")


def apply_call(step: Step, invocation: Invocation, command: Call) -> None:
    store(step, invocation, command, command.completion_id, command.request.id)
    _announce(step, invocation, command.id_completion_id, command.id_text)
    waiter = Waiter(invocation.id, command.completion_id, NotificationKind.CALL)
    step.send(StartInvocation(command.request, waiter))


def apply_send(step: Step, invocation: Invocation, command: Send) -> None:
    store(step, invocation, command, command.id_completion_id, command.request.id)
    _announce(step, invocation, command.id_completion_id, command.id_text)
    step.send(StartInvocation(command.request, None))


def _announce(step: Step, invocation: Invocation, completion_id: int, id_text: str) -> None:
    kind = NotificationKind.CALL_INVOCATION_ID
    notify(step, invocation, Notification(kind, completion_id, StartedId(id_text)))


def apply_send_signal(step: Step, invocation: Invocation, command: SendSignal) -> None:
    store(step, invocation, command)
    step.send(DeliverSignal(command.target, command.signal, command.result))


def apply_attach(step: Step, invocation: Invocation, command: Attach) -> None:
    store(step, invocation, command, command.completion_id)
    waiter = Waiter(invocation.id, command.completion_id, NotificationKind.ATTACH)
    step.send(AttachTo(command.target, waiter))


def apply_get_output(step: Step, invocation: Invocation, command: GetOutput) -> None:
    store(step, invocation, command, command.completion_id)
    waiter = Waiter(invocation.id, command.completion_id, NotificationKind.GET_OUTPUT)
    step.send(AskOutput(command.target, waiter))


def receive_attach(step: Step, message: AttachTo) -> None:
    """Somebody's attach has reached the invocation it names."""
    target, waiter = find_live(step, message.destination), message.waiter
    if target is None:
        step.send(Complete(waiter.id, waiter.kind, waiter.completion_id, NOT_FOUND))
    else:
        attach(step, target, waiter)


def receive_ask_output(step: Step, message: AskOutput) -> None:
    """Somebody asks for the result as it is now."""
    target, waiter = find_live(step, message.destination), message.waiter
    if target is None:
        step.send(Complete(waiter.id, waiter.kind, waiter.completion_id, NOT_FOUND))
    elif isinstance(target.status, Completed):
        step.send(Complete(waiter.id, waiter.kind, waiter.completion_id, target.status.result))
    else:
        step.send(Complete(waiter.id, waiter.kind, waiter.completion_id, VOID))


def deliver_signal(step: Step, id_: InvocationId, signal: int | str, result: SignalResult) -> None:
    """Append a signal to the target's journal; dropped when it is over, gone, or its journal is full.

    A cancellation ends an invocation that has not started: there is no handler to ask.
    """
    target = step.tables.invocations.find(id_)
    if target is None or isinstance(target.status, Completed):
        return
    if signal == CANCEL_SIGNAL and isinstance(target.status, Scheduled | Inboxed):
        withdraw(step, target)
        finish(step, target, CANCELED)
        return
    if target.journal_room <= (0 if signal == CANCEL_SIGNAL else JOURNAL_MARGIN):
        return
    notify(step, target, Notification(NotificationKind.SIGNAL, signal, result))


def withdraw(step: Step, invocation: Invocation) -> None:
    """Take an invocation that has not started out of its timer or inbox."""
    match invocation.status:
        case Scheduled(start_at):
            step.tables.timers.take(start_at, TimerKind.START, invocation.row, 0)
        case Inboxed(sequence):
            step.tables.objects.remove(invocation.target.object, sequence)
        case _:
            pass
