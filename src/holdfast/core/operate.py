"""What an operator may do to an invocation: cancel, kill, pause, resume, purge, look up, replace state.

Every wish is answered: `Done` when it holds now (or was asked of the handler, `at_once` false), `Refused`
with a stable reason otherwise. Reasons: not_found, completed, not_completed, not_running, not_started,
settled.
"""

from __future__ import annotations

from holdfast.core import promises
from holdfast.core.attempt_log import log_end
from holdfast.core.calls import deliver_signal, withdraw
from holdfast.core.journal import drop_retry_timer, start_attempt_now
from holdfast.core.lifecycle import find_live, finish, forget, pause, purge_journal, start_attempt
from holdfast.core.messages import KillCallee
from holdfast.core.model import (
    CANCEL_SIGNAL,
    VOID,
    Activity,
    AttemptOutcome,
    Completed,
    Failure,
    Inboxed,
    Invocation,
    InvocationId,
    Invoked,
    Paused,
    Scheduled,
    Suspended,
)
from holdfast.core.mutation import replace_state
from holdfast.core.outcome import AbortAttempt, Done, Found, HalfClose, Refused
from holdfast.core.records import (
    Cancel,
    Kill,
    Lookup,
    Pause,
    Purge,
    Recover,
    ReplaceState,
    Resume,
    SettlePromise,
    Signal,
    Sweep,
)
from holdfast.core.step import Step
from holdfast.core.tables import Mutation

KILLED = Failure(409, "killed")
NOT_FOUND = Refused(404, "not_found", "the invocation does not exist")
COMPLETED = Refused(409, "completed", "the invocation was already completed")
SETTLED = Refused(409, "settled", "it was completed before")
NOT_COMPLETED = Refused(409, "not_completed", "the invocation is not completed yet")
NOT_RUNNING = Refused(409, "not_running", "the invocation is not running")
NOT_STARTED = Refused(425, "not_started", "the invocation has not started yet")


def apply_lookup(step: Step, record: Lookup) -> Found | Refused:
    invocation = find_live(step, record.id)
    if invocation is None:
        return NOT_FOUND
    completed = invocation.status if isinstance(invocation.status, Completed) else None
    return Found(invocation.row, invocation.target, completed, invocation.expires_at)


def apply_signal(step: Step, record: Signal) -> Done | Refused:
    """Deliver; unknown and finished targets swallow it, as the interface promises, unless it is to be refused
    when nothing can wait for it any more."""
    if record.once:
        refusal = _not_awaited(step, record)
        if refusal is not None:
            return refusal
    deliver_signal(step, record.id, record.signal, record.result)
    return Done()


def _not_awaited(step: Step, record: Signal) -> Refused | None:
    """An awakeable completes once. A named signal may come again: only the one that a suspended handler has
    not been told of yet is in the way."""
    invocation = find_live(step, record.id)
    if invocation is None:
        return NOT_FOUND
    status = invocation.status
    if isinstance(status, Completed):
        return COMPLETED
    arrived = step.refs(invocation).signals.get(record.signal)
    if arrived is None:
        return None
    if isinstance(record.signal, int):
        return SETTLED
    return SETTLED if isinstance(status, Suspended) and arrived[0] >= status.known else None


def apply_settle_promise(step: Step, record: SettlePromise) -> Done | Refused:
    """Complete a promise from outside, as a handler of the workflow would."""
    invocation = find_live(step, record.id)
    if invocation is None:
        return NOT_FOUND
    if isinstance(invocation.status, Completed):
        return COMPLETED
    object_, table = invocation.target.object, step.tables.promises
    if table.get(object_, record.key) is not None:
        return SETTLED
    table.complete(object_, record.key, record.result)
    promises.wake_listeners(step, object_, record.key, record.result)
    return Done()


def apply_cancel(step: Step, record: Cancel) -> Done | Refused:
    """Ask the handler to cancel itself; what no handler has begun ends at once."""
    invocation = find_live(step, record.id)
    if invocation is None:
        return NOT_FOUND
    if isinstance(invocation.status, Completed):
        return COMPLETED
    unstarted = isinstance(invocation.status, Scheduled | Inboxed)
    deliver_signal(step, record.id, CANCEL_SIGNAL, VOID)
    return Done(at_once=unstarted)


def apply_kill(step: Step, record: Kill) -> Done | Refused:
    invocation = find_live(step, record.id)
    if invocation is None:
        return NOT_FOUND
    if isinstance(invocation.status, Completed):
        return COMPLETED
    kill(step, invocation)
    return Done()


def receive_kill(step: Step, id_: InvocationId) -> None:
    """The caller was killed; what is over already stays as it is."""
    invocation = step.tables.invocations.find(id_)
    if invocation is not None and not isinstance(invocation.status, Completed):
        kill(step, invocation)


def kill(step: Step, invocation: Invocation) -> None:
    """End it now, and send the same to every call it waits for. Sends live on: nobody waits for them."""
    match invocation.status:
        case Scheduled() | Inboxed():
            withdraw(step, invocation)
        case Invoked() if invocation.activity is Activity.RUNNING:
            log_end(step, invocation, AttemptOutcome.ABORTED)
            step.actions.append(AbortAttempt(invocation.row, invocation.attempt))
        case _:
            drop_retry_timer(step.tables, invocation)
    if invocation.length > 1:
        for callee in step.tables.journal.open_calls(invocation.row):
            step.send(KillCallee(callee))
    finish(step, invocation, KILLED)


def apply_pause(step: Step, record: Pause) -> Done | Refused:
    """Stop making attempts. A running one is asked to suspend first, by closing its input."""
    invocation = find_live(step, record.id)
    if invocation is None:
        return NOT_FOUND
    match invocation.status:
        case Completed():
            return COMPLETED
        case Paused():
            return Done()
        case Scheduled() | Inboxed():
            return NOT_RUNNING
        case Invoked() if invocation.activity is Activity.RUNNING:
            if not invocation.pausing:
                invocation.pausing = True
                step.tables.invocations.put(invocation)
                step.actions.append(HalfClose(invocation.row, invocation.attempt))
            return Done(at_once=False)
        case Invoked() | Suspended():
            drop_retry_timer(step.tables, invocation)
            pause(step, invocation)
            return Done()


def apply_resume(step: Step, record: Resume) -> Done | Refused:
    """Start the next attempt now, on another deployment if one is named. No effect on a running one."""
    invocation = find_live(step, record.id)
    if invocation is None:
        return NOT_FOUND
    match invocation.status:
        case Completed():
            return COMPLETED
        case Scheduled() | Inboxed():
            return NOT_STARTED
        case Invoked() if invocation.activity is Activity.RUNNING:
            return Done()
        case Paused() | Suspended() | Invoked():
            pass
    if record.deployment is not None:
        invocation.deployment = record.deployment
        invocation.protocol_version = record.protocol_version
    if isinstance(invocation.status, Paused):
        invocation.retry_count = 0
    start_attempt_now(step, invocation)
    return Done()


def apply_purge(step: Step, record: Purge) -> Done | Refused:
    invocation = find_live(step, record.id)
    if invocation is None:
        return NOT_FOUND
    if not isinstance(invocation.status, Completed):
        return NOT_COMPLETED
    if record.journal_only:
        if not invocation.journal_purged:
            purge_journal(step, invocation)
            step.tables.invocations.put(invocation)
    else:
        forget(step, invocation)
    return Done()


def apply_replace_state(step: Step, record: ReplaceState) -> Done:
    """Replace now when nobody holds the object's lock, else in turn."""
    tables, mutation = step.tables, Mutation(record.state, record.version)
    if tables.objects.holder(record.object) is None:
        replace_state(tables.state, record.object, mutation)
        return Done()
    tables.objects.enqueue(record.object, mutation)
    return Done(at_once=False)


def apply_sweep(step: Step, record: Sweep) -> None:
    """Forget what is past its retention: the journal first where that ends earlier."""
    for row in record.rows:
        invocation = step.tables.invocations.get(row)
        if invocation is None or not isinstance(invocation.status, Completed):
            continue
        age_ms = step.at - invocation.status.at
        if age_ms >= invocation.retention.completion_ms:
            forget(step, invocation)
        elif age_ms >= invocation.retention.journal_ms and not invocation.journal_purged:
            purge_journal(step, invocation)
            step.tables.invocations.put(invocation)


def apply_recover(step: Step, record: Recover) -> None:
    """After opening: a new attempt for everything that had one; back-offs keep their timers."""
    for invocation in step.tables.invocations.invoked():
        if invocation.next_retry_at is None:
            log_end(step, invocation, AttemptOutcome.ABORTED)
        if invocation.pausing:
            pause(step, invocation)  # somebody was told that it would be
        elif invocation.next_retry_at is not None and invocation.next_retry_at > record.at:
            invocation.activity = Activity.BACKING_OFF
        else:
            drop_retry_timer(step.tables, invocation)
            start_attempt(step, invocation)
