"""What a partition is told. Each record carries the instant `at` it was made; core has no other clock."""

from __future__ import annotations

from typing import TypeAlias

from msgspec import Struct

from holdfast.core.commands import Item, StartRequest
from holdfast.core.messages import Message
from holdfast.core.model import InvocationId, Result, Row, SignalResult


class Start(Struct):
    """From ingress: accept a new invocation, or find the one that has its id already."""

    at: int
    request: StartRequest


class AttemptReport(Struct):
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


class TimerFired(Struct):
    """From the timer service: the timer (fire_at, kind, row, completion_id) is due."""

    at: int
    fire_at: int
    kind: int
    row: Row
    completion_id: int


class Signal(Struct):
    """From ingress or admin: deliver a signal. A completed awakeable is one; CANCEL is one too.

    `once` refuses one that has come already, or that comes too late; without, it is swallowed.
    """

    at: int
    id: InvocationId
    signal: int | str
    result: SignalResult
    once: bool = False


class SettlePromise(Struct):
    """From admin: complete the durable promise `key` of the workflow that the invocation `id` is of."""

    at: int
    id: InvocationId
    key: str
    result: Result


class Cancel(Struct):
    """From admin: ask an invocation to cancel itself; one that never started ends at once."""

    at: int
    id: InvocationId


class Kill(Struct):
    """From admin: end an invocation and the calls it waits for, without asking them."""

    at: int
    id: InvocationId


class Pause(Struct):
    """From admin: stop making attempts until somebody resumes it."""

    at: int
    id: InvocationId


class Resume(Struct):
    """From admin: start the next attempt now; `deployment` and `protocol_version` pin it elsewhere."""

    at: int
    id: InvocationId
    deployment: str | None = None
    protocol_version: int | None = None


class Purge(Struct):
    """Forget a completed invocation, or (journal_only) its journal."""

    at: int
    id: InvocationId
    journal_only: bool = False


class RestartAsNew(Struct):
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


class ReplaceState(Struct):
    """From admin: replace an object's whole state, in its turn behind the object's lock.

    `version` (see `core.state`) guards against a change since it was read; a mismatch drops it.
    """

    at: int
    object: str
    state: tuple[tuple[bytes, bytes], ...]
    version: str | None = None


class Lookup(Struct):
    """From ingress: the status and result of an invocation, read in log order."""

    at: int
    id: InvocationId


class Sweep(Struct):
    """From the retention sweep: these rows were seen past their retention. Rechecked when applied."""

    at: int
    rows: tuple[Row, ...]


class Recover(Struct):
    """First record after opening: make attempts for everything that was in its turn when the log ended."""

    at: int


class Deliver(Struct):
    """From another partition: its outbox messages, numbered without gap from `first_sequence`.

    `rows` are fresh rows of this partition, one per message, for those that start an invocation.
    """

    at: int
    source: int
    first_sequence: int
    messages: tuple[Message, ...]
    rows: tuple[Row, ...]


class Delivered(Struct):
    """From the post: partition `destination` has made everything up to `sequence` durable."""

    at: int
    destination: int
    sequence: int


Record: TypeAlias = (
    Start
    | AttemptReport
    | TimerFired
    | Signal
    | SettlePromise
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
