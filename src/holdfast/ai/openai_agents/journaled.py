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

from agents import ModelResponse
from agents.items import TResponseStreamEvent
from agents.tool import ToolOutputFileContent, ToolOutputImage, ToolOutputText
from pydantic import BaseModel, TypeAdapter

from holdfast.sdk.errors import SerializeError
from holdfast.sdk.serde import JSON, Serde

JSON_TYPE: Final = "application/json"
KIND: Final = "$tool_result"
"""Marks a result that is more than plain JSON; no tool returns a key with a dollar sign by chance."""

REQUEST_ID: Final = "$request_id"
"""The transport's id of a streamed response, which the SDK keeps beside its fields."""

_SDK_OUTPUTS: dict[str, type[BaseModel]] = {
    "text": ToolOutputText,
    "image": ToolOutputImage,
    "file": ToolOutputFileContent,
}


class AnswerSerde:
    """A model's answer, all of it: output items, usage, ids."""

    content_type: Final = JSON_TYPE

    def serialize(self, value: ModelResponse, /) -> bytes:
        """As JSON."""
        return _answers().dump_json(value, warnings=False)

    def deserialize(self, data: bytes, /) -> ModelResponse:
        """The answer as it was."""
        return _answers().validate_json(data)

    def schema(self) -> None:
        """The SDK's types, which are no business of ours."""
        return None


class StreamSerde:
    """The events of a streamed answer, as a JSON list."""

    content_type: Final = JSON_TYPE

    def serialize(self, value: Sequence[TResponseStreamEvent], /) -> bytes:
        """Only the fields that the provider sent."""
        return json.dumps([_event_fields(event) for event in value], ensure_ascii=False).encode()

    def deserialize(self, data: bytes, /) -> Sequence[TResponseStreamEvent]:
        """The events, each as the class that its type names."""
        kinds = _event_classes()
        events: list[TResponseStreamEvent] = []
        for fields in cast("list[dict[str, Any]]", json.loads(data)):
            request_id = fields.pop(REQUEST_ID, None)
            kind = kinds.get(str(fields.get("type")))
            event = _any_event().validate_python(fields) if kind is None else kind.model_validate(fields)
            if request_id is not None:
                cast(Any, event).response._request_id = request_id
            events.append(cast(TResponseStreamEvent, event))
        return events

    def schema(self) -> None:
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

    content_type: Final = JSON_TYPE

    def __init__(self, typed: Serde[Any] = JSON) -> None:
        self._typed = typed

    def serialize(self, value: ToolResult, /) -> bytes:
        """As JSON; see the module's text."""
        result = value.value
        if value.failed:
            written: object = {KIND: "failed", "value": str(result)}
        elif is_plain(result):
            written = result
        elif isinstance(result, tuple(_SDK_OUTPUTS.values())):
            written = {KIND: "output", "value": _dumped(result)}
        elif isinstance(result, list) and all(
            isinstance(one, tuple(_SDK_OUTPUTS.values())) for one in cast("list[object]", result)
        ):
            written = {KIND: "outputs", "value": [_dumped(one) for one in cast("list[Any]", result)]}
        else:
            written = self._by_type(result)
        return json.dumps(written, ensure_ascii=False).encode(errors="replace")

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

    def schema(self) -> None:
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


def _event_fields(event: TResponseStreamEvent) -> dict[str, Any]:
    fields = event.model_dump(mode="json", exclude_unset=True, warnings=False) | {"type": event.type}
    request_id = getattr(getattr(event, "response", None), "_request_id", None)
    return fields if request_id is None else fields | {REQUEST_ID: request_id}


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


def _dumped(output: BaseModel) -> dict[str, Any]:
    return output.model_dump(mode="json", exclude_none=True)


def _restored(fields: Mapping[str, Any]) -> BaseModel:
    return _SDK_OUTPUTS[fields["type"]].model_validate(fields)


@cache
def _answers() -> TypeAdapter[ModelResponse]:
    return TypeAdapter(ModelResponse)


@cache
def _any_event() -> TypeAdapter[TResponseStreamEvent]:
    return TypeAdapter(TResponseStreamEvent)


@cache
def _event_classes() -> Mapping[str, type[BaseModel]]:
    """Event classes by the `type` they carry: trying each of some fifty classes on each event takes long."""
    union: Any = TResponseStreamEvent
    members = get_args(union)
    if members and not isinstance(members[0], type):
        members = get_args(members[0])  # Annotated[Union[...], discriminator]
    found: dict[str, type[BaseModel]] = {}
    for member in members:
        field = getattr(member, "model_fields", {}).get("type")
        for name in get_args(getattr(field, "annotation", None)):
            found[name] = member
    return found
