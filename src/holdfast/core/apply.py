"""The one door of the state machine: a record in, table writes and actions out."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias, cast

from holdfast.core import attempts, lifecycle, operate, post, restart, timing
from holdfast.core.outcome import Accepted, Answer
from holdfast.core.records import (
    AttemptReport,
    Cancel,
    Deliver,
    Delivered,
    Kill,
    Lookup,
    Pause,
    Purge,
    Record,
    Recover,
    ReplaceState,
    RestartAsNew,
    Resume,
    SettlePromise,
    Signal,
    Start,
    Sweep,
    TimerFired,
)
from holdfast.core.step import Step


def apply(step: Step, record: Record) -> Answer | None:
    """Apply one record: write through the step's tables, append what must follow the commit to its actions.

    Returns the answer for the record's sender, to be given after the commit; None where nobody asked.
    Raises InvariantViolation for our own bugs: the caller must not commit.
    """
    step.at = record.at
    answer = _HANDLERS[type(record)](step, record)
    mail = step.mail
    if mail:
        # Handling a message may send more; the loop ends because every message either starts a new
        # invocation, completes one command, or goes one level down a tree of calls.
        for message in mail:
            post.handle(step, message)
        mail.clear()
    return answer


def _start(step: Step, record: Start) -> Accepted:
    return lifecycle.accept(step, record.request)


_Handler: TypeAlias = Callable[[Step, Record], Answer | None]
_HANDLERS: dict[type, _Handler] = {
    Start: cast(_Handler, _start),
    AttemptReport: cast(_Handler, attempts.apply_report),
    TimerFired: cast(_Handler, timing.apply_timer),
    Signal: cast(_Handler, operate.apply_signal),
    SettlePromise: cast(_Handler, operate.apply_settle_promise),
    Cancel: cast(_Handler, operate.apply_cancel),
    Kill: cast(_Handler, operate.apply_kill),
    Pause: cast(_Handler, operate.apply_pause),
    Resume: cast(_Handler, operate.apply_resume),
    Purge: cast(_Handler, operate.apply_purge),
    RestartAsNew: cast(_Handler, restart.apply_restart),
    ReplaceState: cast(_Handler, operate.apply_replace_state),
    Lookup: cast(_Handler, operate.apply_lookup),
    Sweep: cast(_Handler, operate.apply_sweep),
    Recover: cast(_Handler, operate.apply_recover),
    Deliver: cast(_Handler, post.apply_deliver),
    Delivered: cast(_Handler, post.apply_delivered),
}
