"""What the dialects share: small typed readers over request JSON, stable ids, sizes and stream pieces."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import cast

from holdfast.testing.llm.script import Message, Reply

Json = dict[str, object]

CREATED_S = 1_700_000_000  # a constant: the same conversation gets the same bytes
PIECE_CHARS = 12  # how much of an answer one streamed piece carries


class BadRequest(Exception):
    """The request is not one this endpoint can read; the client's fault."""


def fields(value: object, what: str) -> Json:
    """`value` as a JSON object, or BadRequest naming `what` was wrong."""
    if not isinstance(value, dict):
        raise BadRequest(f"{what} must be a JSON object, found {type(value).__name__}")
    return cast(Json, value)


def items(value: object, what: str) -> list[object]:
    """`value` as a JSON list, or BadRequest naming `what` was wrong."""
    if not isinstance(value, list):
        raise BadRequest(f"{what} must be a JSON list, found {type(value).__name__}")
    return cast(list[object], value)


def text_of(content: object) -> str:
    """The text in a message's content: a string, a list of parts, or nothing."""
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    parts = [fields(part, "a content part") for part in items(content, "content")]
    return "".join(str(part.get("text", "")) for part in parts)


def fingerprint(conversation: tuple[Message, ...]) -> str:
    """Names a conversation: 24 hexadecimal digits, the same for the same messages."""
    spoken = json.dumps([[message.role, message.text] for message in conversation])
    return hashlib.sha256(spoken.encode()).hexdigest()[:24]


def pieces(text: str) -> Iterator[str]:
    """The text in the pieces in which it is streamed; joined, they are the text."""
    for start in range(0, len(text), PIECE_CHARS):
        yield text[start : start + PIECE_CHARS]


def usage_of(spoken: tuple[Message, ...], reply: Reply) -> tuple[int, int]:
    """Tokens in and out: what the script says, else words, standing in for tokens."""
    sent, received = words(spoken), len(reply.text.split()) + 5 * len(reply.tool_calls)
    return (
        sent if reply.tokens_in is None else reply.tokens_in,
        received if reply.tokens_out is None else reply.tokens_out,
    )


def words(conversation: tuple[Message, ...]) -> int:
    """A stand-in for the number of input tokens."""
    return sum(len(message.text.split()) for message in conversation)


def problem(status: int, code: str, message: str) -> Json:
    """An error in the shape that OpenAI clients read."""
    kind = "invalid_request_error" if status < 500 else "server_error"
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def sse(data: Mapping[str, object], event: str | None = None) -> bytes:
    """One server-sent event."""
    head = "" if event is None else f"event: {event}\n"
    return f"{head}data: {json.dumps(data)}\n\n".encode()
