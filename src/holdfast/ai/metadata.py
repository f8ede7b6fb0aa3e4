"""The description a model or tool step carries in the journal, bounded.

It is for people who look: stored with the step, never replayed, never read by the handler. So what is too
long is cut, and says so; what cannot be written is shown by its class. A step may have 64 KiB of it in all.

    messages    the newest that fit, and how many were left out
    response    what the model said and the tools it asked for
    arguments   of a tool call
"""

import json
from collections.abc import Mapping, Sequence
from typing import cast

import msgspec

MESSAGES_BYTES_MAX = 16 * 1024
"""Of the conversation, the newest messages that fit; JSON bytes."""

MESSAGE_BYTES_MAX = 8 * 1024
"""Of one message: text beyond is cut, so that one long document does not hide the rest."""

RESPONSE_BYTES_MAX = 16 * 1024
"""Of what the model answered."""

ARGUMENTS_BYTES_MAX = 8 * 1024
"""Of the arguments of one tool call."""

CUT_MARK = "… (cut)"

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]


def bounded_messages(
    messages: Sequence[Mapping[str, object]], bytes_max: int = MESSAGES_BYTES_MAX
) -> tuple[list[dict[str, Json]], int]:
    """The newest messages that fit, oldest first, and how many were left out.

    Args:
        messages: `{role, content, tool_calls?: [{id, name, arguments}], tool_call_id?}`, oldest first.
            Content may also be a list of parts, whose texts are joined. Read from the newest on, no further
            than what fits.
    """
    kept: list[dict[str, Json]] = []
    left = bytes_max
    for message in reversed(messages):
        shown = _message(message, min(MESSAGE_BYTES_MAX, bytes_max))
        left -= _size(shown)
        if left < 0:
            break
        kept.append(shown)
    kept.reverse()
    return kept, len(messages) - len(kept)


def bounded_response(
    content: str | None, tool_calls: Sequence[Mapping[str, object]] = (), bytes_max: int = RESPONSE_BYTES_MAX
) -> dict[str, Json]:
    """What the model answered, as a step shows it: `{content, tool_calls}`.

    Args:
        tool_calls: `{id, name, arguments}` each.
    """
    calls = _tool_calls(tool_calls, bytes_max // 2)
    left = max(0, bytes_max - _size(calls))
    return {"content": None if content is None else bounded_text(content, left), "tool_calls": calls}


def bounded_arguments(arguments: object, bytes_max: int = ARGUMENTS_BYTES_MAX) -> Json:
    """The arguments of a tool call as JSON data when they fit, else as text cut off."""
    data: Json
    if isinstance(arguments, str):
        try:
            data = _decode(arguments)
        except (ValueError, RecursionError):  # msgspec's own errors are ValueErrors
            return bounded_text(arguments, bytes_max)
    else:
        data = plain(arguments)
    if _size(data) <= bytes_max:
        return data
    return bounded_text(json.dumps(data, ensure_ascii=False), bytes_max)


def bounded_text(text: str, bytes_max: int) -> str:
    """The beginning of a text, in whole characters, marked where it was cut."""
    if len(text) <= bytes_max and text.isascii():
        return text
    # As it will be written: lone surrogates, which UTF-8 does not have, become question marks.
    encoded = text.encode(errors="replace")
    if len(encoded) <= bytes_max:
        return encoded.decode()
    room = max(0, bytes_max - len(CUT_MARK.encode()))
    return encoded[:room].decode(errors="ignore") + CUT_MARK


def plain(value: object, depth: int = 16) -> Json:
    """A value as JSON data; what has no JSON form, by its class.

    Args:
        depth: how deep containers are followed.
    """
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if value == value and abs(value) != float("inf") else repr(value)
    if isinstance(value, str):
        return _text(value)
    if depth == 0:
        return "…"
    if isinstance(value, Mapping):
        items = cast(Mapping[object, object], value)
        return {_text(str(key)): plain(item, depth - 1) for key, item in items.items()}
    if isinstance(value, list | tuple):
        return [plain(item, depth - 1) for item in cast(Sequence[object], value)]
    dump = getattr(value, "model_dump", None)
    if callable(dump):  # a pydantic model
        return plain(dump(mode="json"), depth - 1)
    return f"<{type(value).__qualname__}>"


def _message(message: Mapping[str, object], bytes_max: int) -> dict[str, Json]:
    shown: dict[str, Json] = {
        "role": _text(str(message.get("role", ""))),
        "content": bounded_text(_content(message.get("content")), bytes_max),
    }
    calls = message.get("tool_calls")
    if isinstance(calls, Sequence) and calls:
        shown["tool_calls"] = _tool_calls(cast(Sequence[Mapping[str, object]], calls), bytes_max)
    call_id = message.get("tool_call_id")
    if isinstance(call_id, str):
        shown["tool_call_id"] = _text(call_id)
    return shown


def _content(content: object) -> str:
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if isinstance(content, Sequence):
        return "".join(_part(part) for part in cast(Sequence[object], content))
    return json.dumps(plain(content), ensure_ascii=False)


def _part(part: object) -> str:
    if isinstance(part, str):
        return part
    if isinstance(part, Mapping):
        fields = cast(Mapping[str, object], part)
        text = fields.get("text")
        if isinstance(text, str):
            return text
        return f"[{fields.get('type', 'part')}]"
    return f"[{type(part).__qualname__}]"


def _tool_calls(calls: Sequence[Mapping[str, object]], bytes_max: int) -> list[Json]:
    """Tool calls in the flat shape; those of Chat Completions, with `function` inside, are flattened."""
    shown: list[Json] = []
    left = bytes_max
    for call in calls:
        inner = call.get("function")
        named = cast(Mapping[str, object], inner) if isinstance(inner, Mapping) else call
        arguments = named.get("arguments", "")
        text = arguments if isinstance(arguments, str) else json.dumps(plain(arguments), ensure_ascii=False)
        one: dict[str, Json] = {
            "id": _text(str(call.get("id", ""))),
            "name": _text(str(named.get("name", ""))),
            "arguments": bounded_text(text, max(0, min(ARGUMENTS_BYTES_MAX, left))),
        }
        left -= _size(one)
        if left < 0 and shown:
            break
        shown.append(one)
    return shown


def _text(text: str) -> str:
    """A text as it can be written; see `bounded_text`."""
    return text if text.isascii() else text.encode(errors="replace").decode()


def _size(value: Json | Mapping[str, Json] | Sequence[Json]) -> int:
    """Bytes, as they will be written."""
    return len(_encode(value))
