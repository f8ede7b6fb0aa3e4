"""What an attempt reports, in order: journal commands, run proposals, and how it ended.

The invoker reads frames off the wire and translates them to these. Every command carries `type` and `raw`,
the entry exactly as the SDK wrote it: it is stored and replayed unread, because SDKs compare byte for byte
(protocol, "Replay checks"). The other fields are what core needs to act on it.
"""

from __future__ import annotations

from typing import TypeAlias

from msgspec import Struct

from holdfast.core.model import (
    FROM_INGRESS,
    AttemptFailure,
    Await,
    InvocationId,
    Origin,
    Result,
    Retention,
    RetryPolicy,
    Row,
    SignalResult,
    Target,
)


class StartRequest(Struct):
    """A wish for a new invocation, complete: nothing needs to be looked up to apply it.

    `id` and `row` were minted by the partition that owns the id (`row` 0: the owner mints it on arrival).
    `fresh` is true when the id is random, so that no earlier invocation can have it. `input_raw` is the
    journal's first entry. `start_at` delays; 0 is now.
    """

    id: InvocationId
    row: Row
    fresh: bool
    target: Target
    input_raw: bytes
    retention: Retention
    idempotency_key: str | None = None
    start_at: int = 0
    origin: Origin = FROM_INGRESS
    scope: str | None = None
    limit_key: str | None = None
    trace_parent: str | None = None


class Plain(Struct):
    """A command without effect of its own beyond the journal: run, eager state reads."""

    type: int
    raw: bytes
    completion_id: int | None = None


class Output(Struct):
    type: int
    raw: bytes
    result: Result


class SetState(Struct):
    type: int
    raw: bytes
    key: bytes
    value: bytes


class ClearState(Struct):
    type: int
    raw: bytes
    key: bytes


class ClearAllState(Struct):
    type: int
    raw: bytes


class GetLazyState(Struct):
    type: int
    raw: bytes
    key: bytes
    completion_id: int


class GetLazyStateKeys(Struct):
    type: int
    raw: bytes
    completion_id: int


class GetPromise(Struct):
    type: int
    raw: bytes
    key: str
    completion_id: int


class PeekPromise(Struct):
    type: int
    raw: bytes
    key: str
    completion_id: int


class CompletePromise(Struct):
    type: int
    raw: bytes
    key: str
    result: Result
    completion_id: int


class Sleep(Struct):
    type: int
    raw: bytes
    wake_up_at: int
    completion_id: int


class Call(Struct):
    type: int
    raw: bytes
    request: StartRequest
    id_text: str
    id_completion_id: int
    completion_id: int


class Send(Struct):
    """A call without answer; `request.start_at` delays it."""

    type: int
    raw: bytes
    request: StartRequest
    id_text: str
    id_completion_id: int


class SendSignal(Struct):
    """Deliver a signal (an awakeable's completion included) to another invocation."""

    type: int
    raw: bytes
    target: InvocationId
    signal: int | str
    result: SignalResult


class Attach(Struct):
    type: int
    raw: bytes
    target: InvocationId
    completion_id: int


class GetOutput(Struct):
    type: int
    raw: bytes
    target: InvocationId
    completion_id: int


Command: TypeAlias = (
    Plain
    | Output
    | SetState
    | ClearState
    | ClearAllState
    | GetLazyState
    | GetLazyStateKeys
    | GetPromise
    | PeekPromise
    | CompletePromise
    | Sleep
    | Call
    | Send
    | SendSignal
    | Attach
    | GetOutput
)


class RunProposal(Struct):
    """The result of a run's closure; `ack` asks for a short acknowledgement instead of the value."""

    completion_id: int
    result: Result
    ack: bool


class Described(Struct):
    """A run command, or the proposal of its result, and metadata that becomes durable with it.

    `metadata` is a JSON object in UTF-8, at most `STEP_METADATA_BYTES_MAX` bytes. `policy` and `jitter` are
    those of the attempt's failure, if core refuses it (`AttemptError`).
    """

    item: Plain | RunProposal
    completion_id: int
    metadata: bytes
    policy: RetryPolicy
    jitter: float


class End(Struct):
    """The attempt finished the handler; the last Output in the journal is the result."""


class Suspend(Struct):
    """The attempt cannot go on before `awaiting` is satisfied; see `Suspended` for `known`."""

    awaiting: Await
    known: int


class Behavior:
    """What an attempt's error asks for (protocol, "Error")."""

    RETRY = 0
    PAUSE = 1
    FAIL = 2


class AttemptError(Struct):
    """The attempt failed. `retry_after_ms` overrides the policy's delay for the next attempt;
    `jitter` in [0, 1) spreads retries and comes from the invoker, since core has no randomness.
    `deployment` is set by core, where the attempt leaves the invocation pinned to none."""

    failure: AttemptFailure
    policy: RetryPolicy
    jitter: float
    retry_after_ms: int | None = None
    behavior: int = Behavior.RETRY
    deployment: str | None = None


Item: TypeAlias = Command | RunProposal | Described | End | Suspend | AttemptError
