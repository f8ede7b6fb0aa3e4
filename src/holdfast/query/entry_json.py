"""Journal entries as JSON, for the columns `entry_json` and `entry_lite_json` of `sys_journal`.

The shapes are fixed by the clients that read them (protocol, "Value conventions"). Both are made from the
entry as it is on the wire; the lite one leaves payloads out and says of a result only what kind it is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import msgspec

from holdfast.core.model import TargetKind
from holdfast.protocol import messages as wire
from holdfast.protocol.errors import ProtocolError
from holdfast.protocol.framing import MessageType, is_notification, type_name
from holdfast.protocol.ids import encode_invocation_id
from holdfast.query.types import Json

ENTRY_BYTES_MAX = 4 * 1024 * 1024
"""Larger entries have no JSON form here: as lists of numbers they would be four times their size."""

_I64_MAX = 2**63 - 1
Fields = dict[str, Json]

_LITE_LEAVES_OUT = frozenset({"name", "headers", "payload", "value", "state_keys"})
_KEY_KINDS = {
    TargetKind.OBJECT_EXCLUSIVE: ("VirtualObject", "Exclusive"),
    TargetKind.OBJECT_SHARED: ("VirtualObject", "Shared"),
    TargetKind.WORKFLOW_RUN: ("Workflow", "Workflow"),
    TargetKind.WORKFLOW_SHARED: ("Workflow", "Shared"),
}


def entry_type(type_: int) -> str:
    """`Command: Sleep`, `Notification: Call` ..."""
    return f"{'Notification' if is_notification(type_) else 'Command'}: {type_name(type_)}"


def entry_json(type_: int, body: bytes, callee: bytes | None, callee_info: str | None) -> str | None:
    """The entry whole.

    Args:
        callee: raw id of the invocation a call or send started. callee_info: JSON `[target kind, completion
        retention ms, journal retention ms]` of it, where it is known.
    Returns:
        None when the entry is too large or its bytes are not what its type says.
    """
    return _encode(type_, body, callee, callee_info, lite=False)


def entry_lite_json(type_: int, body: bytes, callee: bytes | None, callee_info: str | None) -> str | None:
    """The entry without payloads; arguments as for `entry_json`."""
    return _encode(type_, body, callee, callee_info, lite=True)


def entry_name(type_: int, body: bytes) -> str | None:
    """The label the SDK gave a command; None for notifications."""
    message = _decode(type_, body)
    if message is None or is_notification(type_):
        return None
    return str(getattr(message, "entry_name" if type_ == MessageType.SEND_SIGNAL_COMMAND else "name", ""))


def invoked_target(type_: int, body: bytes) -> str | None:
    """`Service/handler` or `Object/key/handler` of a call or send."""
    message = _decode(type_, body)
    if not isinstance(message, wire.CallCommandMessage | wire.OneWayCallCommandMessage):
        return None
    key = f"{message.key}/" if message.key else ""
    return f"{message.service_name}/{key}{message.handler_name}"


def sleep_wakeup_at(type_: int, body: bytes) -> int | None:
    """Epoch ms of a sleep's end."""
    message = _decode(type_, body)
    # The wire has more instants than a column; one of those must not fail everybody's query.
    return min(message.wake_up_time, _I64_MAX) if isinstance(message, wire.SleepCommandMessage) else None


def promise_name(type_: int, body: bytes) -> str | None:
    """The durable promise a command reads or completes."""
    match _decode(type_, body):
        case (
            wire.GetPromiseCommandMessage(key=key)
            | wire.PeekPromiseCommandMessage(key=key)
            | wire.CompletePromiseCommandMessage(key=key)
        ):
            return key
        case _:
            return None


def _decode(type_: int, body: bytes) -> wire.Message | None:
    try:
        return wire.decode(type_, body) if len(body) <= ENTRY_BYTES_MAX else None
    except ProtocolError:
        return None


def _encode(
    type_: int, body: bytes, callee: bytes | None, callee_info: str | None, *, lite: bool
) -> str | None:
    message = _decode(type_, body)
    if message is None:
        return None
    if is_notification(type_):
        notification = wire.NotificationTemplate.decode(body)
        fields = _lite_notification(type_, notification) if lite else _notification(type_, notification)
        return _dumps({"Notification": fields})
    fields = _command(message)
    if isinstance(message, wire.CallCommandMessage | wire.OneWayCallCommandMessage):
        request = _request(message, callee, callee_info)
        fields = {**_invoked(request), **fields} if lite else {"request": request, **fields}
    if lite:
        keeps_name = type_ == MessageType.RUN_COMMAND
        fields = {
            key: _kind(value) if key == "result" else value
            for key, value in fields.items()
            if key not in _LITE_LEAVES_OUT or (key == "name" and keeps_name)
        }
    return _dumps({"Command": {type_name(type_): fields}})


def _dumps(value: Json) -> str:
    return msgspec.json.encode(value).decode()


# ---------------------------------------------------------------- parts


def _bytes(value: bytes) -> Json:
    return cast(Json, list(value))


def _text(value: bytes) -> str:
    return value.decode(errors="replace")


def _result(result: wire.Result | None) -> Json:
    match result:
        case wire.Value(content):
            return {"Success": _bytes(content)}
        case wire.Failure(code, message, metadata):
            failure: Fields = {"code": code, "message": message}
            if metadata:
                failure["metadata"] = [{"key": key, "value": value} for key, value in metadata]
            return {"Failure": failure}
        case _:
            return "Void"


def _kind(result: Json) -> Json:
    return next(iter(result)) if isinstance(result, dict) else result


def _headers(pairs: wire.Pairs) -> Json:
    return [{"name": name, "value": value} for name, value in pairs]


def _duration(ms: int) -> Json:
    return {"secs": ms // 1000, "nanos": ms % 1000 * 1_000_000}


def _invoked(request: Fields) -> Fields:
    return {key: request[key] for key in ("invocation_id", "invocation_target")}


# ---------------------------------------------------------------- commands


def _request(
    message: wire.CallCommandMessage | wire.OneWayCallCommandMessage,
    callee: bytes | None,
    callee_info: str | None,
) -> Fields:
    kind, completion_ms, journal_ms = msgspec.json.decode(callee_info) if callee_info else (None, 0, 0)
    target: Fields = {"name": message.service_name}
    if message.key:
        variant, handler_type = _KEY_KINDS.get(TargetKind(kind or 0), ("VirtualObject", "Exclusive"))
        target |= {"key": message.key, "handler": message.handler_name, "handler_ty": handler_type}
    else:
        variant = "Service"
        target["handler"] = message.handler_name
    target["scope"] = message.scope
    return {
        "invocation_id": None if callee is None else encode_invocation_id(callee),
        "invocation_target": {variant: target},
        "span_context": {
            "span_context": {
                "trace_id": _bytes(bytes(16)),
                "span_id": _bytes(bytes(8)),
                "trace_flags": 0,
                "is_remote": False,
                "trace_state": "",
            },
            "cause": None,
        },
        "parameter": _bytes(message.parameter),
        "headers": _headers(message.headers),
        "idempotency_key": message.idempotency_key,
        "completion_retention_duration": _duration(completion_ms),
        "journal_retention_duration": _duration(journal_ms),
    }


def _target(target: wire.InvocationTarget | None) -> Json:
    match target:
        case wire.WorkflowTarget(name, key, scope):
            return {"Workflow": {"service_name": name, "key": key, "scope": scope}}
        case wire.IdempotentRequestTarget(service, key, handler, idempotency_key, scope):
            return {
                "IdempotentRequest": {
                    "service_name": service,
                    "service_key": key,
                    "service_handler": handler,
                    "idempotency_key": idempotency_key,
                    "scope": scope,
                }
            }
        case _:
            return {"InvocationId": target}


def _command(message: wire.Message) -> Fields:
    match message:
        case wire.InputCommandMessage(headers, name, value):
            payload = b"" if value is None else value.content
            return {"headers": _headers(headers), "payload": _bytes(payload), "name": name}
        case wire.OutputCommandMessage(name, result):
            return {"result": _result(result), "name": name}
        case wire.GetLazyStateCommandMessage(key, completion, name):
            return {"key": _text(key), "completion_id": completion, "name": name}
        case wire.SetStateCommandMessage(key, value, name):
            return {"key": _text(key), "value": _bytes(b"" if value is None else value.content), "name": name}
        case wire.ClearStateCommandMessage(key, name):
            return {"key": _text(key), "name": name}
        case wire.ClearAllStateCommandMessage(name):
            return {"name": name}
        case wire.GetLazyStateKeysCommandMessage(completion, name):
            return {"completion_id": completion, "name": name}
        case wire.GetEagerStateCommandMessage(key, name, result):
            return {"key": _text(key), "result": _result(result), "name": name}
        case wire.GetEagerStateKeysCommandMessage(name, keys):
            return {"state_keys": [_text(key) for key in (keys.keys if keys else ())], "name": name}
        case wire.GetPromiseCommandMessage(key, completion, name) | wire.PeekPromiseCommandMessage(
            key, completion, name
        ):
            return {"key": key, "completion_id": completion, "name": name}
        case wire.CompletePromiseCommandMessage(key, result, completion, name):
            return {"key": key, "value": _result(result), "completion_id": completion, "name": name}
        case wire.SleepCommandMessage(at, completion, name):
            return {"wake_up_time": at, "completion_id": completion, "name": name}
        case _:
            return _outward(message)


def _outward(message: wire.Message) -> Fields:
    match message:
        case wire.CallCommandMessage():
            return {
                "invocation_id_completion_id": message.invocation_id_notification_idx,
                "result_completion_id": message.result_completion_id,
                "name": message.name,
            }
        case wire.OneWayCallCommandMessage():
            return {
                "invoke_time": message.invoke_time,
                "invocation_id_completion_id": message.invocation_id_notification_idx,
                "name": message.name,
            }
        case wire.SendSignalCommandMessage(target, index, name, result, entry_name):
            signal: Fields = {"Index": index} if name is None else {"Name": name}
            return {
                "target_invocation_id": target,
                "signal_id": signal,
                "result": _result(result),
                "name": entry_name,
            }
        case wire.RunCommandMessage(completion, name):
            return {"completion_id": completion, "name": name}
        case wire.AttachInvocationCommandMessage(
            target, completion, name
        ) | wire.GetInvocationOutputCommandMessage(target, completion, name):
            return {"target": _target(target), "completion_id": completion, "name": name}
        case wire.CompleteAwakeableCommandMessage(id_, result, name):
            return {"id": id_, "result": _result(result), "name": name}
        case _:
            return {}


# ---------------------------------------------------------------- notifications

_NOTIFIED: dict[int, Callable[[wire.Result | None], Fields]] = {
    MessageType.SLEEP_COMPLETION: lambda _: {},
    MessageType.CALL_INVOCATION_ID_COMPLETION: lambda result: {
        "invocation_id": result.invocation_id if isinstance(result, wire.InvocationIdResult) else None
    },
    MessageType.GET_LAZY_STATE_KEYS_COMPLETION: lambda result: {
        "state_keys": [_text(key) for key in result.keys] if isinstance(result, wire.StateKeys) else []
    },
}


def _notification(type_: int, notification: wire.NotificationTemplate) -> Fields:
    if type_ == MessageType.SIGNAL_NOTIFICATION:
        name = notification.signal_name
        signal: Fields = {"Index": notification.signal_id} if name is None else {"Name": name}
        return {"Signal": {"id": signal, "result": _result(notification.result)}}
    fields: Fields = {"completion_id": notification.completion_id}
    answer = _NOTIFIED.get(type_)
    fields |= {"result": _result(notification.result)} if answer is None else answer(notification.result)
    return {"Completion": {type_name(type_): fields}}


def _lite_notification(type_: int, notification: wire.NotificationTemplate) -> Fields:
    result = notification.result
    if isinstance(result, wire.InvocationIdResult):
        kind: Json = "InvocationId"
    elif isinstance(result, wire.StateKeys):
        kind = "StateKeys"
    else:
        kind = _kind(_result(result))
    if type_ == MessageType.SIGNAL_NOTIFICATION:
        name = notification.signal_name
        signal: Fields = {"SignalIndex": notification.signal_id} if name is None else {"SignalName": name}
        return {"ty": "Signal", "id": signal, "result": kind}
    return {
        "ty": {"Completion": type_name(type_)},
        "id": {"CompletionId": notification.completion_id},
        "result": kind,
    }
