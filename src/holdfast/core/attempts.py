"""What an attempt reports: commands in order, run proposals, and how it ended.

The invoker numbers attempts with the number StartAttempt gave it; a report of an attempt that has been
replaced (a timeout, a kill, a restart) is ignored whole, so a handler that goes on talking after the server
gave up on it cannot reach the journal.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias, TypeVar, cast

from holdfast.core import calls, promises, state, step_metadata, timing
from holdfast.core.attempt_log import log_end
from holdfast.core.awaiting import is_satisfied
from holdfast.core.commands import (
    Attach,
    AttemptError,
    Behavior,
    Call,
    ClearAllState,
    ClearState,
    CompletePromise,
    Described,
    End,
    GetLazyState,
    GetLazyStateKeys,
    GetOutput,
    GetPromise,
    Item,
    Output,
    PeekPromise,
    Plain,
    RunProposal,
    Send,
    SendSignal,
    SetState,
    Sleep,
    Suspend,
)
from holdfast.core.journal import append, notify, store
from holdfast.core.lifecycle import finish, pause, rest, start_attempt
from holdfast.core.model import (
    JOURNAL_ENTRIES_MAX,
    JOURNAL_MARGIN,
    Activity,
    AttemptFailure,
    AttemptOutcome,
    Failure,
    Invocation,
    Invoked,
    Notification,
    NotificationKind,
    OnMaxAttempts,
    RetryPolicy,
    Suspended,
)
from holdfast.core.outcome import AbortAttempt, Acknowledge, ArmTimer, AttemptDone
from holdfast.core.records import AttemptReport, TimerKind
from holdfast.core.step import Step

# A name of the module costs a twentieth of an attribute of an enum, which is looked up by a function.
_RUNNING: Final = Activity.RUNNING
_IDLE: Final = Activity.IDLE
_RUN: Final = NotificationKind.RUN
_FULL = JOURNAL_ENTRIES_MAX - JOURNAL_MARGIN
_MILLIS_MAX = 10**12
"""Bound of a computed delay, about 30 years: exponents cannot overflow into the timer table."""


def apply_report(step: Step, record: AttemptReport) -> None:
    """Apply an attempt's items in order, up to the one that ends it."""
    invocation = step.tables.invocations.get(record.row)
    if (
        invocation is None
        or invocation.attempt != record.attempt
        or not isinstance(invocation.status, Invoked)
        or invocation.activity is not _RUNNING
    ):
        return
    if invocation.deployment != record.deployment or invocation.protocol_version is None:
        _pin(step, invocation, record)
    for item in record.items:
        # `journal_room`, which is too many calls for something that is asked for every entry.
        if invocation.length + 2 * invocation.commands >= _FULL:
            _refuse_long_journal(step, invocation)
            return
        if _HANDLERS[type(item)](step, invocation, item):
            return


def _pin(step: Step, invocation: Invocation, record: AttemptReport) -> None:
    """The first thing stored from an attempt ties the invocation to its deployment and version.

    An attempt that only failed stored nothing: the next one may go to a newer deployment.
    """
    first = record.items[0]
    if type(first) is AttemptError:
        first.deployment = record.deployment or None
        return
    invocation.deployment = record.deployment
    invocation.protocol_version = record.protocol_version
    step.tables.invocations.put(invocation)


def _refuse_long_journal(step: Step, invocation: Invocation) -> None:
    failure = AttemptFailure(
        500,
        f"the journal is full with {invocation.commands} commands; kill it and start anew",
        "HF0001",
        at=step.at,
    )
    step.actions.append(AbortAttempt(invocation.row, invocation.attempt))
    log_end(step, invocation, AttemptOutcome.FAILED, failure)
    _record_failure(step, invocation, failure)
    pause(step, invocation)


# ---------------------------------------------------------------- items; true means the attempt is over


def _plain(step: Step, invocation: Invocation, item: Plain) -> bool:
    store(step, invocation, item, item.completion_id)
    return False


def _output(step: Step, invocation: Invocation, item: Output) -> bool:
    store(step, invocation, item)
    invocation.output = item.result
    return False


def _run_proposal(step: Step, invocation: Invocation, item: RunProposal) -> bool:
    """Store the result of a run's closure; asked for an acknowledgement, send that instead of the value."""
    if item.completion_id in step.refs(invocation).completions:
        return False  # proposed twice: the first one stands, and was answered
    notification = Notification(_RUN, item.completion_id, item.result)
    if item.ack:
        append(step.tables, invocation, notification, step.at)
        step.actions.append(Acknowledge(invocation.row, invocation.attempt, item.completion_id))
    else:
        notify(step, invocation, notification)
    return False


def _described(step: Step, invocation: Invocation, item: Described) -> bool:
    """Metadata and what it belongs to, together."""
    refused = step_metadata.keep(step, invocation, item)
    if refused is None:
        return _HANDLERS[type(item.item)](step, invocation, item.item)
    step.actions.append(AbortAttempt(invocation.row, invocation.attempt))
    failure = AttemptFailure(500, refused, "RT0012")
    return _error(step, invocation, AttemptError(failure, item.policy, item.jitter))


def _end(step: Step, invocation: Invocation, item: End) -> bool:
    result = invocation.output
    if result is None:
        result = step.tables.journal.output(invocation.row)
    if invocation.has_attempts:
        log_end(step, invocation, AttemptOutcome.COMPLETED)
    _done(step, invocation)
    if result is None:
        result = Failure(500, "the handler ended without an output")
    finish(step, invocation, result)
    return True


def _suspend(step: Step, invocation: Invocation, item: Suspend) -> bool:
    """Park the invocation, or start its next attempt if what it waits for is already here.

    The race this exists for: a result can be journalled after the attempt decided to suspend. Parking then
    would be for ever, since nothing else will wake it, so the journal is consulted here, in the same record.
    """
    log_end(step, invocation, AttemptOutcome.PAUSED if invocation.pausing else AttemptOutcome.SUSPENDED)
    _done(step, invocation)
    if invocation.pausing:
        pause(step, invocation)
    elif is_satisfied(item.awaiting, step.refs(invocation), item.known):
        start_attempt(step, invocation)
    else:
        invocation.status = Suspended(item.awaiting, item.known)
        rest(step, invocation)
    return True


def _error(step: Step, invocation: Invocation, item: AttemptError) -> bool:
    """Retry by the policy, or pause, or fail: what the error asks for, or the policy's end."""
    policy, failure = item.policy, item.failure
    log_end(step, invocation, AttemptOutcome.FAILED, failure, item.deployment)
    _done(step, invocation)
    invocation.retry_count += 1
    _record_failure(step, invocation, failure)
    exhausted = policy.max_attempts is not None and invocation.retry_count >= policy.max_attempts
    kill = exhausted and policy.on_max_attempts is OnMaxAttempts.KILL
    if item.behavior == Behavior.FAIL or kill:
        finish(step, invocation, Failure(failure.code, failure.message))
    elif item.behavior == Behavior.PAUSE or invocation.pausing or exhausted:
        pause(step, invocation)
    else:
        delay = item.retry_after_ms
        if delay is None:
            delay = retry_delay_ms(policy, invocation.retry_count, item.jitter)
        invocation.activity = Activity.BACKING_OFF
        invocation.next_retry_at = step.at + min(delay, _MILLIS_MAX)
        invocation.modified_at = step.at
        step.tables.timers.put(invocation.next_retry_at, TimerKind.RETRY, invocation.row, 0)
        step.tables.invocations.put(invocation)
        step.actions.append(ArmTimer(invocation.next_retry_at))
    return True


def retry_delay_ms(policy: RetryPolicy, failures: int, jitter: float) -> int:
    """The pause before the next attempt after `failures` in a row: exponential, capped, and up to a third
    longer by `jitter` in [0, 1), so that invocations that failed together do not come back together."""
    try:
        grown = policy.initial_ms * policy.factor ** (failures - 1)
    except OverflowError:
        grown = policy.max_ms
    # The cap comes first: compared with it, a factor that is not a number counts as beyond it.
    return int(max(min(policy.max_ms, grown), 0) * (1 + jitter / 3))


def _record_failure(step: Step, invocation: Invocation, failure: AttemptFailure) -> None:
    """Remember why the attempt failed; the same reason again is not another event."""
    before, invocation.failure = invocation.failure, failure
    failure.at = step.at if before is None else before.at
    again = failure == before
    failure.at = step.at
    if again:
        return
    detail: dict[str, object] = {
        "ty": "TransientError",
        "error_code": failure.code,
        "error_message": failure.message,
        "restate_doc_error_code": failure.doc_code,
    }
    if failure.stacktrace:
        detail["error_stacktrace"] = failure.stacktrace
    if failure.command_index is not None:
        detail["related_command_index"] = failure.command_index
    if failure.command_name is not None:
        detail["related_command_name"] = failure.command_name
    if failure.command_type is not None:
        detail["related_command_type"] = failure.command_type
    step.tables.journal.append_event(invocation.row, invocation.length - 1, step.at, "TransientError", detail)


def _done(step: Step, invocation: Invocation) -> None:
    step.actions.append(AttemptDone(invocation.row, invocation.attempt))
    invocation.activity = _IDLE


_C = TypeVar("_C")
_Handler: TypeAlias = Callable[[Step, Invocation, Item], bool]


def _goes_on(apply: Callable[[Step, Invocation, _C], None]) -> _Handler:
    """A command's handler: after it the attempt goes on."""
    act = cast("Callable[[Step, Invocation, Item], None]", apply)

    def handler(step: Step, invocation: Invocation, item: Item) -> bool:
        act(step, invocation, item)
        return False

    return handler


_HANDLERS: dict[type, _Handler] = {
    Plain: cast(_Handler, _plain),
    Output: cast(_Handler, _output),
    RunProposal: cast(_Handler, _run_proposal),
    Described: cast(_Handler, _described),
    End: cast(_Handler, _end),
    Suspend: cast(_Handler, _suspend),
    AttemptError: cast(_Handler, _error),
    SetState: _goes_on(state.apply_set),
    ClearState: _goes_on(state.apply_clear),
    ClearAllState: _goes_on(state.apply_clear_all),
    GetLazyState: _goes_on(state.apply_get),
    GetLazyStateKeys: _goes_on(state.apply_get_keys),
    GetPromise: _goes_on(promises.apply_get),
    PeekPromise: _goes_on(promises.apply_peek),
    CompletePromise: _goes_on(promises.apply_complete),
    Sleep: _goes_on(timing.apply_sleep),
    Call: _goes_on(calls.apply_call),
    Send: _goes_on(calls.apply_send),
    SendSignal: _goes_on(calls.apply_send_signal),
    Attach: _goes_on(calls.apply_attach),
    GetOutput: _goes_on(calls.apply_get_output),
}
