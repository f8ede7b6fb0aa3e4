"""What invocations of different partitions tell each other, through outbox and inbox.

Within one partition the same messages are handled in the record that sends them and never stored.
"""

from __future__ import annotations

from typing import TypeAlias

from msgspec import Struct

from holdfast.core.commands import StartRequest
from holdfast.core.model import InvocationId, NotificationKind, NotificationResult, SignalResult, Waiter


class StartInvocation(Struct):
    """A handler called or sent; `waiter` wants the result."""

    request: StartRequest
    waiter: Waiter | None

    @property
    def destination(self) -> InvocationId:
        return self.request.id


class Complete(Struct):
    """The answer to a command of invocation `destination`."""

    destination: InvocationId
    kind: NotificationKind
    completion_id: int
    result: NotificationResult


class DeliverSignal(Struct):
    """A signal for invocation `destination`; dropped when it is gone."""

    destination: InvocationId
    signal: int | str
    result: SignalResult


class AttachTo(Struct):
    """`waiter` wants the result of `destination` when it ends; 404 when there is no such invocation."""

    destination: InvocationId
    waiter: Waiter


class AskOutput(Struct):
    """`waiter` wants the result of `destination` now: Void while it runs, 404 when unknown."""

    destination: InvocationId
    waiter: Waiter


class KillCallee(Struct):
    """The caller was killed."""

    destination: InvocationId


Message: TypeAlias = StartInvocation | Complete | DeliverSignal | AttachTo | AskOutput | KillCallee
