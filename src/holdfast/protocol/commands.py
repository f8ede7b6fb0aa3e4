"""Commands that reach beyond the invocation's own key: time, runs, calls, signals, other invocations.

Attributes have the wire's names (protocol, "Commands and notifications"). `name` is the optional label that
takes part in replay checks; `result_completion_id` is the id the answering notification will carry. Times are
epoch milliseconds. A oneof nobody set reads as None.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Self, TypeAlias

from holdfast.protocol.notifications import read_signal_id
from holdfast.protocol.results import (
    VOID_4_VALUE_5_FAILURE_6,
    Failure,
    Pairs,
    Value,
    ValueOrFailure,
    Void,
    put_pairs,
    put_result,
    read_pairs,
)
from holdfast.protocol.wire import (
    Fields,
    last_chunk,
    put_bytes,
    put_chunk,
    put_optional_text,
    put_optional_uint,
    put_text,
    put_uint,
    text,
)

_AWAKEABLE_RESULT: Mapping[int, Callable[[bytes], ValueOrFailure]] = {2: Value.decode, 3: Failure.decode}


@dataclass(slots=True)
class SleepCommandMessage:
    """Wake up at `wake_up_time`, epoch ms."""

    wake_up_time: int = 0
    result_completion_id: int = 0
    name: str = ""

    def encode(self) -> bytes:
        """The body."""
        return (
            put_uint(1, self.wake_up_time) + put_uint(11, self.result_completion_id) + put_text(12, self.name)
        )

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Reads the body."""
        fields = Fields(body)
        return cls(fields.uint64(1), fields.uint32(11), fields.text(12))


@dataclass(slots=True)
class RunCommandMessage:
    """A step runs in the SDK; its result follows as a proposal."""

    result_completion_id: int = 0
    name: str = ""

    def encode(self) -> bytes:
        """The body."""
        return put_uint(11, self.result_completion_id) + put_text(12, self.name)

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Reads the body."""
        # The usual run is 58 id 62 length name.
        usual = len(body) > 3 and body[0] == 0x58 and body[1] < 128 and body[2] == 0x62
        if usual and (begin := last_chunk(body, 3)):
            return cls(body[1], text(body[begin:]))
        fields = Fields(body)
        return cls(fields.uint32(11), fields.text(12))


@dataclass(slots=True)
class CallCommandMessage:
    """Call a handler and wait for its result.

    Two completions answer it: the callee's id (`invocation_id_notification_idx`), then its result. `key` is
    empty for plain services; `scope` and `limit_key` are version 7.
    """

    service_name: str = ""
    handler_name: str = ""
    parameter: bytes = b""
    headers: Pairs = ()
    key: str = ""
    idempotency_key: str | None = None
    scope: str | None = None
    limit_key: str | None = None
    invocation_id_notification_idx: int = 0
    result_completion_id: int = 0
    name: str = ""

    def encode(self) -> bytes:
        """The body."""
        return (
            put_text(1, self.service_name)
            + put_text(2, self.handler_name)
            + put_bytes(3, self.parameter)
            + put_pairs(4, self.headers)
            + put_text(5, self.key)
            + put_optional_text(6, self.idempotency_key)
            + put_optional_text(7, self.scope)
            + put_optional_text(8, self.limit_key)
            + put_uint(10, self.invocation_id_notification_idx)
            + put_uint(11, self.result_completion_id)
            + put_text(12, self.name)
        )

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Reads the body."""
        fields = Fields(body)
        return cls(
            fields.text(1),
            fields.text(2),
            fields.bytes_(3),
            read_pairs(fields.chunks(4)),
            fields.text(5),
            fields.optional_text(6),
            fields.optional_text(7),
            fields.optional_text(8),
            fields.uint32(10),
            fields.uint32(11),
            fields.text(12),
        )


@dataclass(slots=True)
class OneWayCallCommandMessage:
    """Start a handler without waiting, at `invoke_time` (epoch ms; 0 or past is now).

    One completion answers it: the callee's id.
    """

    service_name: str = ""
    handler_name: str = ""
    parameter: bytes = b""
    invoke_time: int = 0
    headers: Pairs = ()
    key: str = ""
    idempotency_key: str | None = None
    scope: str | None = None
    limit_key: str | None = None
    invocation_id_notification_idx: int = 0
    name: str = ""

    def encode(self) -> bytes:
        """The body."""
        return (
            put_text(1, self.service_name)
            + put_text(2, self.handler_name)
            + put_bytes(3, self.parameter)
            + put_uint(4, self.invoke_time)
            + put_pairs(5, self.headers)
            + put_text(6, self.key)
            + put_optional_text(7, self.idempotency_key)
            + put_optional_text(8, self.scope)
            + put_optional_text(9, self.limit_key)
            + put_uint(10, self.invocation_id_notification_idx)
            + put_text(12, self.name)
        )

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Reads the body."""
        fields = Fields(body)
        return cls(
            fields.text(1),
            fields.text(2),
            fields.bytes_(3),
            fields.uint64(4),
            read_pairs(fields.chunks(5)),
            fields.text(6),
            fields.optional_text(7),
            fields.optional_text(8),
            fields.optional_text(9),
            fields.uint32(10),
            fields.text(12),
        )


@dataclass(slots=True)
class SendSignalCommandMessage:
    """Deliver a signal to another invocation; index 1 is cancel. At most one of `idx` and `name` is set."""

    target_invocation_id: str = ""
    idx: int | None = None
    name: str | None = None
    result: Void | Value | Failure | None = None
    entry_name: str = ""

    def encode(self) -> bytes:
        """The body."""
        return (
            put_text(1, self.target_invocation_id)
            + put_optional_uint(2, self.idx)
            + put_optional_text(3, self.name)
            + put_result(self.result, void=4, value=5, failure=6)
            + put_text(12, self.entry_name)
        )

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Reads the body."""
        fields = Fields(body)
        idx, name = read_signal_id(fields)
        return cls(fields.text(1), idx, name, fields.one_of(VOID_4_VALUE_5_FAILURE_6), fields.text(12))


@dataclass(slots=True, frozen=True)
class WorkflowTarget:
    """A workflow run by its key; `scope` is version 7."""

    workflow_name: str = ""
    workflow_key: str = ""
    scope: str | None = None

    def encode(self) -> bytes:
        """The body."""
        return (
            put_text(1, self.workflow_name)
            + put_text(2, self.workflow_key)
            + put_optional_text(3, self.scope)
        )

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Reads the body."""
        fields = Fields(body)
        return cls(fields.text(1), fields.text(2), fields.optional_text(3))


@dataclass(slots=True, frozen=True)
class IdempotentRequestTarget:
    """An invocation by the idempotency key it was made with; `scope` is version 7."""

    service_name: str = ""
    service_key: str | None = None
    handler_name: str = ""
    idempotency_key: str = ""
    scope: str | None = None

    def encode(self) -> bytes:
        """The body."""
        return (
            put_text(1, self.service_name)
            + put_optional_text(2, self.service_key)
            + put_text(3, self.handler_name)
            + put_text(4, self.idempotency_key)
            + put_optional_text(5, self.scope)
        )

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Reads the body."""
        fields = Fields(body)
        return cls(
            fields.text(1), fields.optional_text(2), fields.text(3), fields.text(4), fields.optional_text(5)
        )


InvocationTarget: TypeAlias = str | IdempotentRequestTarget | WorkflowTarget
"""Another invocation: by printable id, by idempotency key, or as a workflow run."""

_TARGET: Mapping[int, Callable[[bytes], InvocationTarget]] = {
    1: text,
    3: IdempotentRequestTarget.decode,
    4: WorkflowTarget.decode,
}


def _put_target(target: InvocationTarget | None) -> bytes:
    match target:
        case None:
            return b""
        case str():
            return put_chunk(1, target.encode())
        case IdempotentRequestTarget():
            return put_chunk(3, target.encode())
        case WorkflowTarget():
            return put_chunk(4, target.encode())


@dataclass(slots=True)
class AttachInvocationCommandMessage:
    """Wait for the result of another invocation."""

    target: InvocationTarget | None = None
    result_completion_id: int = 0
    name: str = ""

    def encode(self) -> bytes:
        """The body."""
        return _put_target(self.target) + put_uint(11, self.result_completion_id) + put_text(12, self.name)

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Reads the body."""
        fields = Fields(body)
        return cls(fields.one_of(_TARGET, scalars=(1,)), fields.uint32(11), fields.text(12))


@dataclass(slots=True)
class GetInvocationOutputCommandMessage:
    """Look at the result of another invocation without waiting."""

    target: InvocationTarget | None = None
    result_completion_id: int = 0
    name: str = ""

    def encode(self) -> bytes:
        """The body."""
        return _put_target(self.target) + put_uint(11, self.result_completion_id) + put_text(12, self.name)

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Reads the body."""
        fields = Fields(body)
        return cls(fields.one_of(_TARGET, scalars=(1,)), fields.uint32(11), fields.text(12))


@dataclass(slots=True)
class CompleteAwakeableCommandMessage:
    """Resolve or reject an awakeable of any invocation."""

    awakeable_id: str = ""
    result: Value | Failure | None = None
    name: str = ""

    def encode(self) -> bytes:
        """The body."""
        return (
            put_text(1, self.awakeable_id)
            + put_result(self.result, value=2, failure=3)
            + put_text(12, self.name)
        )

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Reads the body."""
        fields = Fields(body)
        return cls(fields.text(1), fields.one_of(_AWAKEABLE_RESULT), fields.text(12))
