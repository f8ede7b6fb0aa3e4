"""A model's answer comes back as the client made it, whether it is what the API promises or not."""

from __future__ import annotations

from typing import Any

import pytest
from agents import ModelResponse, Usage
from openai.types.responses import ResponseFunctionToolCall, ResponseOutputMessage

from holdfast.ai.openai_agents.journaled import AnswerSerde

CALL: dict[str, Any] = {"type": "function_call", "call_id": "c1", "name": "pay", "arguments": "{}"}
TEXT: dict[str, Any] = {"type": "output_text", "text": "done", "annotations": []}
MESSAGE: dict[str, Any] = {
    "type": "message",
    "id": "m",
    "role": "assistant",
    "status": "completed",
    "content": [TEXT],
}


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        (ResponseFunctionToolCall, CALL),
        (ResponseFunctionToolCall, CALL | {"arguments": None}),
        (ResponseFunctionToolCall, CALL | {"call_id": 7, "status": "half done"}),
        (ResponseFunctionToolCall, CALL | {"of_the_provider": {"cached": True}}),
        (ResponseOutputMessage, MESSAGE),
        (ResponseOutputMessage, MESSAGE | {"content": [TEXT | {"logprobs": [{"logprob": float("-inf")}]}]}),
        (ResponseOutputMessage, MESSAGE | {"content": [TEXT | {"text": "half \ud800"}], "role": "nobody"}),
    ],
)
def test_an_item_is_what_the_client_would_have_made(kind: Any, fields: dict[str, Any]) -> None:
    made = kind.construct(**fields)
    serde = AnswerSerde()
    read = serde.deserialize(serde.serialize(ModelResponse(output=[made], usage=Usage(), response_id=None)))
    (item,) = read.output
    assert type(item) is kind
    assert repr(item).replace("?", "\\ud800") == repr(made)
    assert _sent(item) == _sent(made)


def _sent(item: Any) -> str:
    """What the SDK sends of it with the next request."""
    return str(item.model_dump(exclude_unset=True, warnings=False)).replace("?", "\\ud800")
