"""Anthropic's dialect: POST /v1/messages, as one JSON answer or as a stream of typed events."""

import json
from collections.abc import Iterator
from typing import cast

from holdfast.testing.llm.script import Message, Reply
from holdfast.testing.llm.wire import Json, fields, fingerprint, items, pieces, sse, text_of, usage_of

STOP_REASONS = {
    "tool_calls": "tool_use",
    "stop": "end_turn",
    "length": "max_tokens",
    "content_filter": "refusal",
}
"""Those of Chat Completions, which scripts are written in, to those of this dialect; others stay."""

PROBLEMS = {400: "invalid_request_error", 401: "authentication_error", 403: "permission_error",
            404: "not_found_error", 413: "request_too_large", 429: "rate_limit_error",
            529: "overloaded_error"}  # fmt: skip


def conversation(request: Json) -> tuple[Message, ...]:
    """The messages of a request. Raises BadRequest when they cannot be read."""
    system = text_of(request.get("system"))
    spoken = [Message("system", system)] if system else []
    for entry in items(request.get("messages"), "messages"):
        message = fields(entry, "a message")
        role, content = str(message.get("role")), message.get("content")
        if not isinstance(content, list):
            spoken.append(Message(role, text_of(content)))
            continue
        parts = [fields(part, "a content block") for part in cast(list[object], content)]
        results = [part for part in parts if part.get("type") == "tool_result"]
        spoken += [Message("tool", text_of(part.get("content"))) for part in results]
        if len(results) < len(parts) or not parts:
            text = "".join(str(part.get("text", "")) for part in parts if part.get("type") == "text")
            spoken.append(Message(role, text))
    return tuple(spoken)


def answer(request: Json, spoken: tuple[Message, ...], reply: Reply) -> Json:
    """The whole answer as one `message` object."""
    tokens_in, tokens_out = usage_of(spoken, reply)
    return {
        "id": f"msg_{fingerprint(spoken)}",
        "type": "message",
        "role": "assistant",
        "model": request.get("model"),
        "content": [block for block, _ in blocks(spoken, reply)],
        "stop_reason": STOP_REASONS.get(reply.reason, reply.reason),
        "stop_sequence": None,
        "usage": {"input_tokens": tokens_in, "output_tokens": tokens_out},
    }


def stream(request: Json, spoken: tuple[Message, ...], reply: Reply) -> Iterator[bytes]:
    """The answer as events, from `message_start` to `message_stop`."""
    for event in events(request, spoken, reply):
        yield sse(event, event=str(event["type"]))


def events(request: Json, spoken: tuple[Message, ...], reply: Reply) -> Iterator[Json]:
    """The events of a stream."""
    whole = answer(request, spoken, reply)
    usage = cast(dict[str, int], whole["usage"])
    started: Json = {**usage, "output_tokens": 0}
    yield {
        "type": "message_start",
        "message": {**whole, "content": [], "stop_reason": None, "usage": started},
    }
    for index, (block, text) in enumerate(blocks(spoken, reply)):
        said = block["type"] == "text"
        opening: Json = {**block, "text": ""} if said else {**block, "input": {}}
        yield {"type": "content_block_start", "index": index, "content_block": opening}
        for piece in pieces(text):
            delta: Json = (
                {"type": "text_delta", "text": piece}
                if said
                else {"type": "input_json_delta", "partial_json": piece}
            )
            yield {"type": "content_block_delta", "index": index, "delta": delta}
        yield {"type": "content_block_stop", "index": index}
    stopped: Json = {"stop_reason": whole["stop_reason"], "stop_sequence": None}
    yield {"type": "message_delta", "delta": stopped, "usage": {"output_tokens": usage["output_tokens"]}}
    yield {"type": "message_stop"}


def blocks(spoken: tuple[Message, ...], reply: Reply) -> list[tuple[Json, str]]:
    """The content blocks of a reply, each with the text it is streamed as."""
    name = fingerprint(spoken)
    said: list[tuple[Json, str]] = [({"type": "text", "text": reply.text}, reply.text)] if reply.text else []
    for index, call in enumerate(reply.tool_calls):
        try:
            value = cast(object, json.loads(call.arguments or "{}"))
        except ValueError:
            # This dialect carries an object, not text: nearest to arguments that do not parse.
            value = {"unparsed": call.arguments}
        block: Json = {
            "type": "tool_use",
            "id": f"toolu_{name[:16]}_{index}",
            "name": call.name,
            "input": value,
        }
        said.append((block, call.arguments))
    return said


def problem(status: int, code: str, message: str) -> Json:
    """An error in the shape that Anthropic's clients read."""
    kind = PROBLEMS.get(status, "invalid_request_error" if status < 500 else "api_error")
    return {"type": "error", "error": {"type": kind, "message": f"{message} ({code})"}}
