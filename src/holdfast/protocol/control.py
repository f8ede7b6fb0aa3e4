"""Control messages: the start and the end of an attempt, run proposals, what is awaited.

Field meanings are in protocol, "Control messages"; attributes have the wire's names. Times and durations are
milliseconds. The ones that every invocation or every step sends have a short way in for the field order that
SDKs use, and fall back to the general reader for any other.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Self

from holdfast.protocol.futures import Future, decode_future
from holdfast.protocol.results import Failure, Value, ValueOrFailure, put_result
from holdfast.protocol.wire import (
    U32_MAX,
    Fields,
    last_chunk,
    put_bytes,
    put_chunk,
    put_diagnostic,
    put_optional_text,
    put_optional_uint,
    put_packed,
    put_text,
    put_uint,
    text,
    varint,
)


class ErrorBehavior(IntEnum):
    """What the SDK asks for after a failed attempt (version 7; older ones always mean RETRY)."""

    RETRY = 0
    PAUSE = 1
    FAIL = 2


_BEHAVIORS = tuple(ErrorBehavior)
_PROPOSAL: Mapping[int, Callable[[bytes], ValueOrFailure]] = {14: Value, 15: Failure.decode}


@dataclass(slots=True)
class StartMessage:
    """First frame of every attempt, server to SDK (protocol, "Start").

    Attributes:
        id: 24 raw bytes of the invocation id.
        debug_id: the printable id.
        known_entries: replayed frames that follow, at least 1 (the input).
        state_map: eager state as (key, value); an empty value is present.
        partial_state: True when keys absent from the map are unknown rather than unset.
        duration_since_last_stored_entry: ms.
        random_seed: u64, stable per invocation; read from version 6.
        scope, limit_key, idempotency_key: version 7 only.
    """

    id: bytes = b""
    debug_id: str = ""
    known_entries: int = 0
    state_map: tuple[tuple[bytes, bytes], ...] = ()
    partial_state: bool = False
    key: str = ""
    retry_count_since_last_stored_entry: int = 0
    duration_since_last_stored_entry: int = 0
    random_seed: int = 0
    scope: str | None = None
    limit_key: str | None = None
    idempotency_key: str | None = None

    def encode(self) -> bytes:
        """The body; fields in number order."""
        # Once per attempt, and most fields are unset: asking here is quicker than twelve calls.
        debug_id = self.debug_id.encode()
        out = b"\n" + varint(len(self.id)) + self.id if self.id else b""
        if debug_id:
            out += b"\x12" + varint(len(debug_id)) + debug_id
        if self.known_entries:
            out += b"\x18" + varint(self.known_entries)
        if self.state_map:
            out += b"".join(
                [put_chunk(4, put_bytes(1, key) + put_bytes(2, value)) for key, value in self.state_map]
            )
        if self.partial_state:
            out += b"\x28\x01"
        if self.key:
            out += put_text(6, self.key)
        if self.retry_count_since_last_stored_entry:
            out += b"\x38" + varint(self.retry_count_since_last_stored_entry)
        if self.duration_since_last_stored_entry:
            out += b"\x40" + varint(self.duration_since_last_stored_entry)
        if self.random_seed:
            out += b"\x48" + varint(self.random_seed)
        if self.scope is not None:
            out += put_optional_text(10, self.scope)
        if self.limit_key is not None:
            out += put_optional_text(11, self.limit_key)
        if self.idempotency_key is not None:
            out += put_optional_text(12, self.idempotency_key)
        return out

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Reads the body."""
        fields = Fields(body)
        numbers, chunks = fields.last_numbers.get, fields.last_chunks.get
        state, key = chunks(0x22), chunks(0x32)
        version_7 = 0x52 in fields.last_chunks or 0x5A in fields.last_chunks or 0x62 in fields.last_chunks
        return cls(
            chunks(0x0A, b""),
            text(chunks(0x12, b"")),
            numbers(0x18, 0) & U32_MAX,
            () if state is None else _state(fields.chunks(4)),
            numbers(0x28, 0) != 0,
            "" if key is None else text(key),
            numbers(0x38, 0) & U32_MAX,
            numbers(0x40, 0),
            numbers(0x48, 0),
            fields.optional_text(10) if version_7 else None,
            fields.optional_text(11) if version_7 else None,
            fields.optional_text(12) if version_7 else None,
        )


def _state(chunks: list[bytes]) -> tuple[tuple[bytes, bytes], ...]:
    entries = map(Fields, chunks)
    return tuple([(entry.bytes_(1), entry.bytes_(2)) for entry in entries])


@dataclass(slots=True)
class SuspensionMessage:
    """The attempt cannot go on until the tree is done; version 7 body (protocol, "Suspension")."""

    awaiting_on: Future | None = None

    def encode(self) -> bytes:
        """The body."""
        return b"" if self.awaiting_on is None else put_chunk(4, self.awaiting_on.encode())

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Reads the body. Raises `AwaitTreeTooDeep` too."""
        if body and body[0] == 0x22 and (begin := last_chunk(body, 1)):
            return cls(decode_future(body, begin, len(body)))
        tree = Fields(body).message(4)
        return cls(None if tree is None else Future.decode(tree))


@dataclass(slots=True)
class SuspensionMessageV6:
    """The attempt cannot go on until any of these arrives; version 5 and 6 body."""

    waiting_completions: tuple[int, ...] = ()
    waiting_signals: tuple[int, ...] = ()
    waiting_named_signals: tuple[str, ...] = ()

    def encode(self) -> bytes:
        """The body, number lists packed."""
        names = [put_chunk(3, name.encode()) for name in self.waiting_named_signals]
        return put_packed(1, self.waiting_completions) + put_packed(2, self.waiting_signals) + b"".join(names)

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Reads the body; number lists packed or not."""
        fields = Fields(body)
        return cls(fields.uint32s(1), fields.uint32s(2), fields.texts(3))


@dataclass(slots=True)
class ErrorMessage:
    """The attempt failed for now (protocol, "Error 0x0002").

    Attributes:
        related_command_index: position among commands, the input being 0.
        next_retry_delay: ms, for the next attempt only.
    """

    code: int = 0
    message: str = ""
    stacktrace: str = ""
    related_command_index: int | None = None
    related_command_name: str | None = None
    related_command_type: int | None = None
    next_retry_delay: int | None = None
    behavior: ErrorBehavior = ErrorBehavior.RETRY

    def encode(self) -> bytes:
        """The body; what is not Unicode in message and stacktrace is replaced."""
        return (
            put_uint(1, self.code)
            + put_diagnostic(2, self.message)
            + put_diagnostic(3, self.stacktrace)
            + put_optional_uint(4, self.related_command_index)
            + put_optional_text(5, self.related_command_name)
            + put_optional_uint(6, self.related_command_type)
            + put_optional_uint(8, self.next_retry_delay)
            + put_uint(9, self.behavior)
        )

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Reads the body; an unfamiliar behaviour reads as RETRY."""
        fields = Fields(body)
        behavior = fields.uint32(9)
        return cls(
            fields.uint32(1),
            fields.text(2),
            fields.text(3),
            fields.optional_uint32(4),
            fields.optional_text(5),
            fields.optional_uint32(6),
            fields.optional_uint64(8),
            _BEHAVIORS[behavior] if behavior < len(_BEHAVIORS) else ErrorBehavior.RETRY,
        )


@dataclass(slots=True)
class EndMessage:
    """The attempt finished; the last output in the journal is the result."""

    def encode(self) -> bytes:
        """Always empty."""
        return b""

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Checks that the body is well-formed."""
        if body:
            Fields(body)
        return cls()


@dataclass(slots=True)
class CommandAckMessage:
    """A command is stored. Never send it to official SDKs: they fail on it."""

    command_index: int = 0

    def encode(self) -> bytes:
        """The body."""
        return put_uint(1, self.command_index)

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Reads the body."""
        return cls(Fields(body).uint32(1))


@dataclass(slots=True)
class ProposeRunCompletionMessage:
    """What a run came to, asking the server to make it durable (protocol, "Durable runs").

    `Value` stands for the raw bytes of the success member, which on the wire is not wrapped in a Value
    message.
    """

    result_completion_id: int = 0
    result: Value | Failure | None = None

    def encode(self) -> bytes:
        """The body."""
        head = put_uint(1, self.result_completion_id)
        match self.result:
            case Value(content):
                return head + put_chunk(14, content)
            case failure:
                return head + put_result(failure, failure=15)

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Reads the body."""
        # The usual proposal is 08 id 72 length content.
        usual = len(body) > 3 and body[0] == 0x08 and body[1] < 128 and body[2] == 0x72
        if usual and (begin := last_chunk(body, 3)):
            return cls(body[1], Value(body[begin:]))
        fields = Fields(body)
        return cls(fields.uint32(1), fields.one_of(_PROPOSAL, scalars=(14,)))


@dataclass(slots=True)
class AwaitingOnMessage:
    """What the handler is blocked on right now: a hint for display, never stored (version 7)."""

    awaiting_on: Future | None = None
    executing_side_effects: bool = False

    def encode(self) -> bytes:
        """The body."""
        tree = b"" if self.awaiting_on is None else put_chunk(1, self.awaiting_on.encode())
        return tree + put_uint(2, self.executing_side_effects)

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Reads the body. Raises `AwaitTreeTooDeep` too."""
        if body and body[0] == 0x0A and (begin := last_chunk(body, 1)):
            return cls(decode_future(body, begin, len(body)))
        fields = Fields(body)
        tree = fields.message(1)
        return cls(None if tree is None else Future.decode(tree), fields.boolean(2))


@dataclass(slots=True)
class ProposeRunCompletionAckMessage:
    """A proposed run is durable with the value the SDK sent, at this place in the journal (version 7)."""

    completion_id: int = 0

    def encode(self) -> bytes:
        """The body."""
        return b"\x08" + varint(self.completion_id) if self.completion_id else b""

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Reads the body."""
        return cls(Fields(body).uint32(1))
