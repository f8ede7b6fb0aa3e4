"""Commands on the journal's edges and on what belongs to a key: input, output, state, promises.

Attributes have the wire's names (protocol, "Commands and notifications"). `name` is the optional label that
takes part in replay checks; `result_completion_id` is the id the answering notification will carry. A oneof
nobody set reads as None.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from holdfast.protocol.results import (
    Failure,
    Pairs,
    StateKeys,
    Value,
    ValueOrFailure,
    Void,
    VoidOrValue,
    put_pairs,
    put_result,
    read_pairs,
)
from holdfast.protocol.wire import Fields, last_chunk, put_bytes, put_chunk, put_text, put_uint, varint

_OUTPUT: Mapping[int, Callable[[bytes], ValueOrFailure]] = {14: Value.decode, 15: Failure.decode}
_EAGER_STATE: Mapping[int, Callable[[bytes], VoidOrValue]] = {13: Void.decode, 14: Value.decode}
_PROMISE_COMPLETION: Mapping[int, Callable[[bytes], ValueOrFailure]] = {2: Value.decode, 3: Failure.decode}


@dataclass(slots=True)
class InputCommandMessage:
    """The invocation's input, always the first command; server to SDK.

    `headers` are (name, value) in order, names lower-cased by the server (protocol, "Input headers").
    """

    headers: Pairs = ()
    name: str = ""
    value: Value | None = None

    def encode(self) -> bytes:
        """The body."""
        return put_pairs(1, self.headers) + put_text(12, self.name) + put_result(self.value, value=14)

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Reads the body."""
        fields = Fields(body)
        value = fields.message(14)
        return cls(
            read_pairs(fields.chunks(1)), fields.text(12), None if value is None else Value.decode(value)
        )


def input_content(body: bytes) -> bytes:
    """The input's bytes, without looking into the headers before it: what nearly every attempt needs of an
    Input command. Empty when it carries none."""
    position, end = 0, len(body)
    while position + 1 < end and body[position] == 0x0A and body[position + 1] < 128:
        position += 2 + body[position + 1]
    if position < end and body[position] == 0x72 and (begin := last_chunk(body, position + 1)):
        return Value.decode(body[begin:]).content
    value = InputCommandMessage.decode(body).value
    return b"" if value is None else value.content


PAIRS_KEPT_MAX = 1024
PAIR_KEPT_BYTES_MAX = 256
_kept_pairs: dict[tuple[str, str], bytes] = {}
_SHORT_VALUES = [b"\x72" + (bytes((2 + n, 0x0A, n)) if n else b"\x00") for n in range(126)]
"""What stands before the content of an input of that many bytes."""


class InputHeaders(list[tuple[str, str]]):
    """Headers that many inputs share, encoded once. Nobody changes them."""

    __slots__ = ("encoded",)

    def __init__(self, headers: Sequence[tuple[str, str]]) -> None:
        super().__init__(headers)
        self.encoded = put_pairs(1, tuple(headers))


def encode_input(headers: Sequence[tuple[str, str]], content: bytes) -> bytes:
    """`InputCommandMessage(headers, value=Value(content)).encode()`, for the ingress: the same clients send
    the same headers again and again, so each pair's bytes are remembered. A quarter of the time."""
    out = headers.encoded if isinstance(headers, InputHeaders) else _encode_headers(headers)
    size = len(content)
    if size < len(_SHORT_VALUES):
        return b"".join((out, _SHORT_VALUES[size], content))
    length = varint(size)
    return b"".join((out, b"\x72", varint(1 + len(length) + size), b"\x0a", length, content))


def _encode_headers(headers: Sequence[tuple[str, str]]) -> bytes:
    out = b""
    kept = _kept_pairs
    for pair in headers:
        encoded = kept.get(pair)
        if encoded is None:
            encoded = put_pairs(1, (pair,))
            if len(encoded) <= PAIR_KEPT_BYTES_MAX:
                if len(kept) >= PAIRS_KEPT_MAX:
                    kept.clear()
                kept[pair] = encoded
        out += encoded
    return out


@dataclass(slots=True)
class OutputCommandMessage:
    """The invocation's result; the last one in the journal wins."""

    name: str = ""
    result: Value | Failure | None = None

    def encode(self) -> bytes:
        """The body."""
        return put_text(12, self.name) + put_result(self.result, value=14, failure=15)

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Reads the body."""
        # The usual output is 72 length and a Value.
        if body and body[0] == 0x72 and (begin := last_chunk(body, 1)):
            return cls("", Value.decode(body[begin:]))
        fields = Fields(body)
        return cls(fields.text(12), fields.one_of(_OUTPUT))


@dataclass(slots=True)
class GetLazyStateCommandMessage:
    """Read one key of the state from the server."""

    key: bytes = b""
    result_completion_id: int = 0
    name: str = ""

    def encode(self) -> bytes:
        """The body."""
        return put_bytes(1, self.key) + put_uint(11, self.result_completion_id) + put_text(12, self.name)

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Reads the body."""
        fields = Fields(body)
        return cls(fields.bytes_(1), fields.uint32(11), fields.text(12))


@dataclass(slots=True)
class SetStateCommandMessage:
    """Set one key of the state; an empty value is present."""

    key: bytes = b""
    value: Value | None = None
    name: str = ""

    def encode(self) -> bytes:
        """The body."""
        return put_bytes(1, self.key) + put_result(self.value, value=3) + put_text(12, self.name)

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Reads the body."""
        fields = Fields(body)
        value = fields.message(3)
        return cls(fields.bytes_(1), None if value is None else Value.decode(value), fields.text(12))


@dataclass(slots=True)
class ClearStateCommandMessage:
    """Remove one key of the state."""

    key: bytes = b""
    name: str = ""

    def encode(self) -> bytes:
        """The body."""
        return put_bytes(1, self.key) + put_text(12, self.name)

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Reads the body."""
        fields = Fields(body)
        return cls(fields.bytes_(1), fields.text(12))


@dataclass(slots=True)
class ClearAllStateCommandMessage:
    """Remove every key of the state."""

    name: str = ""

    def encode(self) -> bytes:
        """The body."""
        return put_text(12, self.name)

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Reads the body."""
        return cls(Fields(body).text(12))


@dataclass(slots=True)
class GetLazyStateKeysCommandMessage:
    """List the keys of the state from the server."""

    result_completion_id: int = 0
    name: str = ""

    def encode(self) -> bytes:
        """The body."""
        return put_uint(11, self.result_completion_id) + put_text(12, self.name)

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Reads the body."""
        fields = Fields(body)
        return cls(fields.uint32(11), fields.text(12))


@dataclass(slots=True)
class GetEagerStateCommandMessage:
    """A read answered from the state in Start; the answer is inside, so that replay repeats it."""

    key: bytes = b""
    name: str = ""
    result: Void | Value | None = None

    def encode(self) -> bytes:
        """The body."""
        return put_bytes(1, self.key) + put_text(12, self.name) + put_result(self.result, void=13, value=14)

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Reads the body."""
        fields = Fields(body)
        return cls(fields.bytes_(1), fields.text(12), fields.one_of(_EAGER_STATE))


@dataclass(slots=True)
class GetEagerStateKeysCommandMessage:
    """A listing answered from the state in Start; the answer is inside."""

    name: str = ""
    value: StateKeys | None = None

    def encode(self) -> bytes:
        """The body."""
        name = put_text(12, self.name)
        return name if self.value is None else name + put_chunk(14, self.value.encode())

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Reads the body."""
        fields = Fields(body)
        value = fields.message(14)
        return cls(fields.text(12), None if value is None else StateKeys.decode(value))


@dataclass(slots=True)
class GetPromiseCommandMessage:
    """Wait for a durable promise of this workflow."""

    key: str = ""
    result_completion_id: int = 0
    name: str = ""

    def encode(self) -> bytes:
        """The body."""
        return put_text(1, self.key) + put_uint(11, self.result_completion_id) + put_text(12, self.name)

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Reads the body."""
        fields = Fields(body)
        return cls(fields.text(1), fields.uint32(11), fields.text(12))


@dataclass(slots=True)
class PeekPromiseCommandMessage:
    """Look at a durable promise without waiting."""

    key: str = ""
    result_completion_id: int = 0
    name: str = ""

    def encode(self) -> bytes:
        """The body."""
        return put_text(1, self.key) + put_uint(11, self.result_completion_id) + put_text(12, self.name)

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Reads the body."""
        fields = Fields(body)
        return cls(fields.text(1), fields.uint32(11), fields.text(12))


@dataclass(slots=True)
class CompletePromiseCommandMessage:
    """Resolve or reject a durable promise of this workflow."""

    key: str = ""
    completion: Value | Failure | None = None
    result_completion_id: int = 0
    name: str = ""

    def encode(self) -> bytes:
        """The body."""
        return (
            put_text(1, self.key)
            + put_result(self.completion, value=2, failure=3)
            + put_uint(11, self.result_completion_id)
            + put_text(12, self.name)
        )

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Reads the body."""
        fields = Fields(body)
        completion = fields.one_of(_PROMISE_COMPLETION)
        return cls(fields.text(1), completion, fields.uint32(11), fields.text(12))
