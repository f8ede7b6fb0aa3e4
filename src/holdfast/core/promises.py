"""Durable promises of a workflow key: completed once, awaited by any number of handlers."""

from __future__ import annotations

from holdfast.core.commands import CompletePromise, GetPromise, PeekPromise
from holdfast.core.journal import notify, store
from holdfast.core.model import (
    VOID,
    Completed,
    Failure,
    Invocation,
    Notification,
    NotificationKind,
    Result,
)
from holdfast.core.step import Step

ALREADY_COMPLETED = Failure(409, "promise was already completed")


def apply_get(step: Step, invocation: Invocation, command: GetPromise) -> None:
    """Answer now when it is completed, else when it will be."""
    store(step, invocation, command, command.completion_id)
    promises, object_ = step.tables.promises, invocation.target.object
    result = promises.get(object_, command.key)
    if result is None:
        promises.add_listener(object_, command.key, invocation.row, command.completion_id)
    else:
        answer = Notification(NotificationKind.GET_PROMISE, command.completion_id, result)
        notify(step, invocation, answer)


def apply_peek(step: Step, invocation: Invocation, command: PeekPromise) -> None:
    store(step, invocation, command, command.completion_id)
    result = step.tables.promises.get(invocation.target.object, command.key)
    answer = Notification(NotificationKind.PEEK_PROMISE, command.completion_id, result or VOID)
    notify(step, invocation, answer)


def apply_complete(step: Step, invocation: Invocation, command: CompletePromise) -> None:
    """Complete it and wake its listeners in order of arrival; a second completion fails."""
    store(step, invocation, command, command.completion_id)
    promises, object_ = step.tables.promises, invocation.target.object
    kind = NotificationKind.COMPLETE_PROMISE
    if promises.get(object_, command.key) is not None:
        notify(step, invocation, Notification(kind, command.completion_id, ALREADY_COMPLETED))
        return
    promises.complete(object_, command.key, command.result)
    notify(step, invocation, Notification(kind, command.completion_id, VOID))
    wake_listeners(step, object_, command.key, command.result)


def wake_listeners(step: Step, object_: str, key: str, result: Result) -> None:
    """Give the result of a promise to everybody who waits for it."""
    for row, completion_id in step.tables.promises.take_listeners(object_, key):
        listener = step.tables.invocations.get(row)
        if listener is not None and not isinstance(listener.status, Completed):
            answer = Notification(NotificationKind.GET_PROMISE, completion_id, result)
            notify(step, listener, answer)
