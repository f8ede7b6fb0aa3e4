"""An invocation's life: accepted, queued behind its object's lock, attempted, finished, forgotten.

Transitions (who causes them is in the other modules):

    Scheduled ──timer──▶ Inboxed ──lock free──▶ Invoked ◀──▶ Suspended
        └───────────────────────────────────────▲ │  ◀──▶ Paused
                                                   └──▶ Completed ──retention──▶ gone

The lock of an object is held from Invoked to Completed, through suspension and pause: exclusive handlers of
one key never overlap, and run in the order in which they entered the inbox.
"""

from __future__ import annotations

from typing import Final

from holdfast.core.commands import StartRequest
from holdfast.core.messages import Complete
from holdfast.core.model import (
    INVOKED,
    PAUSED,
    Activity,
    Completed,
    Failure,
    Inboxed,
    InvariantViolation,
    Invocation,
    InvocationId,
    Result,
    Scheduled,
    TargetKind,
    Waiter,
    check,
)
from holdfast.core.mutation import replace_state
from holdfast.core.outcome import Accepted, ArmTimer, Finished, StartAttempt
from holdfast.core.records import TimerKind
from holdfast.core.step import Step
from holdfast.core.tables import Mutation

# Plain names: see `core.attempts`.
_EXCLUSIVE: Final = TargetKind.OBJECT_EXCLUSIVE
_RUNNING: Final = Activity.RUNNING
_IDLE: Final = Activity.IDLE
ALREADY_INVOKED = Failure(409, "the workflow method was already invoked")


def accept(step: Step, request: StartRequest, waiter: Waiter | None = None) -> Accepted:
    """Make a new invocation, or find the one that has the id already.

    Ids of idempotent requests and workflow runs are derived from what they name, so the id is the whole
    deduplication. A `waiter` is attached to an existing idempotent invocation; a second run of a workflow
    is an error to it.
    """
    tables = step.tables
    if not request.fresh:
        existing = tables.invocations.find(request.id)
        if existing is not None and not _has_expired(existing, step.at):
            if waiter is not None:
                if request.target.kind is TargetKind.WORKFLOW_RUN:
                    step.send(Complete(waiter.id, waiter.kind, waiter.completion_id, ALREADY_INVOKED))
                else:
                    attach(step, existing, waiter)
            completed = existing.status if isinstance(existing.status, Completed) else None
            start_at = existing.status.start_at if isinstance(existing.status, Scheduled) else None
            return Accepted(existing.row, existing.id, True, start_at, completed, existing.expires_at)
        if existing is not None:
            forget(step, existing)
    if request.row <= 0:
        raise InvariantViolation(f"an invocation needs a row (id={request.id.hex()})")
    at = step.at
    # By position: sixteen names cost as much as the rest of this function.
    invocation = Invocation(
        request.row,
        request.id,
        request.target,
        INVOKED,
        at,
        at,
        request.retention,
        request.origin,
        waiter,
        request.idempotency_key,
    )
    invocation.length = invocation.commands = 1
    invocation.progress_at = at
    invocation.scope = request.scope
    invocation.limit_key = request.limit_key
    invocation.trace_parent = request.trace_parent
    tables.journal.append_input(request.row, request.input_raw, at)
    start_at = request.start_at
    if start_at > at:
        invocation.status = Scheduled(start_at)
        invocation.scheduled_at = at
        invocation.start_at = start_at
        tables.timers.put(start_at, TimerKind.START, request.row, 0)
        step.actions.append(ArmTimer(start_at))
        tables.invocations.put(invocation)
        return Accepted(request.row, request.id, False, start_at, None, None)
    begin(step, invocation, request.input_raw)
    return Accepted(request.row, request.id, False, None, None, None)


def attach(step: Step, invocation: Invocation, waiter: Waiter) -> None:
    """Give `waiter` the result: now when there is one, else when it ends."""
    if isinstance(invocation.status, Completed):
        step.send(Complete(waiter.id, waiter.kind, waiter.completion_id, invocation.status.result))
        return
    step.tables.waiters.add(invocation.row, waiter)
    if not invocation.has_attached:
        invocation.has_attached = True
        step.tables.invocations.put(invocation)


def begin(step: Step, invocation: Invocation, input_raw: bytes | None = None) -> None:
    """Its time has come: start it, or queue it behind the lock of its object."""
    if invocation.target.kind is _EXCLUSIVE:
        objects, object_ = step.tables.objects, invocation.target.object
        if objects.holder(object_) is not None:
            invocation.status = Inboxed(objects.enqueue(object_, invocation.row))
            invocation.inboxed_at = step.at
            invocation.modified_at = step.at
            step.tables.invocations.put(invocation)
            return
        objects.lock(object_, invocation.row)
    start_attempt(step, invocation, input_raw)


def start_attempt(step: Step, invocation: Invocation, input_raw: bytes | None = None) -> None:
    """Make the next attempt; whatever an earlier one still reports is ignored from here on."""
    invocation.status = INVOKED
    invocation.attempt += 1
    invocation.activity = _RUNNING
    invocation.output = None
    invocation.pausing = False
    invocation.next_retry_at = None
    invocation.modified_at = step.at
    if invocation.running_at is None:
        invocation.running_at = step.at
    step.tables.invocations.put(invocation)
    step.actions.append(StartAttempt(invocation, invocation.attempt, input_raw))


def pause(step: Step, invocation: Invocation) -> None:
    """No further attempt until somebody resumes, cancels or kills it."""
    invocation.status = PAUSED
    step.tables.journal.append_event(
        invocation.row, invocation.length - 1, step.at, "Paused", {"ty": "Paused"}
    )
    rest(step, invocation)


def rest(step: Step, invocation: Invocation) -> None:
    """Nothing runs any more: drop what described the attempt and store the status as it is."""
    invocation.attempt += 1
    invocation.activity = _IDLE
    invocation.pausing = False
    invocation.refs = None
    invocation.output = None
    invocation.modified_at = step.at
    step.tables.invocations.put(invocation)


def finish(step: Step, invocation: Invocation, result: Result) -> None:
    """End it with `result`: tell whoever waits, pass the lock on, start the clock of its retention."""
    tables = step.tables
    held_lock = invocation.target.kind is _EXCLUSIVE and not isinstance(
        invocation.status, Scheduled | Inboxed
    )
    completed = Completed(result, step.at)
    invocation.status = completed
    invocation.next_retry_at = None
    waiter = invocation.waiter
    if waiter is not None:
        step.send(Complete(waiter.id, waiter.kind, waiter.completion_id, result))
        invocation.waiter = None
    if invocation.has_attached:
        for attached in tables.waiters.take(invocation.row):
            step.send(Complete(attached.id, attached.kind, attached.completion_id, result))
        invocation.has_attached = False
    retention = invocation.retention
    step.actions.append(
        Finished(
            invocation.row,
            invocation.id,
            invocation.target,
            completed,
            step.at + retention.completion_ms,
        )
    )
    if retention.completion_ms == 0:
        # An attempt that this batch started is void, as `rest` makes it: there is no journal to push.
        invocation.attempt += 1
        forget(step, invocation)
    else:
        if retention.journal_ms == 0:
            purge_journal(step, invocation)
        rest(step, invocation)
    if held_lock:
        pass_lock_on(step, invocation.target.object)


def pass_lock_on(step: Step, object_: str) -> None:
    """Give the object's lock to the oldest in its inbox; state mutations in front of it are applied."""
    tables = step.tables
    while True:
        waiting = tables.objects.dequeue(object_)
        if waiting is None:
            tables.objects.unlock(object_)
            return
        if isinstance(waiting, Mutation):
            replace_state(tables.state, object_, waiting)
            continue
        invocation = tables.invocations.get(waiting)
        if invocation is None:
            raise InvariantViolation(f"inbox of {object_!r} names row {waiting}, which is unknown")
        tables.objects.lock(object_, waiting)
        start_attempt(step, invocation)
        return


def purge_journal(step: Step, invocation: Invocation) -> None:
    """Forget the journal of a completed invocation; its result stays."""
    _delete_journal(step, invocation)
    invocation.journal_purged = True


def _delete_journal(step: Step, invocation: Invocation) -> None:
    step.tables.journal.delete(invocation.row)
    if invocation.has_step_metadata:
        step.tables.step_metadata.delete(invocation.row)
        invocation.has_step_metadata = False
    if invocation.has_attempts:
        step.tables.attempts.delete(invocation.row)
        invocation.has_attempts = False


def forget(step: Step, invocation: Invocation) -> None:
    """Remove every trace of a completed invocation; of a workflow's run, its state and promises as well."""
    tables = step.tables
    check(isinstance(invocation.status, Completed), "only completed ones are forgotten", row=invocation.row)
    if invocation.target.kind is TargetKind.WORKFLOW_RUN:
        tables.state.clear_all(invocation.target.object)
        tables.promises.delete(invocation.target.object)
    if not invocation.journal_purged:
        _delete_journal(step, invocation)
    tables.invocations.delete(invocation)


def find_live(step: Step, id_: InvocationId) -> Invocation | None:
    """The invocation with this id unless it is unknown, or completed past its retention."""
    invocation = step.tables.invocations.find(id_)
    return None if invocation is None or _has_expired(invocation, step.at) else invocation


def _has_expired(invocation: Invocation, at: int) -> bool:
    expires_at = invocation.expires_at
    return expires_at is not None and expires_at <= at
