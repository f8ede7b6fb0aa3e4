"""Appending to a journal, and what follows from a notification for its invocation.

The one rule: a notification is stored first, and who waits for it learns of it after the commit: a running
attempt on its stream, a suspended invocation by a new attempt. An attempt that is only about to start needs
no telling, since the journal it will replay is read after this commit.
"""

from __future__ import annotations

from typing import Final

from holdfast.core.awaiting import awaits, is_satisfied
from holdfast.core.commands import Command
from holdfast.core.lifecycle import start_attempt
from holdfast.core.model import (
    CANCEL_SIGNAL,
    Activity,
    Completed,
    Failure,
    Invocation,
    InvocationId,
    Invoked,
    Notification,
    NotificationKind,
    Paused,
    Suspended,
)
from holdfast.core.outcome import Tell
from holdfast.core.records import TimerKind
from holdfast.core.step import Step
from holdfast.core.tables import Tables

# Plain names: see `core.attempts`.
_RUNNING: Final = Activity.RUNNING
_SIGNAL: Final = NotificationKind.SIGNAL


def store(
    step: Step,
    invocation: Invocation,
    command: Command,
    ref: int | None = None,
    callee: InvocationId | None = None,
) -> None:
    """Append a command. It is progress: the count of failed attempts starts again."""
    step.tables.journal.append_command(
        invocation.row, invocation.length, command.type, command.raw, step.at, ref, callee
    )
    invocation.length += 1
    invocation.commands += 1
    invocation.retry_count = 0
    invocation.progress_at = step.at


def notify(step: Step, invocation: Invocation, notification: Notification) -> None:
    """Append a notification and let its invocation know."""
    index = append(step.tables, invocation, notification, step.at)
    match invocation.status:
        case Invoked():
            if invocation.activity is _RUNNING:
                step.actions.append(Tell(invocation.row, invocation.attempt, index, notification))
            elif notification.kind is _SIGNAL and notification.ref == CANCEL_SIGNAL:
                # Backing off: a cancellation should not have to wait for the next retry.
                start_attempt_now(step, invocation)
        case Suspended():
            if _wakes(step, invocation, invocation.status, notification):
                start_attempt(step, invocation)
            else:
                step.tables.invocations.put(invocation)
        case Paused():
            if notification.kind is _SIGNAL and notification.ref == CANCEL_SIGNAL:
                start_attempt(step, invocation)
            else:
                step.tables.invocations.put(invocation)
        case _:
            step.tables.invocations.put(invocation)


def start_attempt_now(step: Step, invocation: Invocation) -> None:
    """Start the next attempt without waiting for the retry timer."""
    drop_retry_timer(step.tables, invocation)
    start_attempt(step, invocation)


def drop_retry_timer(tables: Tables, invocation: Invocation) -> None:
    """Take back the timer of a back-off, if there is one."""
    if invocation.next_retry_at is not None:
        tables.timers.take(invocation.next_retry_at, TimerKind.RETRY, invocation.row, 0)
        invocation.next_retry_at = None


def complete(step: Step, id_: InvocationId, notification: Notification) -> None:
    """A completion has arrived for an invocation of this partition; dropped when that is over or gone."""
    invocation = step.tables.invocations.find(id_)
    if invocation is None or isinstance(invocation.status, Completed):
        return
    if notification.ref in step.refs(invocation).completions:
        return
    notify(step, invocation, notification)


def append(tables: Tables, invocation: Invocation, notification: Notification, at: int) -> int:
    """Store a notification, nothing else; its index."""
    index = invocation.length
    tables.journal.append_notification(invocation.row, index, notification, at)
    invocation.length = index + 1
    refs = invocation.refs
    if refs is not None:
        succeeded = type(notification.result) is not Failure
        if notification.kind is _SIGNAL:
            refs.signals[notification.ref] = (index, succeeded)
        elif isinstance(notification.ref, int):
            refs.completions[notification.ref] = succeeded
    return index


def _wakes(step: Step, invocation: Invocation, status: Suspended, notification: Notification) -> bool:
    """Whether this notification, just appended, satisfies what the invocation waits for."""
    tree = status.awaiting
    if not awaits(tree, notification.ref, is_signal=notification.kind is _SIGNAL):
        return False
    if not tree.children and tree.combinator <= 1:
        return True  # any leaf: no need to read the journal
    return is_satisfied(tree, step.refs(invocation), status.known)
