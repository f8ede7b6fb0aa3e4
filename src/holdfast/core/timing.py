"""Sleeps, delayed starts and retries: what happens when a timer is due."""

from __future__ import annotations

from typing import Final

from holdfast.core.commands import Sleep
from holdfast.core.journal import notify, store
from holdfast.core.lifecycle import begin, start_attempt
from holdfast.core.model import (
    VOID,
    Activity,
    Completed,
    Invocation,
    Invoked,
    Notification,
    NotificationKind,
    Scheduled,
)
from holdfast.core.outcome import ArmTimer
from holdfast.core.records import TimerFired, TimerKind
from holdfast.core.step import Step

# Plain names: see `core.attempts`.
_SLEEP: Final = TimerKind.SLEEP
_SLEEP_DONE: Final = NotificationKind.SLEEP


def apply_sleep(step: Step, invocation: Invocation, command: Sleep) -> None:
    """Store the sleep and its timer; one that is over already is answered at once."""
    store(step, invocation, command, command.completion_id)
    if command.wake_up_at <= step.at:
        notify(step, invocation, Notification(_SLEEP_DONE, command.completion_id, VOID))
        return
    step.tables.timers.put(command.wake_up_at, _SLEEP, invocation.row, command.completion_id)
    step.actions.append(ArmTimer(command.wake_up_at))


def apply_timer(step: Step, record: TimerFired) -> None:
    """Act on a due timer, once: it is taken out first, and nothing happens if it was not there."""
    if not step.tables.timers.take(record.fire_at, record.kind, record.row, record.completion_id):
        return
    invocation = step.tables.invocations.get(record.row)
    if invocation is None or isinstance(invocation.status, Completed):
        return  # it ended, or was killed, before the timer: nothing waits for it
    if record.kind == _SLEEP:
        notify(step, invocation, Notification(_SLEEP_DONE, record.completion_id, VOID))
    elif record.kind == TimerKind.START:
        if isinstance(invocation.status, Scheduled):
            begin(step, invocation)
    elif isinstance(invocation.status, Invoked) and invocation.activity is Activity.BACKING_OFF:
        start_attempt(step, invocation)
