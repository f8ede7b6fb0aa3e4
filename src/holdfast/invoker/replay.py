"""What the server sends to open an attempt: Start, then the journal (protocol, "Attempt, step by step")."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from holdfast.core.model import Invocation, TargetKind
from holdfast.protocol.framing import MessageType, encode_frame, pack_header
from holdfast.protocol.messages import StartMessage
from holdfast.protocol.wire import varint

# Plain numbers: an enum's `value` is a call.
_START = MessageType.START.value
_SERVICE: Final = TargetKind.SERVICE
_PARTIAL_SEED = b"\x28\x01\x48"
_PLAIN_START_BYTES = 70
"""A plain Start without its two numbers: id, printable id, their tags and lengths, partial state."""


def opening(
    invocation: Invocation,
    id_text: str,
    frames: Sequence[tuple[int, bytes]],
    state: Mapping[bytes, bytes] | None,
    state_bytes_max: int,
    now: int,
    version: int,
) -> bytes:
    """The bytes of Start and the replay.

    Args:
        frames: (type, body) of the whole journal, in order.
        state: the object's state to send along; None for none (lazy state, plain services).
        state_bytes_max: how much of it is sent; the rest is fetched by the handler key by key.
    """
    entries, partial = _eager_state(state, state_bytes_max)
    retries = invocation.retry_count
    start = StartMessage(
        invocation.id,
        id_text,
        len(frames),
        entries,
        partial,
        invocation.target.key or "",
        retries,
        max(now - invocation.progress_at, 0) if retries else 0,
        int.from_bytes(invocation.id[16:24], "big"),
    )
    if version >= 7:
        start.idempotency_key = invocation.idempotency_key
    parts = [encode_frame(MessageType.START, start.encode())]
    parts += [encode_frame(type_, body) for type_, body in frames]
    return b"".join(parts)


def plain_opening(invocation: Invocation, id_text: str, frames: Sequence[tuple[int, bytes]]) -> bytes | None:
    """What `opening` gives for an attempt of a plain service's invocation without idempotency key whose last
    attempt did not fail, and None for anything else.

    Most attempts are of this kind, and most fields of their Start are absent: half the time of the general
    way.
    """
    seed = int.from_bytes(invocation.id[16:24], "big")
    if (
        invocation.target.key is not None
        or invocation.idempotency_key is not None
        or invocation.target.kind is not _SERVICE
        or invocation.retry_count
        or not seed
    ):
        return None
    known, random = varint(len(frames)), varint(seed)
    parts = [
        pack_header(_START, 0, _PLAIN_START_BYTES + len(known) + len(random)),
        b"\n\x18",
        invocation.id,
        b"\x12\x26",
        id_text.encode(),
        b"\x18",
        known,
        _PARTIAL_SEED,
        random,
    ]
    for type_, body in frames:
        parts += (pack_header(type_, 0, len(body)), body)
    return b"".join(parts)


def _eager_state(
    state: Mapping[bytes, bytes] | None, bytes_max: int
) -> tuple[tuple[tuple[bytes, bytes], ...], bool]:
    """(entries, partial): partial when keys that are not sent may exist."""
    if state is None:
        return (), True
    entries: list[tuple[bytes, bytes]] = []
    size = 0
    for key in sorted(state):
        value = state[key]
        size += len(key) + len(value)
        if size > bytes_max:
            return tuple(entries), True
        entries.append((key, value))
    return tuple(entries), False


def has_state(kind: TargetKind) -> bool:
    """Whether invocations of this kind see an object's state."""
    return kind is not _SERVICE
