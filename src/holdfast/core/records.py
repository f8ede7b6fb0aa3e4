"""What a partition is told. Each record carries the instant `at` it was made; core has no other clock."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from holdfast.core.commands import Item, StartRequest
from holdfast.core.messages import Message
from holdfast.core.model import InvocationId, Row, SignalResult


@dataclass(slots=True)
class Start:
    """From ingress: accept a new invocation, or find the one that has its id already."""

    at: int
    request: StartRequest


@dataclass(slots=True)
class AttemptReport:
    """From the invoker: what attempt `attempt` of an invocation sent, in order.

    Ignored whole when that attempt has been replaced. `deployment` and `protocol_version` are what the
    attempt runs on; they are pinned by the first command stored.
    """

    at: int
    row: Row
    attempt: int
    deployment: str
    protocol_version: int
    items: list[Item]


class TimerKind:
    """What a timer does when due; the numbers are stored."""

    SLEEP = 0
    START = 1
    RETRY = 2


@dataclass(slots=True)
class TimerFired:
    """From the timer service: the timer (fire_at, kind, row, completion_id) is due."""

    at: int
    fire_at: int
    kind: int
    row: Row
    completion_id: int


@dataclass(slots=True)
class Signal:
    """From ingress or admin: deliver a signal. A completed awakeable is one; CANCEL is one too."""

    at: int
    id: InvocationId
    signal: int | str
    result: SignalResult


@dataclass(slots=True)
class Cancel:
    """From admin: ask an invocation to cancel itself; one that never started ends at once."""

    at: int
    id: InvocationId


@dataclass(slots=True)
class Kill:
    """From admin: end an invocation and the calls it waits for, without asking them."""

    at: int
    id: InvocationId


@dataclass(slots=True)
class Pause:
    """From admin: stop making attempts until somebody resumes it."""

    at: int
    id: InvocationId


@dataclass(slots=True)
class Resume:
    """From admin: start the next attempt now; `deployment` and `protocol_version` pin it elsewhere."""

    at: int
    id: InvocationId
    deployment: str | None = None
    protocol_version: int | None = None


@dataclass(slots=True)
class Purge:
    """Forget a completed invocation, or (journal_only) its journal."""

    at: int
    id: InvocationId
    journal_only: bool = False


@dataclass(slots=True)
class RestartAsNew:
    """Run a completed invocation again under the minted id `new_id` and row `new_row`.

    The first `keep_commands` commands and their completions are copied: 1 is the input alone.
    """

    at: int
    id: InvocationId
    new_id: InvocationId
    new_row: Row
    keep_commands: int
    deployment: str | None = None
    protocol_version: int | None = None


@dataclass(slots=True)
class ReplaceState:
    """From admin: replace an object's whole state, in its turn behind the object's lock.

    `version` (see `core.state`) guards against a change since it was read; a mismatch drops it.
    """

    at: int
    object: str
    state: tuple[tuple[bytes, bytes], ...]
    version: str | None = None


@dataclass(slots=True)
class Lookup:
    """From ingress: the status and result of an invocation, read in log order."""

    at: int
    id: InvocationId


@dataclass(slots=True)
class Sweep:
    """From the retention sweep: these rows were seen past their retention. Rechecked when applied."""

    at: int
    rows: tuple[Row, ...]


@dataclass(slots=True)
class Recover:
    """First record after opening: make attempts for everything that was in its turn when the log ended."""

    at: int


@dataclass(slots=True)
class Deliver:
    """From another partition: its outbox messages, numbered without gap from `first_sequence`.

    `rows` are fresh rows of this partition, one per message, for those that start an invocation.
    """

    at: int
    source: int
    first_sequence: int
    messages: tuple[Message, ...]
    rows: tuple[Row, ...]


@dataclass(slots=True)
class Delivered:
    """From the post: partition `destination` has made everything up to `sequence` durable."""

    at: int
    destination: int
    sequence: int


Record: TypeAlias = (
    Start
    | AttemptReport
    | TimerFired
    | Signal
    | Cancel
    | Kill
    | Pause
    | Resume
    | Purge
    | RestartAsNew
    | ReplaceState
    | Lookup
    | Sweep
    | Recover
    | Deliver
    | Delivered
)
