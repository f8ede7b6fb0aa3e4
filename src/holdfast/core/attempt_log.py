"""When attempts began and ended, for people to look at: nothing here is ever read by the state machine.

Written with the record that ends an attempt, in which the invocation's row is written anyway. An invocation
that completes in its first attempt, as nearly all do, writes nothing: its own times say it.

An attempt begins where `start_attempt` sets `modified_at`, and nothing changes that before the attempt ends.
"""

from __future__ import annotations

from holdfast.core.model import AttemptEnd, AttemptFailure, AttemptOutcome, Invocation
from holdfast.core.step import Step


def log_end(
    step: Step,
    invocation: Invocation,
    outcome: AttemptOutcome,
    failure: AttemptFailure | None = None,
    deployment: str | None = None,
) -> None:
    """Remember how the current attempt ended. Called before anything else is changed about it; the caller
    puts the invocation.

    Args:
        deployment: where it ran, of an invocation that is pinned to none yet.
    """
    invocation.has_attempts = True
    step.tables.attempts.append(
        AttemptEnd(
            invocation.row,
            invocation.attempt,
            invocation.modified_at,
            step.at,
            outcome,
            invocation.deployment or deployment,
            failure,
        )
    )
