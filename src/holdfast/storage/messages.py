"""Messages between partitions as bytes: msgpack lists of plain values, the first one the kind."""

from __future__ import annotations

from typing import Any

import msgspec

from holdfast.core.commands import StartRequest
from holdfast.core.messages import (
    AskOutput,
    AttachTo,
    Complete,
    DeliverSignal,
    KillCallee,
    Message,
    StartInvocation,
)
from holdfast.core.model import (
    VOID,
    Failure,
    InvocationId,
    NotificationKind,
    NotificationResult,
    Origin,
    OriginKind,
    Retention,
    Row,
    StartedId,
    StateKeys,
    Success,
    Target,
    TargetKind,
    Void,
    Waiter,
)
from holdfast.storage.content import content_of

_START, _COMPLETE, _SIGNAL, _ATTACH, _ASK, _KILL = range(6)
_BIN_32 = b"\xc6"
_KNOWN_BY_BYTES = 64
_SUCCESS, _FAILURE, _VOID, _STARTED, _KEYS = range(5)


def encode_message(message: Message) -> bytes:
    """Bytes that `decode_message` reads back, in this version and later ones."""
    return msgspec.msgpack.encode(_pack(message))


def decode_message(data: bytes) -> Message:
    """The inverse of `encode_message`."""
    return _unpack(msgspec.msgpack.decode(data))


def content_in(message: Message, encoded: bytes) -> tuple[int, int]:
    """Where in its bytes the content lies that a message brings: what an input or a result holds elsewhere.
    All of it for one that brings nothing large."""
    match message:
        case StartInvocation(request, _):
            start, end = content_of(request.input_raw)
            raw = request.input_raw
        case Complete(_, _, _, Success(raw)) | DeliverSignal(_, _, Success(raw)):
            start, end = 0, len(raw)
        case _:
            return 0, len(encoded)
    # The content follows its length; a few bytes of it beside that are as good as all.
    at = encoded.find(_BIN_32 + len(raw).to_bytes(4, "big") + raw[:_KNOWN_BY_BYTES])
    if at < 0:
        return 0, len(encoded)
    at += 1 + 4
    return at + start, at + end


def _pack(message: Message) -> list[Any]:
    match message:
        case StartInvocation(r, waiter):
            return [
                _START,
                [
                    r.id, r.fresh, list(r.target[:3]), int(r.target.kind), r.input_raw,
                    r.retention.completion_ms, r.retention.journal_ms, r.idempotency_key, r.start_at,
                    int(r.origin.kind), r.origin.id, r.origin.target, r.scope, r.limit_key, r.trace_parent,
                ],
                _pack_waiter(waiter),
            ]  # fmt: skip
        case Complete(destination, kind, completion_id, result):
            return [_COMPLETE, destination, int(kind), completion_id, _pack_result(result)]
        case DeliverSignal(destination, signal, result):
            return [_SIGNAL, destination, signal, _pack_result(result)]
        case AttachTo(destination, waiter):
            return [_ATTACH, destination, _pack_waiter(waiter)]
        case AskOutput(destination, waiter):
            return [_ASK, destination, _pack_waiter(waiter)]
        case KillCallee(destination):
            return [_KILL, destination]


def _unpack(packed: list[Any]) -> Message:
    kind, *rest = packed
    if kind == _START:
        (
            id_, fresh, target, target_kind, input_raw, completion_ms, journal_ms, idempotency_key, start_at,
            origin_kind, origin_id, origin_target, scope, limit_key, trace_parent,
        ) = rest[0]  # fmt: skip
        request = StartRequest(
            InvocationId(id_),
            Row(0),
            fresh,
            Target(target[0], target[1], target[2], TargetKind(target_kind)),
            input_raw,
            Retention(completion_ms, journal_ms),
            idempotency_key,
            start_at,
            Origin(OriginKind(origin_kind), origin_id, origin_target),
            scope,
            limit_key,
            trace_parent,
        )
        return StartInvocation(request, None if rest[1] is None else _unpack_waiter(rest[1]))
    destination = InvocationId(rest[0])
    if kind == _COMPLETE:
        return Complete(destination, NotificationKind(rest[1]), rest[2], _unpack_result(rest[3]))
    if kind == _SIGNAL:
        result = _unpack_result(rest[2])
        if isinstance(result, Success | Failure | Void):
            return DeliverSignal(destination, rest[1], result)
    if kind == _ATTACH:
        return AttachTo(destination, _unpack_waiter(rest[1]))
    if kind == _ASK:
        return AskOutput(destination, _unpack_waiter(rest[1]))
    if kind == _KILL:
        return KillCallee(destination)
    raise ValueError(f"a stored message is of unknown kind {kind}")


def _pack_waiter(waiter: Waiter | None) -> list[Any] | None:
    return None if waiter is None else [waiter.id, waiter.completion_id, int(waiter.kind)]


def _unpack_waiter(packed: list[Any]) -> Waiter:
    return Waiter(InvocationId(packed[0]), packed[1], NotificationKind(packed[2]))


def _pack_result(result: NotificationResult) -> list[Any]:
    match result:
        case Success(value):
            return [_SUCCESS, value]
        case Failure(code, message, metadata):
            return [_FAILURE, code, message, metadata]
        case Void():
            return [_VOID]
        case StartedId(text):
            return [_STARTED, text]
        case StateKeys(keys):
            return [_KEYS, keys]


def _unpack_result(packed: list[Any]) -> NotificationResult:
    kind, *rest = packed
    if kind == _SUCCESS:
        return Success(rest[0])
    if kind == _FAILURE:
        return Failure(rest[0], rest[1], tuple((k, v) for k, v in rest[2]))
    if kind == _STARTED:
        return StartedId(rest[0])
    if kind == _KEYS:
        return StateKeys(tuple(rest[0]))
    return VOID
