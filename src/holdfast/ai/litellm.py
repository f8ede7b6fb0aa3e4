"""LiteLLM's `acompletion` and `aresponses` as journaled steps: the same arguments, the same answers.

    from holdfast.ai.litellm import acompletion

    answer = await acompletion("openai/gpt-5", messages, tools=[wire_money.schema()])

In a handler, one call is one step named after the model; outside a handler it is LiteLLM's own call. Its
retries are turned off in a handler, whatever is asked for: the engine retries, with the delay the provider
asks for. What LiteLLM calls a bad request, or a refused key, ends the step for good.

`acompletion(..., stream=True)` gives an async iterator of the chunks. The whole stream is read inside the
step and then given out of the journal, so nobody sees a piece of an answer that is tried again; and it comes
no sooner than a whole answer would. Its usage is known when the request asks for it:
`stream_options={"include_usage": True}`.
"""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from importlib import import_module
from inspect import signature
from typing import Any, Final, cast

from holdfast.ai.metadata import Json, bounded_response
from holdfast.ai.steps import model_step
from holdfast.ai.strict import in_handler
from holdfast.sdk.errors import UsageError

try:
    # By name: a type checker would read all of it.
    _litellm: Final[Any] = import_module("litellm")
except ModuleNotFoundError as error:
    if error.name != "litellm":
        raise
    raise ImportError(
        "holdfast.ai.litellm needs the package litellm; install it with: pip install 'holdfast[litellm]'"
    ) from error

FRAMEWORK: Final = "litellm"

NO_RETRIES: Final = {"max_retries": 0, "num_retries": 0}
"""LiteLLM's two ways of saying so."""

_HIDDEN: Final = "_hidden_params"
_COST: Final = "response_cost"


async def acompletion(*args: Any, **kwargs: Any) -> Any:
    """`litellm.acompletion`, journaled; see the module's text.

    Returns:
        What LiteLLM returns: a `ModelResponse`, or with `stream=True` an async iterator of its chunks.
    Raises:
        TerminalError: the provider refused for good.
    """
    if not in_handler():
        return await _litellm.acompletion(*args, **kwargs)
    asked = _arguments(_CHAT, args, kwargs)
    messages = list(asked.get("messages") or ())
    # The list as it is now: the body runs later, and the handler may go on with it.
    request = {**asked, "messages": messages, **NO_RETRIES}
    model, provider = _model_and_provider(request)

    async def whole() -> Any:
        return await _litellm.acompletion(**request)

    async def streamed() -> list[Any]:
        return [chunk async for chunk in await _litellm.acompletion(**request)]

    def describe_chunks(chunks: list[Any]) -> Mapping[str, Json]:
        answer = _litellm.stream_chunk_builder(chunks, messages=messages)
        # Without the provider's usage LiteLLM would put in an estimate of its own.
        counted = any(getattr(chunk, "usage", None) is not None for chunk in chunks)
        return _describe(answer, counted=counted)

    async def step(body: Callable[[], Awaitable[Any]], serde: Any, describe: Callable[[Any], Any]) -> Any:
        return await model_step(
            model,
            body,
            serde=serde,
            provider=provider,
            model=model,
            framework=FRAMEWORK,
            messages=[_fields(message) for message in messages],
            describe=describe,
        )

    if request.get("stream"):
        return Chunks(await step(streamed, _CHUNKS, describe_chunks))
    return await step(whole, _ANSWER, _describe)


async def aresponses(*args: Any, **kwargs: Any) -> Any:
    """`litellm.aresponses`, journaled; see the module's text.

    Raises:
        UsageError: `stream_unsupported`: with `stream=True`, in a handler.
        TerminalError: the provider refused for good.
    """
    if not in_handler():
        return await _litellm.aresponses(*args, **kwargs)
    request = {**_arguments(_RESPONSES, args, kwargs), **NO_RETRIES}
    if request.get("stream"):
        raise UsageError(
            "stream_unsupported",
            "aresponses(stream=True) in a handler: its events are not journaled; leave stream out, or use "
            "acompletion(..., stream=True)",
        )
    model, provider = _model_and_provider(request)

    async def body() -> Any:
        return await _litellm.aresponses(**request)

    return await model_step(
        model,
        body,
        serde=_RESPONSE,
        provider=provider,
        model=model,
        framework=FRAMEWORK,
        messages=_input_messages(request),
        describe=_describe_response,
    )


class Chunks(AsyncIterator[Any]):
    """The chunks of a recorded stream, each once.

    Attributes:
        chunks: all of them.
    """

    def __init__(self, chunks: list[Any]) -> None:
        self.chunks = chunks
        self._left = iter(chunks)

    def __aiter__(self) -> "Chunks":
        return self

    async def __anext__(self) -> Any:
        for chunk in self._left:
            return chunk
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Nothing is open any more."""


# What is journaled.


class _AnswerSerde:
    """LiteLLM's answers, which are pydantic models, as their JSON; with the cost LiteLLM reckoned, if any.

    Args:
        model: the class they are of.
    """

    content_type: str | None = "application/json"

    def __init__(self, model: Callable[..., Any]) -> None:
        self._model = model

    def serialize(self, value: Any, /) -> bytes:
        data = cast(dict[str, Any], value.model_dump(mode="json", exclude_none=True, warnings=False))
        cost = _cost(value)
        if cost is not None:
            data[_HIDDEN] = {_COST: cost}
        return json.dumps(data, ensure_ascii=False).encode(errors="replace")

    def deserialize(self, data: bytes, /) -> Any:
        fields = json.loads(data)
        hidden = fields.pop(_HIDDEN, None)
        value = self._model(**fields)
        if hidden is not None:
            value._hidden_params = {**_hidden(value), **hidden}
        return value

    def schema(self) -> dict[str, object] | None:
        return None


class _ChunksSerde:
    """A stream's chunks as a JSON list."""

    content_type: str | None = "application/json"

    def serialize(self, value: list[Any], /) -> bytes:
        listed = [chunk.model_dump(mode="json", exclude_none=True, warnings=False) for chunk in value]
        return json.dumps(listed, ensure_ascii=False).encode(errors="replace")

    def deserialize(self, data: bytes, /) -> list[Any]:
        return [_litellm.ModelResponseStream(**chunk) for chunk in json.loads(data)]

    def schema(self) -> dict[str, object] | None:
        return None


_ANSWER: Final = _AnswerSerde(_litellm.ModelResponse)
_RESPONSE: Final = _AnswerSerde(_litellm.ResponsesAPIResponse)
_CHUNKS: Final = _ChunksSerde()


def _hidden(answer: Any) -> Mapping[str, Any]:
    """What LiteLLM knows besides the answer."""
    found: Mapping[str, Any] | None = getattr(answer, _HIDDEN, None)
    return found or {}


def _cost(answer: Any) -> float | None:
    """In US dollars, as LiteLLM reckons; None for models it has no price of."""
    cost = _hidden(answer).get(_COST)
    return cost if isinstance(cost, float | int) else None


# What people see of it.


def _describe(answer: Any, *, counted: bool = True) -> Mapping[str, Json]:
    shown: dict[str, Json] = {"request_id": str(getattr(answer, "id", "") or "")}
    if counted:
        shown |= _tokens(getattr(answer, "usage", None), "prompt_tokens", "completion_tokens")
    for choice in answer.choices[:1]:
        message = choice.message
        calls = [_fields(call) for call in message.tool_calls or ()]
        shown["finish_reason"] = str(choice.finish_reason or "")
        shown["response"] = bounded_response(message.content, calls)
    cost = _cost(answer)
    if cost is not None:
        shown["cost_usd"] = cost
    return shown


def _describe_response(answer: Any) -> Mapping[str, Json]:
    output = [_fields(item) for item in answer.output]
    texts = [
        str(_fields(part).get("text") or "")
        for item in output
        if item.get("type") == "message"
        for part in cast(Sequence[object], item.get("content") or ())
    ]
    calls = [
        {"id": item.get("call_id"), "name": item.get("name"), "arguments": item.get("arguments")}
        for item in output
        if item.get("type") == "function_call"
    ]
    return {
        "request_id": str(getattr(answer, "id", "") or ""),
        "finish_reason": str(getattr(answer, "status", "") or ""),
        "response": bounded_response("".join(texts) or None, calls),
        **_tokens(getattr(answer, "usage", None), "input_tokens", "output_tokens"),
    }


def _tokens(usage: Any, tokens_in: str, tokens_out: str) -> dict[str, Json]:
    found = {"tokens_in": getattr(usage, tokens_in, None), "tokens_out": getattr(usage, tokens_out, None)}
    return {name: count for name, count in found.items() if isinstance(count, int)}


def _fields(item: Any) -> Mapping[str, object]:
    """A message, part or tool call, which users give as dicts or as LiteLLM's own classes."""
    if isinstance(item, Mapping):
        return cast(Mapping[str, object], item)
    dump = getattr(item, "model_dump", None)
    return cast(Mapping[str, object], dump(mode="json", warnings=False)) if callable(dump) else {}


def _input_messages(request: Mapping[str, Any]) -> list[Mapping[str, object]]:
    given = request.get("input")
    instructions = request.get("instructions")
    messages: list[Mapping[str, object]] = []
    if instructions:
        messages.append({"role": "system", "content": instructions})
    if isinstance(given, str):
        return [*messages, {"role": "user", "content": given}]
    for item in map(_fields, cast(Sequence[object], given or ())):
        if item.get("type") == "function_call_output":
            call_id = item.get("call_id")
            messages.append({"role": "tool", "content": item.get("output"), "tool_call_id": call_id})
        elif item.get("type") == "function_call":
            call = {"id": item.get("call_id"), "name": item.get("name"), "arguments": item.get("arguments")}
            messages.append({"role": "assistant", "content": None, "tool_calls": [call]})
        else:
            messages.append(item)
    return messages


# How it is asked for.

_CHAT: Final = tuple(signature(_litellm.acompletion).parameters)
_RESPONSES: Final = tuple(signature(_litellm.aresponses).parameters)

for _ours, _theirs in ((acompletion, _litellm.acompletion), (aresponses, _litellm.aresponses)):
    # For editors, `help` and whoever asks.
    setattr(_ours, "__signature__", signature(_theirs))  # noqa: B010 - no attribute type checkers know


def _arguments(names: Sequence[str], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """All arguments by name; too many of them are left to LiteLLM to refuse."""
    named = dict(zip(names, args, strict=False))
    twice = named.keys() & kwargs.keys()
    if twice:
        raise TypeError(f"got multiple values for argument {sorted(twice)[0]!r}")
    return {**named, **kwargs}


def _model_and_provider(request: Mapping[str, Any]) -> tuple[str, str]:
    """The model's name without its provider, and the provider's."""
    model = str(request.get("model"))
    try:
        name, provider, _, _ = _litellm.get_llm_provider(
            model=model,
            custom_llm_provider=request.get("custom_llm_provider"),
            api_base=request.get("api_base") or request.get("base_url"),
        )
    except _litellm.exceptions.BadRequestError:
        # The call itself will say what is wrong with it.
        return model, "unknown"
    return str(name), str(provider)
