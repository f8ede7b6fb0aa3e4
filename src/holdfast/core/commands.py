"""What an attempt reports, in order: journal commands, run proposals, and how it ended.

The invoker reads frames off the wire and translates them to these. Every command carries `type` and `raw`,
the entry exactly as the SDK wrote it: it is stored and replayed unread, because SDKs compare byte for byte
(protocol, "Replay checks"). The other fields are what core needs to act on it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

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


@dataclass(slots=True)
class StartRequest:
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


@dataclass(slots=True)
class Plain:
    """A command without effect of its own beyond the journal: run, eager state reads."""

    type: int
    raw: bytes
    completion_id: int | None = None


@dataclass(slots=True)
class Output:
    type: int
    raw: bytes
    result: Result


@dataclass(slots=True)
class SetState:
    type: int
    raw: bytes
    key: bytes
    value: bytes


@dataclass(slots=True)
class ClearState:
    type: int
    raw: bytes
    key: bytes


@dataclass(slots=True)
class ClearAllState:
    type: int
    raw: bytes


@dataclass(slots=True)
class GetLazyState:
    type: int
    raw: bytes
    key: bytes
    completion_id: int


@dataclass(slots=True)
class GetLazyStateKeys:
    type: int
    raw: bytes
    completion_id: int


@dataclass(slots=True)
class GetPromise:
    type: int
    raw: bytes
    key: str
    completion_id: int


@dataclass(slots=True)
class PeekPromise:
    type: int
    raw: bytes
    key: str
    completion_id: int


@dataclass(slots=True)
class CompletePromise:
    type: int
    raw: bytes
    key: str
    result: Result
    completion_id: int


@dataclass(slots=True)
class Sleep:
    type: int
    raw: bytes
    wake_up_at: int
    completion_id: int


@dataclass(slots=True)
class Call:
    type: int
    raw: bytes
    request: StartRequest
    id_text: str
    id_completion_id: int
    completion_id: int


@dataclass(slots=True)
class Send:
    """A call without answer; `request.start_at` delays it."""

    type: int
    raw: bytes
    request: StartRequest
    id_text: str
    id_completion_id: int


@dataclass(slots=True)
class SendSignal:
    """Deliver a signal (an awakeable's completion included) to another invocation."""

    type: int
    raw: bytes
    target: InvocationId
    signal: int | str
    result: SignalResult


@dataclass(slots=True)
class Attach:
    type: int
    raw: bytes
    target: InvocationId
    completion_id: int


@dataclass(slots=True)
class GetOutput:
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


@dataclass(slots=True)
class RunProposal:
    """The result of a run's closure; `ack` asks for a short acknowledgement instead of the value."""

    completion_id: int
    result: Result
    ack: bool


@dataclass(slots=True)
class End:
    """The attempt finished the handler; the last Output in the journal is the result."""


@dataclass(slots=True)
class Suspend:
    """The attempt cannot go on before `awaiting` is satisfied; see `Suspended` for `known`."""

    awaiting: Await
    known: int


class Behavior:
    """What an attempt's error asks for (protocol, "Error")."""

    RETRY = 0
    PAUSE = 1
    FAIL = 2


@dataclass(slots=True)
class AttemptError:
    """The attempt failed. `retry_after_ms` overrides the policy's delay for the next attempt;
    `jitter` in [0, 1) spreads retries and comes from the invoker, since core has no randomness."""

    failure: AttemptFailure
    policy: RetryPolicy
    jitter: float
    retry_after_ms: int | None = None
    behavior: int = Behavior.RETRY


Item: TypeAlias = Command | RunProposal | End | Suspend | AttemptError
