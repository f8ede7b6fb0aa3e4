"""Messages between partitions, exactly once.

The sender numbers its messages per destination and keeps them until they are acknowledged; the receiver
remembers, in the transaction that applies a message, the last number it took. Resending is therefore always
safe, after a crash of either side, and both counters are ordinary table rows: a replay of the log makes the
same numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias, cast

from holdfast.core.calls import deliver_signal, receive_ask_output, receive_attach
from holdfast.core.journal import complete
from holdfast.core.lifecycle import accept
from holdfast.core.messages import (
    AskOutput,
    AttachTo,
    Complete,
    DeliverSignal,
    KillCallee,
    Message,
    StartInvocation,
)
from holdfast.core.model import Notification
from holdfast.core.operate import receive_kill
from holdfast.core.outcome import Received
from holdfast.core.records import Deliver, Delivered
from holdfast.core.step import Step


def apply_deliver(step: Step, record: Deliver) -> Received:
    """Take what is new of a batch; a gap takes nothing, and the answer says where to go on."""
    post = step.tables.post
    last = post.received(record.source)
    if record.first_sequence > last + 1:
        return Received(last)
    for offset, message in enumerate(record.messages):
        if record.first_sequence + offset <= last:
            continue
        if isinstance(message, StartInvocation):
            message.request.row = record.rows[offset]
        handle(step, message)
    last = max(last, record.first_sequence + len(record.messages) - 1)
    post.set_received(record.source, last)
    return Received(last)


def apply_delivered(step: Step, record: Delivered) -> None:
    step.tables.post.drop(record.destination, record.sequence)


def handle(step: Step, message: Message) -> None:
    """Act on a message for an invocation of this partition."""
    _HANDLERS[type(message)](step, message)


def _start(step: Step, message: StartInvocation) -> None:
    accept(step, message.request, message.waiter)


def _complete(step: Step, message: Complete) -> None:
    notification = Notification(message.kind, message.completion_id, message.result)
    complete(step, message.destination, notification)


def _signal(step: Step, message: DeliverSignal) -> None:
    deliver_signal(step, message.destination, message.signal, message.result)


def _kill(step: Step, message: KillCallee) -> None:
    receive_kill(step, message.destination)


_Handler: TypeAlias = Callable[[Step, Message], None]
_HANDLERS: dict[type, _Handler] = {
    StartInvocation: cast(_Handler, _start),
    Complete: cast(_Handler, _complete),
    DeliverSignal: cast(_Handler, _signal),
    AttachTo: cast(_Handler, receive_attach),
    AskOutput: cast(_Handler, receive_ask_output),
    KillCallee: cast(_Handler, _kill),
}
