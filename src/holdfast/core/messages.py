"""What invocations of different partitions tell each other, through outbox and inbox.

Within one partition the same messages are handled in the record that sends them and never stored.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from holdfast.core.commands import StartRequest
from holdfast.core.model import InvocationId, NotificationKind, NotificationResult, SignalResult, Waiter


@dataclass(slots=True)
class StartInvocation:
    """A handler called or sent; `waiter` wants the result."""

    request: StartRequest
    waiter: Waiter | None

    @property
    def destination(self) -> InvocationId:
        return self.request.id


@dataclass(slots=True)
class Complete:
    """The answer to a command of invocation `destination`."""

    destination: InvocationId
    kind: NotificationKind
    completion_id: int
    result: NotificationResult


@dataclass(slots=True)
class DeliverSignal:
    """A signal for invocation `destination`; dropped when it is gone."""

    destination: InvocationId
    signal: int | str
    result: SignalResult


@dataclass(slots=True)
class AttachTo:
    """`waiter` wants the result of `destination` when it ends; 404 when there is no such invocation."""

    destination: InvocationId
    waiter: Waiter


@dataclass(slots=True)
class AskOutput:
    """`waiter` wants the result of `destination` now: Void while it runs, 404 when unknown."""

    destination: InvocationId
    waiter: Waiter


@dataclass(slots=True)
class KillCallee:
    """The caller was killed."""

    destination: InvocationId


Message: TypeAlias = StartInvocation | Complete | DeliverSignal | AttachTo | AskOutput | KillCallee
