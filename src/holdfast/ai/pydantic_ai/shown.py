"""What people see of a request to a model: messages, tokens and answer in the words of step metadata."""

from collections.abc import Iterator, Mapping, Sequence

from pydantic_ai.messages import (
    BaseToolCallPart,
    BaseToolReturnPart,
    ModelMessage,
    ModelRequest,
    ModelResponse,
    RetryFeedbackPart,
    SystemPromptPart,
    TextPart,
    UserPromptPart,
)

from holdfast.ai.metadata import Json, bounded_response


def shown_messages(messages: Sequence[ModelMessage]) -> list[dict[str, object]]:
    """The conversation as `model_step` takes it, oldest first."""
    shown = [one for message in messages for one in _shown(message)]
    # Each request of a run carries the instructions; the newest ones are sent, in front.
    newest = messages[-1] if messages else None
    if isinstance(newest, ModelRequest) and newest.instructions:
        shown.insert(0, {"role": "system", "content": newest.instructions})
    return shown


def described(response: ModelResponse) -> Mapping[str, Json]:
    """What an answer tells about its step."""
    usage = response.usage
    described: dict[str, Json] = {
        "tokens_in": usage.input_tokens,
        "tokens_out": usage.output_tokens,
        "response": bounded_response(_text(response), _tool_calls(response)),
    }
    if response.finish_reason is not None:
        described["finish_reason"] = response.finish_reason
    if response.provider_response_id is not None:
        described["request_id"] = response.provider_response_id
    # A fallback may have asked another one than the step was begun for.
    if response.provider_name is not None:
        described["provider"] = response.provider_name
    if response.model_name is not None:
        described["model"] = response.model_name
    return described


def _shown(message: ModelMessage) -> Iterator[dict[str, object]]:
    if isinstance(message, ModelResponse):
        yield {
            "role": "assistant",
            "content": _text(message) or "",
            **({"tool_calls": calls} if (calls := _tool_calls(message)) else {}),
        }
    else:
        for part in message.parts:
            if isinstance(part, SystemPromptPart):
                yield {"role": "system", "content": part.content}
            elif isinstance(part, UserPromptPart):
                yield {"role": "user", "content": part.content}
            elif isinstance(part, BaseToolReturnPart):
                yield {
                    "role": "tool",
                    "content": part.model_response_str(),
                    "tool_call_id": part.tool_call_id,
                }
            elif isinstance(part, RetryFeedbackPart):
                yield {"role": "user", "content": part.model_response()}


def _text(response: ModelResponse) -> str | None:
    texts = [part.content for part in response.parts if isinstance(part, TextPart)]
    return "\n".join(texts) if texts else None


def _tool_calls(response: ModelResponse) -> list[dict[str, object]]:
    return [
        {"id": part.tool_call_id, "name": part.tool_name, "arguments": part.args_as_json_str()}
        for part in response.parts
        if isinstance(part, BaseToolCallPart)
    ]
