"""The Chat Completions dialect: POST /v1/chat/completions, as one JSON answer or as a stream of chunks."""

from collections.abc import Iterator

from holdfast.testing.llm.script import Message, Reply
from holdfast.testing.llm.wire import (
    CREATED_S,
    Json,
    fields,
    fingerprint,
    items,
    pieces,
    problem,
    sse,
    text_of,
    usage_of,
)

__all__ = ["answer", "conversation", "problem", "stream"]


def conversation(request: Json) -> tuple[Message, ...]:
    """The messages of a request. Raises BadRequest when they cannot be read."""
    messages = [fields(message, "a message") for message in items(request.get("messages"), "messages")]
    return tuple(Message(str(message.get("role")), text_of(message.get("content"))) for message in messages)


def answer(request: Json, spoken: tuple[Message, ...], reply: Reply) -> Json:
    """The whole answer as one `chat.completion` object."""
    message: Json = {"role": "assistant", "content": reply.text or None}
    if reply.tool_calls:
        message["tool_calls"] = tool_calls(spoken, reply)
    choice: Json = {"index": 0, "message": message, "logprobs": None, "finish_reason": reply.reason}
    return {
        "id": f"chatcmpl-{fingerprint(spoken)}",
        "object": "chat.completion",
        "created": CREATED_S,
        "model": request.get("model"),
        "choices": [choice],
        "usage": usage(spoken, reply),
    }


def stream(request: Json, spoken: tuple[Message, ...], reply: Reply) -> Iterator[bytes]:
    """The answer as `chat.completion.chunk` events: role, text, tool calls, reason, then usage."""
    shared: Json = {
        "id": f"chatcmpl-{fingerprint(spoken)}",
        "object": "chat.completion.chunk",
        "created": CREATED_S,
        "model": request.get("model"),
    }

    def chunk(delta: Json, finish: str | None = None) -> bytes:
        return sse({**shared, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})

    yield chunk({"role": "assistant", "content": ""})
    for piece in pieces(reply.text):
        yield chunk({"content": piece})
    for index, call in enumerate(reply.tool_calls):
        function: Json = {"name": call.name, "arguments": ""}
        opening: Json = {
            "index": index,
            "id": call_id(spoken, index),
            "type": "function",
            "function": function,
        }
        yield chunk({"tool_calls": [opening]})
        for piece in pieces(call.arguments):
            yield chunk({"tool_calls": [{"index": index, "function": {"arguments": piece}}]})
    yield chunk({}, reply.reason)
    if fields(request.get("stream_options") or {}, "stream_options").get("include_usage"):
        yield sse({**shared, "choices": [], "usage": usage(spoken, reply)})
    yield b"data: [DONE]\n\n"


def tool_calls(spoken: tuple[Message, ...], reply: Reply) -> list[Json]:
    """The reply's tool calls as the dialect writes them."""
    return [
        {
            "id": call_id(spoken, index),
            "type": "function",
            "function": {"name": call.name, "arguments": call.arguments},
        }
        for index, call in enumerate(reply.tool_calls)
    ]


def call_id(spoken: tuple[Message, ...], index: int) -> str:
    """Names one tool call of one answer, the same whenever the same answer is given."""
    return f"call_{fingerprint(spoken)[:16]}_{index}"


def usage(spoken: tuple[Message, ...], reply: Reply) -> Json:
    """As of `usage_of`."""
    prompt, completion = usage_of(spoken, reply)
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
