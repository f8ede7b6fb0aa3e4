"""The Responses dialect: POST /v1/responses, as one JSON answer or as a stream of typed events.

The dialect lets a client name an earlier response instead of repeating the conversation. This endpoint
remembers nothing, so that form is refused with a sentence that says to send the whole conversation.
"""

from collections.abc import Iterator

from holdfast.testing.llm.script import Message, Reply
from holdfast.testing.llm.wire import (
    CREATED_S,
    BadRequest,
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
    """The messages of a request; items the model said in one answer count as one turn.

    Raises:
        BadRequest: the input cannot be read, or refers to an earlier response.
    """
    if request.get("previous_response_id"):
        raise BadRequest("this endpoint keeps no responses; send the whole conversation in `input`")
    instructions = request.get("instructions")
    spoken = [Message("system", text_of(instructions))] if instructions else []
    given = request.get("input")
    if isinstance(given, str):
        return (*spoken, Message("user", given))
    for entry in items(given, "input"):
        message = read_item(fields(entry, "an input item"))
        if message.role == "assistant" and spoken and spoken[-1].role == "assistant":
            spoken[-1] = Message("assistant", spoken[-1].text + message.text)
        else:
            spoken.append(message)
    return tuple(spoken)


def read_item(item: Json) -> Message:
    """One item of `input` as a message."""
    match item.get("type", "message"):
        case "function_call" | "reasoning" | "item_reference":
            return Message("assistant", "")
        case "function_call_output":
            return Message("tool", text_of(item.get("output")))
        case "message":
            return Message(str(item.get("role")), text_of(item.get("content")))
        case other:
            raise BadRequest(
                f"input items of type {other!r} are not scripted; use messages and function calls"
            )


def answer(request: Json, spoken: tuple[Message, ...], reply: Reply) -> Json:
    """The whole answer as one `response` object."""
    status = "incomplete" if reply.finish_reason == "length" else "completed"
    return response(request, spoken, reply, status, output(spoken, reply))


def stream(request: Json, spoken: tuple[Message, ...], reply: Reply) -> Iterator[bytes]:
    """The answer as numbered events, from `response.created` to `response.completed`."""
    for number, event in enumerate(events(request, spoken, reply)):
        yield sse({**event, "sequence_number": number}, event=str(event["type"]))


def events(request: Json, spoken: tuple[Message, ...], reply: Reply) -> Iterator[Json]:
    """The events of a stream, not yet numbered."""
    opening = response(request, spoken, reply, "in_progress", [])
    yield {"type": "response.created", "response": opening}
    yield {"type": "response.in_progress", "response": opening}
    for index, item in enumerate(output(spoken, reply)):
        where: Json = {"item_id": item["id"], "output_index": index}
        if item["type"] == "message":
            yield from message_events(item, where, reply.text)
        else:
            yield from call_events(item, where)
    closing = answer(request, spoken, reply)
    yield {"type": f"response.{closing['status']}", "response": closing}


def message_events(item: Json, where: Json, text: str) -> Iterator[Json]:
    """The events of a text item."""
    place: Json = {**where, "content_index": 0}
    index = where["output_index"]
    started: Json = {**item, "status": "in_progress", "content": []}
    yield {"type": "response.output_item.added", "output_index": index, "item": started}
    yield {"type": "response.content_part.added", **place, "part": text_part("")}
    for piece in pieces(text):
        yield {"type": "response.output_text.delta", **place, "delta": piece, "logprobs": []}
    yield {"type": "response.output_text.done", **place, "text": text, "logprobs": []}
    yield {"type": "response.content_part.done", **place, "part": text_part(text)}
    yield {"type": "response.output_item.done", "output_index": index, "item": item}


def call_events(item: Json, where: Json) -> Iterator[Json]:
    """The events of a function call item."""
    index, arguments = where["output_index"], str(item["arguments"])
    started: Json = {**item, "status": "in_progress", "arguments": ""}
    yield {"type": "response.output_item.added", "output_index": index, "item": started}
    for piece in pieces(arguments):
        yield {"type": "response.function_call_arguments.delta", **where, "delta": piece}
    done: Json = {"arguments": arguments, "name": item["name"]}
    yield {"type": "response.function_call_arguments.done", **where, **done}
    yield {"type": "response.output_item.done", "output_index": index, "item": item}


def output(spoken: tuple[Message, ...], reply: Reply) -> list[Json]:
    """The reply as output items: the text first, then one function call per tool call."""
    name = fingerprint(spoken)
    said: list[Json] = []
    if reply.text:
        content = [text_part(reply.text)]
        said.append(
            {
                "id": f"msg_{name}",
                "type": "message",
                "status": "completed",
                "role": "assistant",
                "content": content,
            }
        )
    for index, call in enumerate(reply.tool_calls):
        said.append(
            {
                "id": f"fc_{name}_{index}",
                "type": "function_call",
                "status": "completed",
                "call_id": f"call_{name[:16]}_{index}",
                "name": call.name,
                "arguments": call.arguments,
            }
        )
    return said


def text_part(text: str) -> Json:
    """A text part of a message item."""
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def response(request: Json, spoken: tuple[Message, ...], reply: Reply, status: str, said: list[Json]) -> Json:
    """A `response` object; usage only once it is completed."""
    sent, received = usage_of(spoken, reply)
    usage: Json = {
        "input_tokens": sent,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": received,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": sent + received,
    }
    return {
        "id": f"resp_{fingerprint(spoken)}",
        "object": "response",
        "created_at": CREATED_S,
        "model": request.get("model"),
        "status": status,
        "error": None,
        "incomplete_details": {"reason": "max_output_tokens"} if status == "incomplete" else None,
        "instructions": request.get("instructions"),
        "metadata": {},
        "output": said,
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": request.get("tools") or [],
        "usage": None if status == "in_progress" else usage,
    }
