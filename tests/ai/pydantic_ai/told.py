"""A model without HTTP."""

from typing import Any

from pydantic_ai.messages import ModelMessage, ModelResponse, TextPart, ToolCallPart, ToolReturnPart
from pydantic_ai.models.function import AgentInfo, FunctionModel


class Told:
    """A model that asks for these tools in its first turn and then says what it was told."""

    def __init__(self, *calls: tuple[str, dict[str, Any]]) -> None:
        self.calls = calls
        self.requests = 0

    def model(self) -> FunctionModel:
        return FunctionModel(self.answer, model_name="told")

    def answer(self, messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        self.requests += 1
        if len(messages) == 1:
            parts = [
                ToolCallPart(name, arguments, tool_call_id=f"call_{number}")
                for number, (name, arguments) in enumerate(self.calls)
            ]
            return ModelResponse(parts=parts or [TextPart("nothing to do")])
        returned = [part for part in messages[-1].parts if isinstance(part, ToolReturnPart)]
        return ModelResponse(parts=[TextPart("; ".join(part.model_response_str() for part in returned))])
