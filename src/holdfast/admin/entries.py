"""Journal entries as people think of them: each command with its answer, signals by what they are for.

`EntryMaker` turns stored rows into entries; which rows are read is decided by `timeline`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import msgspec

from holdfast.admin.invocation_shapes import (
    Callee,
    Entry,
    EntryFailure,
    EntryType,
    instant,
    payload,
)
from holdfast.core.model import CANCEL_SIGNAL, JOURNAL_ENTRIES_MAX
from holdfast.protocol import messages as wire
from holdfast.protocol.errors import ProtocolError
from holdfast.protocol.framing import MessageType
from holdfast.protocol.ids import awakeable_id, encode_invocation_id

AWAKEABLE_SIGNAL_MIN = 17
SIGNAL_INDEX_FROM = JOURNAL_ENTRIES_MAX
"""Entry index of the signal with number 0; numbers of signals have 32 bits."""
NAMED_SIGNAL_INDEX_FROM = SIGNAL_INDEX_FROM + (1 << 32)
"""From here on those of named signals, by a 32-bit hash of the name."""

_NAME_HASH_BITS = 32
_I64_MAX = (1 << 63) - 1

Ref = int | str


def signal_entry_index(signal: Ref) -> int:
    """Where what an invocation waits for under this signal is shown: the same in every answer."""
    if isinstance(signal, int):
        return SIGNAL_INDEX_FROM + signal
    hashed = 0xCBF29CE484222325
    for byte in signal.encode():
        hashed = (hashed ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return NAMED_SIGNAL_INDEX_FROM + (hashed >> (64 - _NAME_HASH_BITS))


def command_entry(index: int, type_: int, body: bytes, callee: bytes | None, at: int) -> Entry:
    """A command without its answer; `done` where none is to come."""
    entry = Entry(index, _TYPES.get(type_, "unknown"), None, instant(at))
    try:
        message = wire.decode(type_, body)
    except ProtocolError:
        return _over(entry)
    name = getattr(message, "entry_name" if type_ == MessageType.SEND_SIGNAL_COMMAND else "name", "")
    entry.name = name or None
    if callee is not None:
        entry.callee = Callee(encode_invocation_id(callee), None)
    describe = _DESCRIBE.get(type(message))
    if describe is not None:
        describe(entry, message)
    if not getattr(message, "result_completion_id", 0):
        _over(entry)
    return entry


def answer(entry: Entry, body: bytes, at: int) -> None:
    """Fold the answer to a command into it."""
    entry.completed_at = instant(at)
    try:
        result = wire.NotificationTemplate.decode(body).result
    except ProtocolError:
        entry.state = "done"
        return
    _fold(entry, result)


def signal_entry(invocation: bytes, signal: Ref, at: int, index: int | None = None) -> Entry:
    """A signal that an invocation waits for, pending; `index` where it is an entry of the journal."""
    entry = Entry(signal_entry_index(signal) if index is None else index, "signal_wait", None, instant(at))
    if isinstance(signal, str):
        entry.signal = signal
    elif signal >= AWAKEABLE_SIGNAL_MIN:
        entry.type = "awakeable"
        entry.awakeable_id = awakeable_id(invocation, signal)
    else:
        entry.signal = "cancel" if signal == CANCEL_SIGNAL else str(signal)
    return entry


def awaited_signals(tree: str | None) -> list[Ref]:
    """The signals in a stored await tree, in its order, without the cancellation everything waits for."""
    found: list[Ref] = []
    if tree is None:
        return found
    try:
        open_: list[Any] = [msgspec.json.decode(tree)]
    except msgspec.DecodeError:
        return found
    while open_:
        node = open_.pop()
        if isinstance(node, dict):
            fields = cast("dict[str, Any]", node)
            for name, value in fields.items():
                if name in ("SignalIndex", "SignalName"):
                    if value != CANCEL_SIGNAL and value not in found:
                        found.append(value)
                else:
                    open_.append(value)
        elif isinstance(node, list):
            open_.extend(reversed(node))  # pyright: ignore[reportUnknownArgumentType]
    return found


def value_bytes(type_: int, body: bytes) -> tuple[bytes | None, bytes | None]:
    """Input and value of a stored entry, whole; None: it has none."""
    try:
        message = wire.decode(type_, body)
    except ProtocolError:
        return None, None
    match message:
        case wire.InputCommandMessage(value=wire.Value(content)):
            return content, None
        case wire.SetStateCommandMessage(value=wire.Value(content)):
            return content, None
        case wire.CallCommandMessage() | wire.OneWayCallCommandMessage():
            return message.parameter, None
        case wire.SendSignalCommandMessage(result=wire.Value(content)):
            return content, None
        case wire.CompleteAwakeableCommandMessage(result=wire.Value(content)):
            return content, None
        case wire.CompletePromiseCommandMessage(completion=wire.Value(content)):
            return content, None
        case wire.OutputCommandMessage(result=wire.Value(content)):
            return None, content
        case wire.GetEagerStateCommandMessage(result=wire.Value(content)):
            return None, content
        case wire.GetEagerStateKeysCommandMessage(value=wire.StateKeys(keys)):
            return None, _keys(keys)
        case _:
            return None, None


def answer_bytes(body: bytes) -> bytes | None:
    """The value of a stored notification, whole."""
    try:
        result = wire.NotificationTemplate.decode(body).result
    except ProtocolError:
        return None
    match result:
        case wire.Value(content):
            return content
        case wire.StateKeys(keys):
            return _keys(keys)
        case _:
            return None


# ---------------------------------------------------------------- parts


def _over(entry: Entry) -> Entry:
    if entry.state == "pending":
        entry.state = "done"
    entry.completed_at = entry.started_at
    return entry


def _fold(entry: Entry, result: wire.Result | None) -> None:
    entry.state = "done"
    match result:
        case wire.Value(content):
            entry.value = payload(content)
        case wire.Failure(code, message, metadata):
            entry.state = "failed"
            entry.failure = EntryFailure(code, message, dict(metadata))
        case wire.StateKeys(keys):
            entry.value = payload(_keys(keys))
        case _:
            pass


def _sent(entry: Entry, result: wire.Result | None) -> None:
    """What a command passes on: a value, or a failure that is somebody else's."""
    match result:
        case wire.Value(content):
            entry.input = payload(content)
        case wire.Failure(code, message, metadata):
            entry.failure = EntryFailure(code, message, dict(metadata))
        case _:
            pass


def _keys(keys: tuple[bytes, ...]) -> bytes:
    return msgspec.json.encode([_text(key) for key in keys])


def _text(value: bytes) -> str:
    return value.decode(errors="replace")


def _input(entry: Entry, message: wire.InputCommandMessage) -> None:
    entry.input = payload(b"" if message.value is None else message.value.content)


def _output(entry: Entry, message: wire.OutputCommandMessage) -> None:
    _fold(entry, message.result)


def _key(entry: Entry, message: Any) -> None:
    entry.name = _text(message.key)
    if isinstance(message, wire.SetStateCommandMessage) and message.value is not None:
        entry.input = payload(message.value.content)
    elif isinstance(message, wire.GetEagerStateCommandMessage):
        _fold(entry, message.result)


def _eager_keys(entry: Entry, message: wire.GetEagerStateKeysCommandMessage) -> None:
    entry.value = payload(_keys(message.value.keys if message.value else ()))


def _promise(entry: Entry, message: Any) -> None:
    entry.promise = message.key
    if isinstance(message, wire.CompletePromiseCommandMessage):
        _sent(entry, message.completion)


def _sleep(entry: Entry, message: wire.SleepCommandMessage) -> None:
    entry.wake_at = instant(min(message.wake_up_time, _I64_MAX))


def _call(entry: Entry, message: wire.CallCommandMessage | wire.OneWayCallCommandMessage) -> None:
    key = f"{message.key}/" if message.key else ""
    target = f"{message.service_name}/{key}{message.handler_name}"
    entry.callee = Callee(None if entry.callee is None else entry.callee.id, target)
    entry.input = payload(message.parameter)
    if isinstance(message, wire.OneWayCallCommandMessage) and message.invoke_time:
        entry.wake_at = instant(min(message.invoke_time, _I64_MAX))


def _send_signal(entry: Entry, message: wire.SendSignalCommandMessage) -> None:
    entry.callee = Callee(message.target_invocation_id, None)
    entry.signal = str(message.idx) if message.name is None else message.name
    if message.name is None and message.idx == CANCEL_SIGNAL:
        entry.signal = "cancel"
    _sent(entry, message.result)


def _about(entry: Entry, message: Any) -> None:
    match message.target:
        case str(id_):
            entry.callee = Callee(id_, None)
        case wire.WorkflowTarget(name, key):
            entry.callee = Callee(None, f"{name}/{key}")
        case wire.IdempotentRequestTarget(service, key, handler):
            entry.callee = Callee(
                None, f"{service}/{handler}" if key is None else f"{service}/{key}/{handler}"
            )
        case _:
            pass


def _complete_awakeable(entry: Entry, message: wire.CompleteAwakeableCommandMessage) -> None:
    entry.awakeable_id = message.awakeable_id
    _sent(entry, message.result)


_TYPES: dict[int, EntryType] = {
    MessageType.INPUT_COMMAND: "input",
    MessageType.OUTPUT_COMMAND: "output",
    MessageType.GET_LAZY_STATE_COMMAND: "state_get",
    MessageType.GET_EAGER_STATE_COMMAND: "state_get",
    MessageType.GET_LAZY_STATE_KEYS_COMMAND: "state_keys",
    MessageType.GET_EAGER_STATE_KEYS_COMMAND: "state_keys",
    MessageType.SET_STATE_COMMAND: "state_set",
    MessageType.CLEAR_STATE_COMMAND: "state_clear",
    MessageType.CLEAR_ALL_STATE_COMMAND: "state_clear_all",
    MessageType.GET_PROMISE_COMMAND: "promise_get",
    MessageType.PEEK_PROMISE_COMMAND: "promise_peek",
    MessageType.COMPLETE_PROMISE_COMMAND: "promise_complete",
    MessageType.SLEEP_COMMAND: "sleep",
    MessageType.CALL_COMMAND: "call",
    MessageType.ONE_WAY_CALL_COMMAND: "send",
    MessageType.SEND_SIGNAL_COMMAND: "signal_send",
    MessageType.RUN_COMMAND: "run",
    MessageType.ATTACH_INVOCATION_COMMAND: "attach",
    MessageType.GET_INVOCATION_OUTPUT_COMMAND: "output_get",
    MessageType.COMPLETE_AWAKEABLE_COMMAND: "awakeable_complete",
}

_DESCRIBE: dict[type, Callable[[Entry, Any], None]] = {
    wire.InputCommandMessage: _input,
    wire.OutputCommandMessage: _output,
    wire.GetLazyStateCommandMessage: _key,
    wire.GetEagerStateCommandMessage: _key,
    wire.SetStateCommandMessage: _key,
    wire.ClearStateCommandMessage: _key,
    wire.GetEagerStateKeysCommandMessage: _eager_keys,
    wire.GetPromiseCommandMessage: _promise,
    wire.PeekPromiseCommandMessage: _promise,
    wire.CompletePromiseCommandMessage: _promise,
    wire.SleepCommandMessage: _sleep,
    wire.CallCommandMessage: _call,
    wire.OneWayCallCommandMessage: _call,
    wire.SendSignalCommandMessage: _send_signal,
    wire.AttachInvocationCommandMessage: _about,
    wire.GetInvocationOutputCommandMessage: _about,
    wire.CompleteAwakeableCommandMessage: _complete_awakeable,
}
