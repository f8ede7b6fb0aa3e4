"""Notifications as wire bodies: journals store them the way they are replayed."""

from __future__ import annotations

from typing import Final

from holdfast.core.model import (
    VOID,
    Failure,
    Notification,
    NotificationKind,
    NotificationResult,
    Result,
    StartedId,
    StateKeys,
    Success,
    Void,
)
from holdfast.protocol import results
from holdfast.protocol.messages import OutputCommandMessage
from holdfast.protocol.notifications import NotificationTemplate
from holdfast.protocol.wire import put_chunk, put_uint, varint

_SHORT_VALUES = [b"\x2a" + (bytes((2 + n, 0x0A, n)) if n else b"\x00") for n in range(126)]
"""What stands before a value of that many bytes."""
_SIGNAL: Final = NotificationKind.SIGNAL  # a plain name: see `core.attempts`


def encode_notification(notification: Notification) -> bytes:
    """The frame body of a notification (protocol, "Commands and notifications")."""
    ref, result = notification.ref, notification.result
    if type(result) is Success and type(ref) is int and notification.kind is not _SIGNAL:
        # Of runs and calls, hence of most steps: a Value is one chunk inside another, two lengths in a row.
        value = result.value
        length = len(value)
        if ref > 0 and length < len(_SHORT_VALUES):
            return b"".join((b"\x08", varint(ref), _SHORT_VALUES[length], value))
        head = b"\x08" + varint(ref) if ref else b""
        if not value:
            return head + b"\x2a\x00"
        size = varint(length)
        return head + b"\x2a" + varint(1 + len(size) + length) + b"\x0a" + size + value
    if notification.kind is _SIGNAL:
        head = put_chunk(3, ref.encode()) if isinstance(ref, str) else b"\x10" + varint(ref)
    else:
        head = put_uint(1, int(ref))
    return head + _encode_other(result)


def _encode_other(result: NotificationResult) -> bytes:
    match result:
        case Failure(code, message, metadata):
            return put_chunk(6, results.Failure(code, message, metadata).encode())
        case Void():
            return b"\x22\x00"
        case StartedId(text):
            return put_chunk(16, text.encode())
        case StateKeys(keys):
            return put_chunk(17, results.StateKeys(keys).encode())
        case Success(value):
            return put_chunk(5, results.Value(value).encode())


def decode_notification(type_: int, body: bytes) -> Notification:
    """The inverse, for views and for restarts."""
    message = NotificationTemplate.decode(body)
    ref: int | str | None = message.completion_id
    if type_ == NotificationKind.SIGNAL:
        ref = message.signal_id if message.signal_name is None else message.signal_name
    return Notification(NotificationKind(type_), 0 if ref is None else ref, _decode_result(message.result))


def _decode_result(result: results.Result | None) -> NotificationResult:
    match result:
        case results.Value(content):
            return Success(content)
        case results.Failure(code, message, metadata):
            return Failure(code, message, metadata)
        case results.InvocationIdResult(text):
            return StartedId(text)
        case results.StateKeys(keys):
            return StateKeys(keys)
        case _:
            return VOID


def decode_output(body: bytes) -> Result:
    """The result in an Output command."""
    match OutputCommandMessage.decode(body).result:
        case results.Failure(code, message, metadata):
            return Failure(code, message, metadata)
        case results.Value(content):
            return Success(content)
        case _:
            return Success(b"")
