"""Every message of the protocol under one name, and the table from frame type to message.

`decode(type_, body)` is the front door for what arrives; a message's own `encode()` gives the body for
`framing.encode_frame`. The messages live by story: `control`, `state_commands`, `commands`, `notifications`,
with `results` and `futures` inside them.
"""

from typing import Protocol, Self

from holdfast.protocol.commands import (
    AttachInvocationCommandMessage,
    CallCommandMessage,
    CompleteAwakeableCommandMessage,
    GetInvocationOutputCommandMessage,
    IdempotentRequestTarget,
    InvocationTarget,
    OneWayCallCommandMessage,
    RunCommandMessage,
    SendSignalCommandMessage,
    SleepCommandMessage,
    WorkflowTarget,
)
from holdfast.protocol.control import (
    AwaitingOnMessage,
    CommandAckMessage,
    EndMessage,
    ErrorBehavior,
    ErrorMessage,
    ProposeRunCompletionAckMessage,
    ProposeRunCompletionMessage,
    StartMessage,
    SuspensionMessage,
    SuspensionMessageV6,
)
from holdfast.protocol.errors import UnknownMessageType
from holdfast.protocol.framing import MessageType, encode_frame
from holdfast.protocol.futures import FUTURE_DEPTH_MAX, CombinatorType, Future
from holdfast.protocol.notifications import (
    AttachInvocationCompletionNotificationMessage,
    CallCompletionNotificationMessage,
    CallInvocationIdCompletionNotificationMessage,
    CompletePromiseCompletionNotificationMessage,
    GetInvocationOutputCompletionNotificationMessage,
    GetLazyStateCompletionNotificationMessage,
    GetLazyStateKeysCompletionNotificationMessage,
    GetPromiseCompletionNotificationMessage,
    NotificationTemplate,
    PeekPromiseCompletionNotificationMessage,
    RunCompletionNotificationMessage,
    SignalNotificationMessage,
    SleepCompletionNotificationMessage,
)
from holdfast.protocol.results import VOID, Failure, InvocationIdResult, Pairs, Result, StateKeys, Value, Void
from holdfast.protocol.state_commands import (
    ClearAllStateCommandMessage,
    ClearStateCommandMessage,
    CompletePromiseCommandMessage,
    GetEagerStateCommandMessage,
    GetEagerStateKeysCommandMessage,
    GetLazyStateCommandMessage,
    GetLazyStateKeysCommandMessage,
    GetPromiseCommandMessage,
    InputCommandMessage,
    OutputCommandMessage,
    PeekPromiseCommandMessage,
    SetStateCommandMessage,
)
from holdfast.protocol.step_metadata import StepMetadataMessage


class Message(Protocol):
    """What every message can do; `encode` gives the frame body."""

    def encode(self) -> bytes:
        """The body of the frame."""
        ...

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Reads the body of a frame."""
        ...


MESSAGE_TYPES: dict[int, type[Message]] = {
    MessageType.START: StartMessage,
    MessageType.SUSPENSION: SuspensionMessage,
    MessageType.ERROR: ErrorMessage,
    MessageType.END: EndMessage,
    MessageType.COMMAND_ACK: CommandAckMessage,
    MessageType.PROPOSE_RUN_COMPLETION: ProposeRunCompletionMessage,
    MessageType.AWAITING_ON: AwaitingOnMessage,
    MessageType.PROPOSE_RUN_COMPLETION_ACK: ProposeRunCompletionAckMessage,
    MessageType.INPUT_COMMAND: InputCommandMessage,
    MessageType.OUTPUT_COMMAND: OutputCommandMessage,
    MessageType.GET_LAZY_STATE_COMMAND: GetLazyStateCommandMessage,
    MessageType.SET_STATE_COMMAND: SetStateCommandMessage,
    MessageType.CLEAR_STATE_COMMAND: ClearStateCommandMessage,
    MessageType.CLEAR_ALL_STATE_COMMAND: ClearAllStateCommandMessage,
    MessageType.GET_LAZY_STATE_KEYS_COMMAND: GetLazyStateKeysCommandMessage,
    MessageType.GET_EAGER_STATE_COMMAND: GetEagerStateCommandMessage,
    MessageType.GET_EAGER_STATE_KEYS_COMMAND: GetEagerStateKeysCommandMessage,
    MessageType.GET_PROMISE_COMMAND: GetPromiseCommandMessage,
    MessageType.PEEK_PROMISE_COMMAND: PeekPromiseCommandMessage,
    MessageType.COMPLETE_PROMISE_COMMAND: CompletePromiseCommandMessage,
    MessageType.SLEEP_COMMAND: SleepCommandMessage,
    MessageType.CALL_COMMAND: CallCommandMessage,
    MessageType.ONE_WAY_CALL_COMMAND: OneWayCallCommandMessage,
    MessageType.SEND_SIGNAL_COMMAND: SendSignalCommandMessage,
    MessageType.RUN_COMMAND: RunCommandMessage,
    MessageType.ATTACH_INVOCATION_COMMAND: AttachInvocationCommandMessage,
    MessageType.GET_INVOCATION_OUTPUT_COMMAND: GetInvocationOutputCommandMessage,
    MessageType.COMPLETE_AWAKEABLE_COMMAND: CompleteAwakeableCommandMessage,
    MessageType.GET_LAZY_STATE_COMPLETION: GetLazyStateCompletionNotificationMessage,
    MessageType.GET_LAZY_STATE_KEYS_COMPLETION: GetLazyStateKeysCompletionNotificationMessage,
    MessageType.GET_PROMISE_COMPLETION: GetPromiseCompletionNotificationMessage,
    MessageType.PEEK_PROMISE_COMPLETION: PeekPromiseCompletionNotificationMessage,
    MessageType.COMPLETE_PROMISE_COMPLETION: CompletePromiseCompletionNotificationMessage,
    MessageType.SLEEP_COMPLETION: SleepCompletionNotificationMessage,
    MessageType.CALL_COMPLETION: CallCompletionNotificationMessage,
    MessageType.CALL_INVOCATION_ID_COMPLETION: CallInvocationIdCompletionNotificationMessage,
    MessageType.RUN_COMPLETION: RunCompletionNotificationMessage,
    MessageType.ATTACH_INVOCATION_COMPLETION: AttachInvocationCompletionNotificationMessage,
    MessageType.GET_INVOCATION_OUTPUT_COMPLETION: GetInvocationOutputCompletionNotificationMessage,
    MessageType.SIGNAL_NOTIFICATION: SignalNotificationMessage,
    MessageType.STEP_METADATA: StepMetadataMessage,
}
"""Frame type to message class; SUSPENSION is the version 7 body."""

TYPE_OF_MESSAGE: dict[type[Message], MessageType] = {
    message: MessageType(type_) for type_, message in MESSAGE_TYPES.items()
} | {SuspensionMessageV6: MessageType.SUSPENSION}
"""Message class to its frame type."""


def decode(type_: int, body: bytes, version: int = 7) -> Message:
    """Reads the body of a frame.

    Args:
        version: the negotiated protocol version; it decides the body of a suspension.
    Raises:
        UnknownMessageType: no such frame type.
        ProtocolError: the body is not that message.
    """
    message = MESSAGE_TYPES.get(type_)
    if message is None:
        raise UnknownMessageType(f"frame type 0x{type_:04x} is not part of this protocol; is the peer newer?")
    if type_ == MessageType.SUSPENSION and version < 7:
        return SuspensionMessageV6.decode(body)
    return message.decode(body)


def frame(message: Message, flags: int = 0) -> bytes:
    """The message as one frame, its type taken from its class."""
    return encode_frame(TYPE_OF_MESSAGE[type(message)], message.encode(), flags)


__all__ = [
    "FUTURE_DEPTH_MAX",
    "MESSAGE_TYPES",
    "TYPE_OF_MESSAGE",
    "VOID",
    "AttachInvocationCommandMessage",
    "AttachInvocationCompletionNotificationMessage",
    "AwaitingOnMessage",
    "CallCommandMessage",
    "CallCompletionNotificationMessage",
    "CallInvocationIdCompletionNotificationMessage",
    "ClearAllStateCommandMessage",
    "ClearStateCommandMessage",
    "CombinatorType",
    "CommandAckMessage",
    "CompleteAwakeableCommandMessage",
    "CompletePromiseCommandMessage",
    "CompletePromiseCompletionNotificationMessage",
    "EndMessage",
    "ErrorBehavior",
    "ErrorMessage",
    "Failure",
    "Future",
    "GetEagerStateCommandMessage",
    "GetEagerStateKeysCommandMessage",
    "GetInvocationOutputCommandMessage",
    "GetInvocationOutputCompletionNotificationMessage",
    "GetLazyStateCommandMessage",
    "GetLazyStateCompletionNotificationMessage",
    "GetLazyStateKeysCommandMessage",
    "GetLazyStateKeysCompletionNotificationMessage",
    "GetPromiseCommandMessage",
    "GetPromiseCompletionNotificationMessage",
    "IdempotentRequestTarget",
    "InputCommandMessage",
    "InvocationIdResult",
    "InvocationTarget",
    "Message",
    "MessageType",
    "NotificationTemplate",
    "OneWayCallCommandMessage",
    "OutputCommandMessage",
    "Pairs",
    "PeekPromiseCommandMessage",
    "PeekPromiseCompletionNotificationMessage",
    "ProposeRunCompletionAckMessage",
    "ProposeRunCompletionMessage",
    "Result",
    "RunCommandMessage",
    "RunCompletionNotificationMessage",
    "SendSignalCommandMessage",
    "SetStateCommandMessage",
    "SignalNotificationMessage",
    "SleepCommandMessage",
    "SleepCompletionNotificationMessage",
    "StartMessage",
    "StateKeys",
    "StepMetadataMessage",
    "SuspensionMessage",
    "SuspensionMessageV6",
    "Value",
    "Void",
    "WorkflowTarget",
    "decode",
    "frame",
]
