"""Model calls as people are shown them: the SDK's items in the words of the journal's metadata."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from agents import ModelResponse, Usage
from agents.items import TResponseInputItem, TResponseStreamEvent
from openai.types.responses import (
    Response,
    ResponseCompletedEvent,
    ResponseFunctionToolCall,
    ResponseIncompleteEvent,
    ResponseOutputMessage,
)

from holdfast.ai.metadata import Json, bounded_response

_ROLES = {"user": "user", "assistant": "assistant", "system": "system", "developer": "system"}


def messages(
    instructions: str | None, conversation: str | Sequence[TResponseInputItem]
) -> list[dict[str, object]]:
    """A request's conversation, oldest first, as `metadata.bounded_messages` takes it."""
    shown: list[dict[str, object]] = []
    if instructions:
        shown.append({"role": "system", "content": instructions})
    if isinstance(conversation, str):
        return [*shown, {"role": "user", "content": conversation}]
    for item in conversation:
        _add(shown, cast("Mapping[str, Any]", item))
    return shown


def _add(shown: list[dict[str, object]], item: Mapping[str, Any]) -> None:
    kind = item.get("type") or "message"
    if kind == "message":
        role = _ROLES.get(str(item.get("role")), "user")
        shown.append({"role": role, "content": _text(item.get("content"))})
    elif kind == "function_call":
        call = {"id": item.get("call_id"), "name": item.get("name"), "arguments": item.get("arguments")}
        if not shown or shown[-1].get("role") != "assistant":
            shown.append({"role": "assistant", "content": ""})
        cast("list[object]", shown[-1].setdefault("tool_calls", [])).append(call)
    elif kind == "function_call_output":
        shown.append(
            {"role": "tool", "content": _text(item.get("output")), "tool_call_id": item.get("call_id")}
        )
    elif kind != "reasoning":
        shown.append({"role": "assistant", "content": f"({kind})"})


def _text(content: object) -> str:
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "\n".join(_part(part) for part in cast("list[object]", content))
    return "" if content is None else json.dumps(content, default=str, ensure_ascii=False)


def _part(part: object) -> str:
    if not isinstance(part, Mapping):
        return str(part)
    fields = cast("Mapping[str, object]", part)
    text = fields.get("text") or fields.get("refusal")
    return text if isinstance(text, str) else f"({fields.get('type')})"


def describe_answer(answer: ModelResponse) -> Mapping[str, Json]:
    """What a model step says of its result."""
    return _described(answer.output, answer.usage, answer.request_id, None)


def describe_stream(events: Sequence[TResponseStreamEvent]) -> Mapping[str, Json]:
    """The same of a streamed one."""
    response = final_response(events)
    if response is None:
        return {}
    usage = Usage()
    if response.usage is not None:
        usage.input_tokens, usage.output_tokens = response.usage.input_tokens, response.usage.output_tokens
    reason = None if response.incomplete_details is None else response.incomplete_details.reason
    return _described(response.output, usage, getattr(response, "_request_id", None), reason)


def final_response(events: Iterable[TResponseStreamEvent]) -> Response | None:
    """The whole response that a stream ended with; None when it was cut."""
    for event in events:
        if isinstance(event, ResponseCompletedEvent | ResponseIncompleteEvent):
            return event.response
    return None


def _described(
    output: Iterable[object], usage: Usage, request_id: str | None, reason: str | None
) -> Mapping[str, Json]:
    texts: list[str] = []
    calls: list[dict[str, object]] = []
    for item in output:
        if isinstance(item, ResponseFunctionToolCall):
            calls.append({"id": item.call_id, "name": item.name, "arguments": item.arguments})
        elif isinstance(item, ResponseOutputMessage):
            texts += [part.text if part.type == "output_text" else part.refusal for part in item.content]
    described: dict[str, Json] = {
        "tokens_in": usage.input_tokens,
        "tokens_out": usage.output_tokens,
        "finish_reason": reason or ("tool_calls" if calls else "stop"),
        "response": cast(Json, bounded_response("\n".join(texts) if texts else None, calls)),
    }
    if request_id is not None:
        described["request_id"] = request_id
    return described
