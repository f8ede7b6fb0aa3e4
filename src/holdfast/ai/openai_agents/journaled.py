"""What of the SDK's results is journaled, and how it is written.

    Answer      a model's: a `ModelResponse`
    Stream      the events of a streamed answer, in order
    ToolResult  a tool's: text and plain data as JSON; what the SDK knows as an image or a file with its kind;
                what the tool's function is annotated with, by that type; anything else as the text that the
                model would have been shown

Replays read what was written, and so does the first attempt: an object that comes back otherwise than it was
is noticed in the first test and not in the first crash.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, cast, get_args

import pydantic
from agents import ModelResponse
from agents.items import TResponseOutputItem, TResponseStreamEvent
from agents.tool import ToolOutputFileContent, ToolOutputImage, ToolOutputText
from agents.usage import deserialize_usage, serialize_usage
from openai import BaseModel
from pydantic_core import to_json

from holdfast.sdk.errors import SerializeError
from holdfast.sdk.serde import JSON, Serde

JSON_TYPE: Final = "application/json"
KIND: Final = "$tool_result"
"""Marks a result that is more than plain JSON; no tool returns a key with a dollar sign by chance."""

KEPT: Final = "$kept"
"""Of a streamed response: the transport's request id and the like, which the SDK keeps beside its fields."""

_SDK_OUTPUTS: dict[str, type[pydantic.BaseModel]] = {
    "text": ToolOutputText,
    "image": ToolOutputImage,
    "file": ToolOutputFileContent,
}


class AnswerSerde:
    """A model's answer, all of it: output items, usage, ids."""

    content_type: str | None = JSON_TYPE

    def serialize(self, value: ModelResponse, /) -> bytes:
        """As JSON."""
        return _json(
            {
                "output": [_fields(item) for item in value.output],
                "usage": serialize_usage(value.usage),
                "response_id": value.response_id,
                "request_id": value.request_id,
                "raw_usage": value.raw_usage,
            }
        )

    def deserialize(self, data: bytes, /) -> ModelResponse:
        """The answer as it was."""
        read = cast("dict[str, Any]", json.loads(data))
        return ModelResponse(
            output=[_made(_output_classes(), item) for item in read["output"]],
            usage=deserialize_usage(read["usage"]),
            response_id=read["response_id"],
            request_id=read["request_id"],
            raw_usage=read["raw_usage"],
        )

    def schema(self) -> dict[str, object] | None:
        """None: the SDK's types are no business of ours."""
        return None


class StreamSerde:
    """The events of a streamed answer, as a JSON list."""

    content_type: str | None = JSON_TYPE

    def serialize(self, value: Sequence[TResponseStreamEvent], /) -> bytes:
        """Only the fields that the provider sent."""
        return _json([_fields(event) for event in value])

    def deserialize(self, data: bytes, /) -> Sequence[TResponseStreamEvent]:
        """The events, each as the class that its type names."""
        return [_made(_event_classes(), event) for event in json.loads(data)]

    def schema(self) -> dict[str, object] | None:
        """As of `AnswerSerde`."""
        return None


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What a tool came to.

    Attributes:
        value: what the SDK is given.
        failed: it is the SDK's own words for a failure, which it shows the model without checking them
            against the tool's output type.
    """

    value: Any
    failed: bool = False


class ToolResultSerde:
    """What one tool returns.

    Args:
        typed: of what the tool's function is annotated to return.
    """

    content_type: str | None = JSON_TYPE

    def __init__(self, typed: Serde[Any] = JSON) -> None:
        self._typed = typed

    def serialize(self, value: ToolResult, /) -> bytes:
        """As JSON; see the module's text."""
        result: object = value.value
        if value.failed:
            written: object = {KIND: "failed", "value": str(result)}
        elif is_plain(result):
            written = result
        elif isinstance(result, ToolOutputText | ToolOutputImage | ToolOutputFileContent):
            written = {KIND: "output", "value": _dumped(result)}
        elif (outputs := _sdk_outputs(result)) is not None:
            written = {KIND: "outputs", "value": [_dumped(one) for one in outputs]}
        else:
            written = self._by_type(result)
        return _json(written)

    def deserialize(self, data: bytes, /) -> ToolResult:
        """As it was."""
        read: Any = json.loads(data)
        if not isinstance(read, dict) or KIND not in read:
            return ToolResult(read)
        marked = cast("dict[str, Any]", read)
        value = marked["value"]
        match marked[KIND]:
            case "failed":
                return ToolResult(value, failed=True)
            case "output":
                return ToolResult(_restored(value))
            case "outputs":
                return ToolResult([_restored(one) for one in value])
            case _:
                return ToolResult(self._typed.deserialize(json.dumps(value).encode()))

    def schema(self) -> dict[str, object] | None:
        """Tools tell the model what they take, not what they give."""
        return None

    def _by_type(self, result: object) -> object:
        if self._typed is not JSON:
            try:
                typed = json.loads(self._typed.serialize(result))
            except (SerializeError, ValueError):
                pass
            else:
                return {KIND: "typed", "value": typed}
        return str(result)


def is_plain(value: object) -> bool:
    """Whether JSON gives it back as it is."""
    if value is None or type(value) in (str, bool, int, float):
        return True
    if type(value) is list:
        return all(is_plain(item) for item in cast("list[object]", value))
    if type(value) is dict:
        fields = cast("dict[object, object]", value)
        return KIND not in fields and all(
            type(name) is str and is_plain(item) for name, item in fields.items()
        )
    return False


def _sdk_outputs(result: object) -> list[pydantic.BaseModel] | None:
    if not isinstance(result, list):
        return None
    kinds = (ToolOutputText, ToolOutputImage, ToolOutputFileContent)
    found = [one for one in cast("list[object]", result) if isinstance(one, kinds)]
    return [*found] if len(found) == len(cast("list[object]", result)) else None


def _dumped(output: pydantic.BaseModel) -> dict[str, Any]:
    return output.model_dump(mode="json", exclude_none=True)


def _restored(fields: Mapping[str, Any]) -> pydantic.BaseModel:
    return _SDK_OUTPUTS[fields["type"]].model_validate(fields)


def _json(value: object) -> bytes:
    try:
        return to_json(value, inf_nan_mode="constants")
    except ValueError:  # half a character somewhere, which becomes a question mark
        return json.dumps(value, ensure_ascii=False).encode(errors="replace")


def _fields(item: Any) -> dict[str, Any]:
    """An item or event as the provider sent it, and what the SDK keeps beside its response's fields."""
    if isinstance(item, dict):
        return cast("dict[str, Any]", item)
    fields: dict[str, Any] = item.model_dump(mode="json", by_alias=True, exclude_unset=True, warnings=False)
    fields["type"] = item.type
    response: object = cast("dict[str, Any]", vars(item)).get("response")
    if response is None:
        return fields
    kept = {name: value for name, value in vars(response).items() if name.startswith("_") and is_plain(value)}
    return fields | {KEPT: kept} if kept else fields


def _made(classes: Mapping[str, type[BaseModel]], fields: dict[str, Any]) -> Any:
    """The item or event again, as the client made it: without asking whether it is what the API promises,
    since what compatible providers send often is not. What is comes to the same when it is validated, which
    takes a tenth of the time."""
    kept = fields.pop(KEPT, {})
    kind = classes.get(fields.get("type", ""), next(iter(classes.values())))
    made: Any
    try:
        made = kind.model_validate_json(to_json(fields, inf_nan_mode="constants"), strict=True)
    except ValueError:
        made = kind.construct(**fields)
    for name, value in kept.items():
        object.__setattr__(made.response, name, value)
    return made


@cache
def _output_classes() -> Mapping[str, type[BaseModel]]:
    return _by_type(TResponseOutputItem)


@cache
def _event_classes() -> Mapping[str, type[BaseModel]]:
    return _by_type(TResponseStreamEvent)


def _by_type(union: Any) -> Mapping[str, type[BaseModel]]:
    """The members of a union of the API's types, by the `type` that each carries."""
    members = get_args(union)
    if members and not isinstance(members[0], type):
        members = get_args(members[0])  # Annotated[Union[...], discriminator]
    found: dict[str, type[BaseModel]] = {}
    for member in members:
        field = getattr(member, "model_fields", {}).get("type")
        for name in get_args(getattr(field, "annotation", None)):
            found.setdefault(name, member)
    return found
