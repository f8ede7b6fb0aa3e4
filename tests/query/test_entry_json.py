"""`entry_json` and `entry_lite_json`, against one captured example of every kind of entry."""

from __future__ import annotations

import json
from typing import Any

import pytest
from protocol.vectors import load

from holdfast.protocol import messages as wire
from holdfast.protocol.framing import MessageType
from holdfast.protocol.ids import decode_invocation_id
from holdfast.query import entry_json as entries

VECTORS: list[dict[str, Any]] = load("journal_json")["vectors"]
NOT_CAPTURED = {
    "Notification: GetInvocationOutput",
    "Command: GetInvocationOutput",
}


def _parsed(vector: dict[str, Any], column: str) -> dict[str, Any]:
    value = vector[column]
    return json.loads(value) if isinstance(value, str) else value


def _result(value: Any) -> wire.Result:
    if value == "Void" or value is None:
        return wire.VOID
    if "Failure" in value:
        return wire.Failure(value["Failure"]["code"], value["Failure"]["message"])
    return wire.Value(bytes(value["Success"]))


def _pairs(headers: list[dict[str, str]]) -> tuple[tuple[str, str], ...]:
    return tuple((header["name"], header["value"]) for header in headers)


def _notification(name: str, fields: dict[str, Any]) -> wire.Message:
    completion = fields.get("completion_id")
    if name == "Signal":
        return wire.NotificationTemplate(
            None, fields["id"].get("Index"), fields["id"].get("Name"), _result(fields["result"])
        )
    if name == "CallInvocationId":
        return wire.NotificationTemplate(
            completion, None, None, wire.InvocationIdResult(fields["invocation_id"])
        )
    if name == "GetLazyStateKeys":
        keys = wire.StateKeys(tuple(key.encode() for key in fields["state_keys"]))
        return wire.NotificationTemplate(completion, None, None, keys)
    return wire.NotificationTemplate(completion, None, None, _result(fields.get("result")))


def _command(name: str, f: dict[str, Any]) -> wire.Message:
    completion, label = f.get("completion_id", 0), f["name"]
    key = f.get("key", "").encode()
    match name:
        case "Input":
            return wire.InputCommandMessage(_pairs(f["headers"]), label, wire.Value(bytes(f["payload"])))
        case "Output":
            return wire.OutputCommandMessage(label, _result(f["result"]))  # type: ignore[arg-type]
        case "SetState":
            return wire.SetStateCommandMessage(key, wire.Value(bytes(f["value"])), label)
        case "ClearState":
            return wire.ClearStateCommandMessage(key, label)
        case "ClearAllState":
            return wire.ClearAllStateCommandMessage(label)
        case "GetLazyState":
            return wire.GetLazyStateCommandMessage(key, completion, label)
        case "GetLazyStateKeys":
            return wire.GetLazyStateKeysCommandMessage(completion, label)
        case "GetEagerState":
            return wire.GetEagerStateCommandMessage(key, label, _result(f["result"]))  # type: ignore[arg-type]
        case "GetEagerStateKeys":
            keys = tuple(k.encode() for k in f["state_keys"])
            return wire.GetEagerStateKeysCommandMessage(label, wire.StateKeys(keys))
        case "GetPromise":
            return wire.GetPromiseCommandMessage(f["key"], completion, label)
        case "PeekPromise":
            return wire.PeekPromiseCommandMessage(f["key"], completion, label)
        case "CompletePromise":
            value = _result(f["value"])
            return wire.CompletePromiseCommandMessage(f["key"], value, completion, label)  # type: ignore[arg-type]
        case "Sleep":
            return wire.SleepCommandMessage(f["wake_up_time"], completion, label)
        case "Run":
            return wire.RunCommandMessage(completion, label)
        case "AttachInvocation":
            return wire.AttachInvocationCommandMessage(f["target"]["InvocationId"], completion, label)
        case "CompleteAwakeable":
            return wire.CompleteAwakeableCommandMessage(f["id"], _result(f["result"]), label)  # type: ignore[arg-type]
        case "SendSignal":
            signal = f["signal_id"]
            return wire.SendSignalCommandMessage(
                f["target_invocation_id"],
                signal.get("Index"),
                signal.get("Name"),
                _result(f["result"]),  # type: ignore[arg-type]
                label,
            )
        case _:
            return _call(name, f)


def _call(name: str, f: dict[str, Any]) -> wire.Message:
    request = f["request"]
    [target] = request["invocation_target"].values()
    common = {
        "service_name": target["name"],
        "handler_name": target["handler"],
        "parameter": bytes(request["parameter"]),
        "headers": _pairs(request["headers"]),
        "idempotency_key": request["idempotency_key"],
        "invocation_id_notification_idx": f["invocation_id_completion_id"],
        "name": f["name"],
    }
    if name == "Call":
        return wire.CallCommandMessage(**common, result_completion_id=f["result_completion_id"])
    assert name == "OneWayCall"
    return wire.OneWayCallCommandMessage(**common, invoke_time=f["invoke_time"])


def _type(entry_type: str) -> int:
    [found] = [
        int(type_) for type_ in MessageType if entries.entry_type(type_) == entry_type and type_ >= 0x400
    ]
    return found


@pytest.mark.parametrize("vector", VECTORS, ids=lambda v: v["entry_type"])
def test_as_captured(vector: dict[str, Any]) -> None:
    """Goal: the same JSON. Method: build the entry's bytes from the captured JSON and show them again."""
    full, lite = _parsed(vector, "entry_json"), _parsed(vector, "entry_lite_json")
    kind, _, name = vector["entry_type"].partition(": ")
    fields = full[kind]
    if kind == "Notification":
        message = _notification(name, fields.get("Signal") or fields["Completion"][name])
    else:
        message = _command(name, fields[name])
    body, type_ = message.encode(), _type(vector["entry_type"])
    callee = info = None
    if name in ("Call", "OneWayCall") and kind == "Command":
        callee, info = decode_invocation_id(fields[name]["request"]["invocation_id"]), "[0,86400000,86400000]"
    assert json.loads(entries.entry_json(type_, body, callee, info) or "") == full
    assert json.loads(entries.entry_lite_json(type_, body, callee, info) or "") == lite
    assert entries.entry_name(type_, body) == vector["name"]


def test_every_entry_type_has_a_name_and_was_captured_or_is_known_missing() -> None:
    named = {entries.entry_type(type_) for type_ in MessageType if 0x400 <= type_ < 0xFC00}
    assert named - {vector["entry_type"] for vector in VECTORS} == NOT_CAPTURED


def test_what_cannot_be_read_has_no_json() -> None:
    assert entries.entry_json(0x40C, b"\xff", None, None) is None
    assert entries.entry_json(0x499, b"", None, None) is None
    assert entries.entry_type(0x499) == "Command: Unknown(0x0499)"
    assert entries.entry_json(0x400, bytes(entries.ENTRY_BYTES_MAX + 1), None, None) is None


def test_keyed_callees_say_what_they_are() -> None:
    body = wire.CallCommandMessage("Flow", "run", b"", (), "w1").encode()
    text = entries.entry_lite_json(0x40D, body, bytes(24), "[3,0,0]") or ""
    assert json.loads(text)["Command"]["Call"]["invocation_target"] == {
        "Workflow": {"name": "Flow", "key": "w1", "handler": "run", "handler_ty": "Workflow", "scope": None}
    }
    assert entries.invoked_target(0x40D, body) == "Flow/w1/run"
