"""Results: what a command or a promise came to, as a closed union, and the small parts messages share.

Presence is meaning here. `Value(b"")` is success with zero bytes, `Void()` is success with nothing (or "not
yet", or "no such state"), and a missing result is neither: it is None in the messages and usually the
sender's error.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Self, TypeAlias

from holdfast.protocol.wire import Fields, last_chunk, put_chunk, put_diagnostic, put_text, put_uint, text


@dataclass(slots=True, frozen=True)
class Void:
    """Nothing, said explicitly."""

    def encode(self) -> bytes:
        """Always empty."""
        return b""

    @staticmethod
    def decode(body: bytes) -> "Void":
        """Checks that the body is well-formed and ignores what newer peers may put in it."""
        if body:
            Fields(body)
        return VOID


VOID = Void()


@dataclass(slots=True, frozen=True)
class Value:
    """Success. `content` is opaque; only the two user sides know its format."""

    content: bytes

    def encode(self) -> bytes:
        """The body of a Value message."""
        return put_chunk(1, self.content) if self.content else b""

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Reads a Value message (protocol, "Shared nested messages")."""
        if body and body[0] == 0x0A and (begin := last_chunk(body, 1)):
            return cls(body[begin:])
        return cls(Fields(body).bytes_(1))


@dataclass(slots=True, frozen=True)
class Failure:
    """A terminal failure: never retried, travels to whoever waits.

    Attributes:
        code: like an HTTP status; 500 is the default, 409 stands for cancelled and killed.
        metadata: pairs in the sender's order; version 6 and newer only.
    """

    code: int
    message: str
    metadata: tuple[tuple[str, str], ...] = ()

    def encode(self) -> bytes:
        """The body of a Failure message."""
        return put_uint(1, self.code) + put_diagnostic(2, self.message) + put_pairs(3, self.metadata)

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Reads a Failure message (protocol, "Shared nested messages")."""
        fields = Fields(body)
        return cls(fields.uint32(1), fields.text(2), read_pairs(fields.chunks(3)))


@dataclass(slots=True, frozen=True)
class InvocationIdResult:
    """The id of the invocation a call started, printable form."""

    invocation_id: str


@dataclass(slots=True, frozen=True)
class StateKeys:
    """The keys of an object's state, raw bytes (UTF-8 by convention), in the server's order."""

    keys: tuple[bytes, ...] = ()

    def encode(self) -> bytes:
        """The body of a StateKeys message."""
        return b"".join([put_chunk(1, key) for key in self.keys])

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Reads a StateKeys message."""
        return cls(tuple(Fields(body).chunks(1)))


Result: TypeAlias = Void | Value | Failure | InvocationIdResult | StateKeys

Pairs: TypeAlias = tuple[tuple[str, str], ...]
"""Headers or metadata: (key, value), order kept, keys may repeat."""


def put_pairs(number: int, pairs: Pairs) -> bytes:
    """A repeated {1 key, 2 value} field; order and duplicates are kept."""
    out = b""
    for key, value in pairs:
        pair = put_text(1, key) + put_text(2, value)
        out += put_chunk(number, pair)
    return out


def read_pairs(chunks: list[bytes]) -> Pairs:
    """The pairs of a repeated {1 key, 2 value} field."""
    return tuple([_read_pair(chunk) for chunk in chunks])


def _read_pair(chunk: bytes) -> tuple[str, str]:
    # The usual pair is 0a k key 12 v value, with a short key.
    stop = 2 + chunk[1] if len(chunk) > 4 and chunk[0] == 0x0A and chunk[1] < 128 else 0
    if 0 < stop < len(chunk) and chunk[stop] == 0x12 and (begin := last_chunk(chunk, stop + 1)):
        return text(chunk[2:stop]), text(chunk[begin:])
    pair = Fields(chunk)
    return pair.text(1), pair.text(2)


def put_result(
    result: Void | Value | Failure | None, *, void: int = 0, value: int = 0, failure: int = 0
) -> bytes:
    """A result oneof, each member at its own field number; nothing when the result is None.

    Raises:
        ValueError: the message has no member for this kind of result (its number is 0).
    """
    if result is None:
        return b""
    if isinstance(result, Value):
        number, body = value, result.encode()
    elif isinstance(result, Failure):
        number, body = failure, result.encode()
    else:
        number, body = void, b""
    if not number:
        raise ValueError(f"this message cannot carry a {type(result).__name__}")
    return put_chunk(number, body)


ValueOrFailure: TypeAlias = Value | Failure
VoidOrValue: TypeAlias = Void | Value
VoidOrFailure: TypeAlias = Void | Failure
VoidValueOrFailure: TypeAlias = Void | Value | Failure

# The members of a result oneof in notifications: 4 void, 5 value, 6 failure (protocol, "Commands,
# notifications").
VALUE_5_FAILURE_6: Mapping[int, Callable[[bytes], ValueOrFailure]] = {5: Value.decode, 6: Failure.decode}
VOID_4_VALUE_5: Mapping[int, Callable[[bytes], VoidOrValue]] = {4: Void.decode, 5: Value.decode}
VOID_4_FAILURE_6: Mapping[int, Callable[[bytes], VoidOrFailure]] = {4: Void.decode, 6: Failure.decode}
VOID_4_VALUE_5_FAILURE_6: Mapping[int, Callable[[bytes], VoidValueOrFailure]] = {
    4: Void.decode,
    5: Value.decode,
    6: Failure.decode,
}
