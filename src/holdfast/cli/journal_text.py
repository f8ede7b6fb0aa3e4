"""A described invocation as a tree for a terminal, and as JSON for programs."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from datetime import datetime

from holdfast.cli.admin_client import Json
from holdfast.cli.invocation_row import failure_of, status_of
from holdfast.cli.journal_tree import ENTRIES_MAX, Described, Entry, Failed, epoch_ms
from holdfast.cli.table import cut

RESULT_CHARS = 72
_BRANCH, _LAST, _RAIL, _GAP = "├─ ", "└─ ", "│  ", "   "
_WORDS = {
    "Input": "input",
    "Output": "output",
    "Run": "step",
    "Call": "call",
    "OneWayCall": "send",
    "Sleep": "sleep",
    "GetPromise": "await promise",
    "PeekPromise": "peek promise",
    "CompletePromise": "complete promise",
    "GetLazyState": "get state",
    "GetEagerState": "get state",
    "GetLazyStateKeys": "state keys",
    "GetEagerStateKeys": "state keys",
    "SetState": "set state",
    "ClearState": "clear state",
    "ClearAllState": "clear all state",
    "CompleteAwakeable": "complete awakeable",
    "SendSignal": "send signal",
    "AttachInvocation": "attach",
    "GetInvocationOutput": "get output",
    "Signal": "signal",
}


def as_text(found: Described) -> str:
    """For people."""
    row = found.row
    head = [
        f"{row['target']}  {row['id']}",
        f"status      {_status(found)}",
        f"created     {_clock(found.created_ms)}, by {_origin(found)}",
    ]
    if row.get("pinned_deployment_id"):
        version = row.get("pinned_service_protocol_version")
        head.append(f"deployment  {row['pinned_deployment_id']}, protocol version {version}")
    for name, column in (("key", "idempotency_key"), ("restart of", "restarted_from")):
        if row.get(column):
            head.append(f"{name:<12}{row[column]}")
    if (wakes := epoch_ms(row.get("next_retry_at"))) is not None:
        head.append(f"next try    {_clock(wakes)}")
    if (usage := found.usage) is not None:
        calls = "1 model call" if usage.model_calls == 1 else f"{usage.model_calls} model calls"
        head.append(f"usage       {calls}, {usage.tokens_in} tokens in, {usage.tokens_out} out")
    if found.cut:
        head.append(f"journal     the first {ENTRIES_MAX} entries")
    return "\n".join([*head, "", *_tree(found, "")])


def _tree(found: Described, indent: str) -> Iterator[str]:
    if not found.entries:
        yield f"{indent}{_LAST}no journal: not started, or no longer kept"
    for number, item in enumerate(found.entries):
        last = number == len(found.entries) - 1
        yield indent + (_LAST if last else _BRANCH) + _line(found, item)
        if isinstance(item, Entry) and item.called is not None:
            inner = indent + (_GAP if last else _RAIL)
            yield f"{inner}{item.called.row['target']}: {_status(item.called)}"
            yield from _tree(item.called, inner)


def _line(found: Described, item: Entry | Failed) -> str:
    offset = f"{(item.at_ms - found.created_ms) / 1000:+9.3f}s"
    if isinstance(item, Failed):
        often = f" {item.times} times" if item.times > 1 else ""
        return f"{offset}  ! attempt failed{often}: {cut(item.message, RESULT_CHARS)}"
    what = " ".join(part for part in (_WORDS.get(item.kind, item.kind), item.name, item.detail) if part)
    parts = [offset, cut(what, RESULT_CHARS)]
    if item.answered_ms is not None:
        parts.append(_duration(item.answered_ms - item.at_ms))
    elif item.waits and "completed_at" not in found.row:
        until = "" if item.wakes_ms is None else f" until {_clock(item.wakes_ms)}"
        parts.append(f"waiting{until}")
    if item.failure is not None:
        parts.append(f"failed: {cut(item.failure, RESULT_CHARS)}")
    elif item.result is not None:
        parts.append(f"= {_payload(item.result)}")
    if item.called_id is not None:
        parts.append(item.called_id)
    if item.metadata:
        parts.append(_about(item.metadata))
    return "  ".join(parts)


def _about(metadata: Mapping[str, Json]) -> str:
    """A step in a few words: which model and what it took, which tool and with what, else the JSON."""
    match metadata:
        case {"kind": "model"}:
            tokens = [metadata.get("tokens_in"), metadata.get("tokens_out")]
            words = "model"
            if model := metadata.get("model"):
                words += f" {model}"
            if any(isinstance(count, int) for count in tokens):
                words += f", {tokens[0] or 0} tokens in, {tokens[1] or 0} out"
        case {"kind": "tool", "tool": tool}:
            arguments = metadata.get("arguments")
            words = f"tool {tool}"
            if arguments is not None:
                as_text = (
                    arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
                )
                words += f" {as_text}"
        case _:
            words = json.dumps(metadata, ensure_ascii=False)
    return f"[{cut(words, RESULT_CHARS)}]"


def _status(found: Described) -> str:
    row, text = found.row, status_of(found.row)
    if (ended := epoch_ms(row.get("completed_at"))) is not None:
        text += f" after {_duration(ended - found.created_ms)}"
    retries = row.get("retry_count")
    if isinstance(retries, int) and retries > 1:
        text += f", {retries} attempts"
    failure = failure_of(row)
    return f"{text}: {cut(failure, RESULT_CHARS)}" if failure else text


def _origin(found: Described) -> str:
    row = found.row
    if row.get("invoked_by") == "service":
        return f"{row.get('invoked_by_target')} {row.get('invoked_by_id')}"
    return str(row.get("invoked_by", "unknown"))


def _payload(data: bytes) -> str:
    if not data:
        return "nothing"
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return f"{len(data)} bytes"
    shown = cut(text, RESULT_CHARS)
    return f"{shown} ({len(data)} bytes)" if len(shown) < len(text) and len(data) > RESULT_CHARS else shown


def _duration(ms: int) -> str:
    if ms < 1_000:
        return f"{ms} ms"
    if ms < 60_000:
        return f"{ms / 1000:.1f} s"
    minutes, seconds = divmod(ms // 1000, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {seconds} s"


def _clock(ms: int) -> str:
    moment = datetime.fromtimestamp(ms / 1000).astimezone()
    return moment.isoformat(" ", "milliseconds")


def as_json(found: Described) -> dict[str, Json]:
    """For programs: `invocation` is the row of `sys_invocation`, `journal` as in the tree, `usage` the sum
    over its steps with models, if it has any."""
    made: dict[str, Json] = {
        "invocation": dict(found.row),
        "journal": [_item_json(item) for item in found.entries],
    }
    if (usage := found.usage) is not None:
        made["usage"] = {
            "model_calls": usage.model_calls,
            "tokens_in": usage.tokens_in,
            "tokens_out": usage.tokens_out,
        }
    return made


def _item_json(item: Entry | Failed) -> dict[str, Json]:
    if isinstance(item, Failed):
        return {"type": "attempt failed", "at_ms": item.at_ms, "message": item.message, "times": item.times}
    made: dict[str, Json] = {
        "type": _WORDS.get(item.kind, item.kind),
        "index": item.index,
        "name": item.name,
        "detail": item.detail,
        "at_ms": item.at_ms,
        "bytes": item.bytes_,
    }
    if item.waits:
        made["answered_ms"] = item.answered_ms
    if item.wakes_ms is not None:
        made["wakes_ms"] = item.wakes_ms
    if item.failure is not None:
        made["failure"] = item.failure
    elif item.result is not None:
        made["result"] = _value(item.result)
    if item.called_id is not None:
        made["invocation_id"] = item.called_id
    if item.metadata is not None:
        made["metadata"] = item.metadata
    if item.called is not None:
        made["called"] = as_json(item.called)
    return made


def _value(data: bytes) -> Json:
    """The JSON it holds, else its text, else base64."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(data).decode()}
    try:
        value: Json = json.loads(text)
    except ValueError:
        return text
    return value
