"""Notifications: what came back for a command, and signals. Server to SDK only.

Every one can be read as `NotificationTemplate`, which is how SDKs do it: they match by id and ignore the
frame type. The classes per frame type exist for the server, which must only write results the type allows. A
result of None means the member was missing on the wire, which no correct peer produces.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Self

from holdfast.protocol.results import (
    VALUE_5_FAILURE_6,
    VOID,
    VOID_4_FAILURE_6,
    VOID_4_VALUE_5,
    VOID_4_VALUE_5_FAILURE_6,
    Failure,
    InvocationIdResult,
    Result,
    StateKeys,
    Value,
    Void,
    put_result,
)
from holdfast.protocol.wire import (
    Fields,
    last_chunk,
    put_chunk,
    put_optional_text,
    put_optional_uint,
    put_text,
    put_uint,
    text,
    varint,
)

_ANY_RESULT: Mapping[int, Callable[[bytes], Result]] = {
    4: Void.decode,
    5: Value.decode,
    6: Failure.decode,
    16: lambda body: InvocationIdResult(text(body)),
    17: StateKeys.decode,
}


@dataclass(slots=True)
class NotificationTemplate:
    """Any notification: at most one of the three ids, and the result (protocol, "Commands and
    notifications")."""

    completion_id: int | None = None
    signal_id: int | None = None
    signal_name: str | None = None
    result: Result | None = None

    def encode(self) -> bytes:
        """The body; results at the numbers every notification type uses."""
        head = (
            put_optional_uint(1, self.completion_id)
            + put_optional_uint(2, self.signal_id)
            + put_optional_text(3, self.signal_name)
        )
        match self.result:
            case InvocationIdResult(invocation_id):
                return head + put_chunk(16, invocation_id.encode())
            case StateKeys() as state_keys:
                return head + put_chunk(17, state_keys.encode())
            case result:
                return head + put_result(result, void=4, value=5, failure=6)

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Reads the body of any notification."""
        # The usual ones are 08 completion or 10 signal, then 2a length and a Value, or 22 00 for void.
        if len(body) > 3 and body[1] < 128:
            head, id_, result_tag = body[0], body[1], body[2]
            short: Result | None = None
            if result_tag == 0x2A and (begin := last_chunk(body, 3)):
                short = Value.decode(body[begin:])
            elif result_tag == 0x22 and body[3:] == b"\0":
                short = VOID
            if short is not None and head == 0x08:
                return cls(id_, None, None, short)
            if short is not None and head == 0x10:
                return cls(None, id_, None, short)
        fields = Fields(body)
        result = fields.one_of(_ANY_RESULT, scalars=(16,))
        match fields.last_of(1 << 3, 2 << 3, 3 << 3 | 2):
            case 0x08:
                return cls(fields.uint32(1), None, None, result)
            case 0x10:
                return cls(None, fields.uint32(2), None, result)
            case 0x1A:
                return cls(None, None, fields.text(3), result)
            case _:
                return cls(None, None, None, result)


@dataclass(slots=True)
class _ValueOrFailure:
    """The shape of a completion with value or failure."""

    completion_id: int = 0
    result: Value | Failure | None = None

    def encode(self) -> bytes:
        """The body."""
        head = b"\x08" + varint(self.completion_id) if self.completion_id else b""
        if isinstance(self.result, Value) and (content := self.result.content):
            # A Value is one chunk inside another: two lengths in a row.
            size = varint(len(content))
            return head + b"\x2a" + varint(len(content) + len(size) + 1) + b"\n" + size + content
        return head + put_result(self.result, value=5, failure=6)

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Reads the body."""
        fields = Fields(body)
        return cls(fields.uint32(1), fields.one_of(VALUE_5_FAILURE_6))


@dataclass(slots=True)
class _VoidOrValue:
    """The shape of a completion with void or value."""

    completion_id: int = 0
    result: Void | Value | None = None

    def encode(self) -> bytes:
        """The body."""
        return put_uint(1, self.completion_id) + put_result(self.result, void=4, value=5)

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Reads the body."""
        fields = Fields(body)
        return cls(fields.uint32(1), fields.one_of(VOID_4_VALUE_5))


@dataclass(slots=True)
class _VoidOrFailure:
    """The shape of a completion with void or failure."""

    completion_id: int = 0
    result: Void | Failure | None = None

    def encode(self) -> bytes:
        """The body."""
        return put_uint(1, self.completion_id) + put_result(self.result, void=4, failure=6)

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Reads the body."""
        fields = Fields(body)
        return cls(fields.uint32(1), fields.one_of(VOID_4_FAILURE_6))


@dataclass(slots=True)
class _VoidValueOrFailure:
    """The shape of a completion with void, value or failure."""

    completion_id: int = 0
    result: Void | Value | Failure | None = None

    def encode(self) -> bytes:
        """The body."""
        return put_uint(1, self.completion_id) + put_result(self.result, void=4, value=5, failure=6)

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Reads the body."""
        fields = Fields(body)
        return cls(fields.uint32(1), fields.one_of(VOID_4_VALUE_5_FAILURE_6))


class GetLazyStateCompletionNotificationMessage(_VoidOrValue):
    """State of one key: void when there is none."""

    __slots__ = ()


class GetPromiseCompletionNotificationMessage(_ValueOrFailure):
    """The promise is resolved or rejected."""

    __slots__ = ()


class PeekPromiseCompletionNotificationMessage(_VoidValueOrFailure):
    """The promise as it is now: void while it is open."""

    __slots__ = ()


class CompletePromiseCompletionNotificationMessage(_VoidOrFailure):
    """Void when this command resolved the promise, failure 409 when it was resolved before."""

    __slots__ = ()


class CallCompletionNotificationMessage(_ValueOrFailure):
    """The callee ended."""

    __slots__ = ()


class RunCompletionNotificationMessage(_ValueOrFailure):
    """A run's result is durable."""

    __slots__ = ()


class AttachInvocationCompletionNotificationMessage(_ValueOrFailure):
    """The attached invocation ended; failure 404 when it is unknown."""

    __slots__ = ()


class GetInvocationOutputCompletionNotificationMessage(_VoidValueOrFailure):
    """Its output as it is now: void while it runs, failure 404 when it is unknown."""

    __slots__ = ()


@dataclass(slots=True)
class GetLazyStateKeysCompletionNotificationMessage:
    """The keys of the object's state."""

    completion_id: int = 0
    state_keys: StateKeys | None = None

    def encode(self) -> bytes:
        """The body."""
        head = put_uint(1, self.completion_id)
        return head if self.state_keys is None else head + put_chunk(17, self.state_keys.encode())

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Reads the body."""
        fields = Fields(body)
        keys = fields.message(17)
        return cls(fields.uint32(1), None if keys is None else StateKeys.decode(keys))


@dataclass(slots=True)
class SleepCompletionNotificationMessage:
    """The timer fired."""

    completion_id: int = 0
    result: Void | None = VOID

    def encode(self) -> bytes:
        """The body."""
        return put_uint(1, self.completion_id) + put_result(self.result, void=4)

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Reads the body."""
        fields = Fields(body)
        result = fields.message(4)
        return cls(fields.uint32(1), None if result is None else Void.decode(result))


@dataclass(slots=True)
class CallInvocationIdCompletionNotificationMessage:
    """The id of the invocation that a call or one-way call started, printable."""

    completion_id: int = 0
    invocation_id: str = ""

    def encode(self) -> bytes:
        """The body."""
        return put_uint(1, self.completion_id) + put_text(16, self.invocation_id)

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Reads the body."""
        fields = Fields(body)
        return cls(fields.uint32(1), fields.text(16))


@dataclass(slots=True)
class SignalNotificationMessage:
    """A signal for this invocation: index 1 is cancel, 17 and up are awakeables, names are the user's.

    At most one of `idx` and `name` is set.
    """

    idx: int | None = None
    name: str | None = None
    result: Void | Value | Failure | None = None

    def encode(self) -> bytes:
        """The body."""
        head = put_optional_uint(2, self.idx) + put_optional_text(3, self.name)
        return head + put_result(self.result, void=4, value=5, failure=6)

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Reads the body."""
        fields = Fields(body)
        idx, name = read_signal_id(fields)
        return cls(idx, name, fields.one_of(VOID_4_VALUE_5_FAILURE_6))


def read_signal_id(fields: Fields) -> tuple[int | None, str | None]:
    """The oneof {2 idx, 3 name} that names a signal: (index, None), (None, name) or neither."""
    match fields.last_of(2 << 3, 3 << 3 | 2):
        case 0x10:
            return fields.uint32(2), None
        case 0x1A:
            return None, fields.text(3)
        case _:
            return None, None
