"""The nouns of the state machine: targets, results, statuses, invocations.

Instants are integer milliseconds since the epoch, durations integer milliseconds. Invocation ids are the
24 raw bytes of the wire (protocol, "Identifiers"); a *row* is the partition's own sequential number of an
invocation: storage keys start with it, because sequential integers are what a B-tree likes best.

Small values are created some twenty times per invocation, so they are `msgspec` structs, which are made in C.
Nobody changes them after creation. `Invocation` is the one noun that is changed in place, by core only.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple, NewType, TypeAlias

from msgspec import Struct, field

InvocationId = NewType("InvocationId", bytes)
Row = NewType("Row", int)

JOURNAL_ENTRIES_MAX = 1 << 20
"""Entries of one journal, commands and notifications together; storage packs the index into 20 bits."""

JOURNAL_MARGIN = 1024
"""Entries kept free once a journal is too long for commands and signals: for cancellations."""

STEP_METADATA_BYTES_MAX = 64 * 1024
"""Metadata of one step, merged."""

CANCEL_SIGNAL = 1
"""The built-in signal index that asks an invocation to cancel itself (protocol, "Numbering rules")."""


class InvariantViolation(Exception):
    """Our own bug: the partition stops before it writes. Nobody catches it but the partition loop."""


def check(condition: object, message: str, **ids: object) -> None:
    """Raise InvariantViolation naming the ids when `condition` is false. Stays on under `python -O`."""
    if not condition:
        raise InvariantViolation(f"{message} ({', '.join(f'{k}={v!r}' for k, v in ids.items())})")


# ---------------------------------------------------------------- targets


class TargetKind(IntEnum):
    """What a handler is; the numbers are stored."""

    SERVICE = 0
    OBJECT_EXCLUSIVE = 1
    OBJECT_SHARED = 2
    WORKFLOW_RUN = 3
    WORKFLOW_SHARED = 4


class Target(NamedTuple):
    """Whom an invocation calls. `key` is None for plain services only."""

    service: str
    handler: str
    key: str | None
    kind: TargetKind

    @property
    def object(self) -> str:
        """The name that state, lock, inbox and promises of this key share: `service/key`."""
        return f"{self.service}/{self.key}"

    def __str__(self) -> str:
        if self.key is None:
            return f"{self.service}/{self.handler}"
        return f"{self.service}/{self.key}/{self.handler}"


# ---------------------------------------------------------------- results


class Success(Struct):
    """A value; zero bytes are a value too, distinct from Void."""

    value: bytes


class Failure(Struct):
    """A terminal failure. `code` is HTTP-like."""

    code: int
    message: str
    metadata: tuple[tuple[str, str], ...] = ()


class Void(Struct):
    """Answered, without a value: a sleep that ended, a state key that is not there."""


class StartedId(Struct):
    """The printable id of an invocation that a call or send started."""

    text: str


class StateKeys(Struct):
    """Keys of an object's state, sorted."""

    keys: tuple[bytes, ...]


VOID = Void()
Result: TypeAlias = Success | Failure
SignalResult: TypeAlias = Success | Failure | Void
NotificationResult: TypeAlias = Success | Failure | Void | StartedId | StateKeys


class NotificationKind(IntEnum):
    """Which command a notification answers. The numbers equal the wire's type ids, a convenience of the
    current protocol versions that `tests/protocol` checks; core never computes with them."""

    GET_LAZY_STATE = 0x8002
    GET_LAZY_STATE_KEYS = 0x8006
    GET_PROMISE = 0x8009
    PEEK_PROMISE = 0x800A
    COMPLETE_PROMISE = 0x800B
    SLEEP = 0x800C
    CALL = 0x800D
    CALL_INVOCATION_ID = 0x800E
    RUN = 0x8011
    ATTACH = 0x8012
    GET_OUTPUT = 0x8013
    SIGNAL = 0xFBFF


class Notification(Struct):
    """What came back: the answer to a command, or a signal.

    `ref` is the completion id for answers; for SIGNAL it is the signal's index (int) or name (str).
    """

    kind: NotificationKind
    ref: int | str
    result: NotificationResult


# ---------------------------------------------------------------- awaiting


class Combinator(IntEnum):
    """How an await tree's node is done (protocol, "Future")."""

    UNKNOWN = 0
    FIRST_COMPLETED = 1
    ALL_COMPLETED = 2
    FIRST_SUCCEEDED_OR_ALL_FAILED = 3
    ALL_SUCCEEDED_OR_FIRST_FAILED = 4


class Await(Struct):
    """What a suspended invocation waits for: leaves and nested trees under one combinator."""

    completions: tuple[int, ...] = ()
    signals: tuple[int, ...] = ()
    names: tuple[str, ...] = ()
    children: tuple[Await, ...] = ()
    combinator: Combinator = Combinator.FIRST_COMPLETED


# ---------------------------------------------------------------- statuses


class Scheduled(Struct):
    """Accepted, to start at `start_at`."""

    start_at: int


class Inboxed(Struct):
    """Waits for the exclusive lock of its object, as inbox entry `sequence`."""

    sequence: int


class Invoked(Struct):
    """Its turn: an attempt runs, is about to, or waits for its retry time."""


class Suspended(Struct):
    """Nothing runs; continues when `awaiting` is satisfied.

    `known` is how many journal entries the suspended attempt had been told of: signals among them are
    consumed and do not satisfy it."""

    awaiting: Await
    known: int


class Paused(Struct):
    """Nothing runs until somebody resumes, cancels or kills it."""


class Completed(Struct):
    """Done. Kept until the retention ends."""

    result: Result
    at: int


INVOKED = Invoked()
PAUSED = Paused()
Status: TypeAlias = Scheduled | Inboxed | Invoked | Suspended | Paused | Completed


class Activity(IntEnum):
    """What happens inside INVOKED; in memory only, a restart starts the attempt anew."""

    IDLE = 0
    RUNNING = 1
    BACKING_OFF = 2


# ---------------------------------------------------------------- policies


class OnMaxAttempts(IntEnum):
    """What follows the last attempt of a retry policy."""

    PAUSE = 0
    KILL = 1


@dataclass(slots=True, frozen=True)
class RetryPolicy:
    """Exponential back-off of attempts; `max_attempts` None is for ever."""

    initial_ms: int = 500
    factor: float = 2.0
    max_ms: int = 60_000
    max_attempts: int | None = 70
    on_max_attempts: OnMaxAttempts = OnMaxAttempts.PAUSE


class Retention(NamedTuple):
    """How long after completion the result and the journal stay; zero removes them at once."""

    completion_ms: int
    journal_ms: int


class OriginKind(IntEnum):
    """Who asked for an invocation; the numbers are stored."""

    INGRESS = 0
    SERVICE = 1
    SUBSCRIPTION = 2
    RESTART = 3


class Origin(NamedTuple):
    """Who asked for an invocation. `id` and `target` name the calling invocation, or the one restarted."""

    kind: OriginKind
    id: InvocationId | None = None
    target: str | None = None


FROM_INGRESS = Origin(OriginKind.INGRESS)


class Waiter(NamedTuple):
    """An invocation that wants the result of another as its completion `completion_id`."""

    id: InvocationId
    completion_id: int
    kind: NotificationKind


class AttemptFailure(Struct):
    """Why an attempt ended without result. `code` is the HTTP-like code; `doc_code` names the entry of
    docs/errors.md (`RT0007` …). `command_*` point at the journal command it happened in, when known;
    `command_type` is its name (`Run`)."""

    code: int
    message: str
    doc_code: str
    stacktrace: str = ""
    command_index: int | None = None
    command_name: str | None = None
    command_type: str | None = None
    at: int = 0


class AttemptOutcome(IntEnum):
    """How an attempt ended; the numbers are stored."""

    SUSPENDED = 0
    FAILED = 1
    COMPLETED = 2
    PAUSED = 3
    ABORTED = 4


class AttemptEnd(Struct):
    """An attempt that is over. `number` is the invocation's `attempt` while it ran."""

    row: Row
    number: int
    started_at: int
    ended_at: int
    outcome: AttemptOutcome
    deployment: str | None
    failure: AttemptFailure | None


class Refs(Struct):
    """What an invocation's journal has been notified of: completion ids, and signals by index or name.

    Completion ids map to whether the notification succeeded. Signals may come again, so they map to the
    journal index of the latest one as well: an attempt that was told of a signal and still waits for it
    has consumed it and waits for the next."""

    completions: dict[int, bool] = field(default_factory=dict[int, bool])
    signals: dict[int | str, tuple[int, bool]] = field(default_factory=dict[int | str, tuple[int, bool]])


class Invocation(Struct):
    """One execution of a handler, from acceptance to the end of its retention.

    `length` counts journal entries and `commands` the commands among them; both are exact in memory and in
    storage whenever the invocation is not INVOKED (recomputed on loading otherwise).
    `retry_count` counts failed attempts since the last command was stored.
    `attempt` numbers attempts for ever, so that no report of an old one is taken for a new one's; the fields
    after it live in memory only and describe an attempt of this process.
    """

    row: Row
    id: InvocationId
    target: Target
    status: Status
    created_at: int
    modified_at: int
    retention: Retention
    origin: Origin = FROM_INGRESS
    waiter: Waiter | None = None
    idempotency_key: str | None = None
    deployment: str | None = None
    protocol_version: int | None = None
    length: int = 0
    commands: int = 0
    retry_count: int = 0
    next_retry_at: int | None = None
    failure: AttemptFailure | None = None
    progress_at: int = 0
    scheduled_at: int | None = None
    start_at: int | None = None
    inboxed_at: int | None = None
    running_at: int | None = None
    journal_purged: bool = False
    has_attached: bool = False
    has_step_metadata: bool = False
    has_attempts: bool = False
    scope: str | None = None
    limit_key: str | None = None
    trace_parent: str | None = None
    pausing: bool = False
    attempt: int = 0
    activity: Activity = Activity.IDLE
    output: Result | None = None
    refs: Refs | None = None

    @property
    def journal_room(self) -> int:
        """Entries the journal can take beside the answers of its commands, at most two for each. Commands and
        signals are refused without room, so an answer always has its place: an index beyond the limit would
        be another invocation's entry."""
        return JOURNAL_ENTRIES_MAX - self.length - 2 * self.commands

    @property
    def expires_at(self) -> int | None:
        """When the retained result may be forgotten; None before completion."""
        return self.status.at + self.retention.completion_ms if isinstance(self.status, Completed) else None
