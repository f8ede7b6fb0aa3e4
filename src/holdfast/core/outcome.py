"""What core answers: actions to perform after the commit, and the answer to whoever sent the record.

Writes are not listed here: core makes them through `tables`, which holds them back until the commit.
Nothing in this module may happen before the record's transaction is durable.
"""

from __future__ import annotations

from typing import TypeAlias

from msgspec import Struct

from holdfast.core.model import Completed, Invocation, InvocationId, Notification, Row, Target

# ---------------------------------------------------------------- actions


class StartAttempt(Struct):
    """Push the invocation to its deployment with the journal as it is now, as attempt `attempt`.

    `input_raw` spares reading the journal of an invocation that was accepted just now."""

    invocation: Invocation
    attempt: int
    input_raw: bytes | None


class Tell(Struct):
    """A notification for the running attempt, appended to the journal as entry `index`."""

    row: Row
    attempt: int
    index: int
    notification: Notification


class Acknowledge(Struct):
    """The run completion `completion_id` is durable; sent in place of the notification."""

    row: Row
    attempt: int
    completion_id: int


class HalfClose(Struct):
    """Ask the attempt to finish or suspend: pausing."""

    row: Row
    attempt: int


class AbortAttempt(Struct):
    """Drop the attempt: the invocation ended without it."""

    row: Row
    attempt: int


class AttemptDone(Struct):
    """The attempt reported its end and that is durable: its slot is free."""

    row: Row
    attempt: int


class Finished(Struct):
    """The invocation completed; whoever waits at ingress gets `completed.result`."""

    row: Row
    id: InvocationId
    target: Target
    completed: Completed
    expires_at: int


class ArmTimer(Struct):
    """A timer due at `fire_at` was stored."""

    fire_at: int


class Ship(Struct):
    """The outbox for `destination` has something new."""

    destination: int


Action: TypeAlias = (
    StartAttempt | Tell | Acknowledge | HalfClose | AbortAttempt | AttemptDone | Finished | ArmTimer | Ship
)

# ---------------------------------------------------------------- answers


class Accepted(Struct):
    """A Start was applied: `row` is the invocation's, `existing` when it had been accepted earlier."""

    row: Row
    id: InvocationId
    existing: bool
    start_at: int | None
    completed: Completed | None
    expires_at: int | None


class Found(Struct):
    """A Lookup's answer; `completed` None while the invocation goes on."""

    row: Row
    target: Target
    completed: Completed | None
    expires_at: int | None


class Done(Struct):
    """An operator's wish was carried out: `at_once` false when it was only asked of the handler."""

    at_once: bool = True


class Restarted(Struct):
    id: InvocationId


class Received(Struct):
    """A Deliver's answer: everything up to `sequence` from that source is durable here."""

    sequence: int


class Refused(Struct):
    """Nothing happened. `code` is HTTP-like, `reason` a stable word of `core.operate` or docs/errors.md."""

    code: int
    reason: str
    message: str


Answer: TypeAlias = Accepted | Found | Done | Restarted | Received | Refused
