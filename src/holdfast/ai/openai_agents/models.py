"""Models whose every request in a handler is one journaled step.

    RunConfig.model_provider ─▶ DurableProvider ─get_model()─▶ DurableModel ─▶ the vendor's model
    Agent.model = a Model ─────────────────────────────────▶ DurableModel ─▶ that model

The step's body is the vendor's own call, on the process's loop, with the client's retries off: what failed
for now is tried again by the engine, which survives the process. A streamed answer is one step too; its
events are journaled and handed on when they are all there, so a replay streams the same events, and an answer
that broke off in the middle was never seen by the handler.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from copy import copy, deepcopy
from typing import Any

from agents import Model, ModelProvider, ModelResponse
from agents.exceptions import ModelRefusalError, UserError
from agents.items import TResponseStreamEvent
from agents.models._retry_runtime import (
    provider_managed_retries_disabled,
    websocket_pre_event_retries_disabled,
)
from agents.retry import ModelRetryAdvice, ModelRetryAdviceRequest, ModelRetryNormalizedError

from holdfast.ai.metadata import Json
from holdfast.ai.openai_agents.journaled import AnswerSerde, StreamSerde
from holdfast.ai.openai_agents.shown import describe_answer, describe_stream, final_response, messages
from holdfast.ai.steps import model_step
from holdfast.ai.strict import in_handler
from holdfast.sdk.errors import RetryableError, TerminalError

FRAMEWORK = "openai-agents"

_REFUSED = ("response.failed", "error", "response.error")
"""Events with which a provider ends a stream that it could not finish."""

NO_RETRY = ModelRetryAdvice(suggested=False, normalized=ModelRetryNormalizedError(is_abort=True))
"""What the runner is told about errors in a handler: they are past retrying when it sees them."""


class DurableModel(Model):
    """A model as it is outside a handler, and journaled inside one. What else it has is the model's own."""

    def __init__(self, inner: Model, name: str | None = None) -> None:
        self._inner = inner
        own = getattr(inner, "model", None)
        self.step_name = name or (own if isinstance(own, str) and own else type(inner).__name__)

    @property  # type: ignore[misc]
    def __class__(self) -> type:  # pyright: ignore[reportIncompatibleMethodOverride]
        # The SDK, and perhaps the user, asks which kind of model it is: the answer must stay what it was.
        return type(self._inner)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def __copy__(self) -> DurableModel:
        return DurableModel(copy(self._inner), self.step_name)

    def __deepcopy__(self, memo: dict[int, Any]) -> DurableModel:
        return DurableModel(deepcopy(self._inner, memo), self.step_name)

    @property
    def provider(self) -> str:
        """Who answers, for people."""
        return provider_of(self._inner)

    async def get_response(self, *args: Any, **kwargs: Any) -> ModelResponse:
        """As of `Model`; one step inside a handler."""
        inner = self._inner
        if not in_handler():
            return await inner.get_response(*args, **kwargs)

        async def body() -> ModelResponse:
            with provider_managed_retries_disabled(True), websocket_pre_event_retries_disabled(True):
                return await inner.get_response(*args, **kwargs)

        return await model_step(
            self.step_name,
            _last_word(body),
            serde=AnswerSerde(),
            provider=self.provider,
            model=self.step_name,
            framework=FRAMEWORK,
            messages=_conversation(args, kwargs),
            describe=describe_answer,
        )

    def stream_response(self, *args: Any, **kwargs: Any) -> AsyncIterator[TResponseStreamEvent]:
        """As of `Model`; one step inside a handler."""
        if not in_handler():
            return self._inner.stream_response(*args, **kwargs)
        return self._journaled_stream(args, kwargs)

    async def _journaled_stream(
        self, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> AsyncGenerator[TResponseStreamEvent, None]:
        inner = self._inner

        async def body() -> Sequence[TResponseStreamEvent]:
            with provider_managed_retries_disabled(True), websocket_pre_event_retries_disabled(True):
                return whole([event async for event in inner.stream_response(*args, **kwargs)])

        def describe(events: Sequence[TResponseStreamEvent]) -> dict[str, Json]:
            return dict(describe_stream(events))

        events = await model_step(
            self.step_name,
            _last_word(body),
            serde=StreamSerde(),
            provider=self.provider,
            model=self.step_name,
            framework=FRAMEWORK,
            messages=_conversation(args, kwargs),
            describe=describe,
        )
        for event in events:
            yield event

    def get_retry_advice(self, request: ModelRetryAdviceRequest) -> ModelRetryAdvice | None:
        """As of `Model`; in a handler, never: the engine has retried already."""
        return NO_RETRY if in_handler() else self._inner.get_retry_advice(request)

    async def close(self) -> None:
        """As of `Model`."""
        await self._inner.close()

    async def _cleanup_on_run_end(self, owner: object) -> None:
        # In a handler nothing is open: requests are made, and end, in steps on another loop.
        if not in_handler():
            await self._inner._cleanup_on_run_end(owner)


class DurableProvider(ModelProvider):
    """A provider whose models are durable. What else it has is the provider's own."""

    def __init__(self, inner: ModelProvider) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def get_model(self, model_name: str | None) -> Model:
        """As of `ModelProvider`."""
        return durable_model(self._inner.get_model(model_name))

    async def aclose(self) -> None:
        """As of `ModelProvider`."""
        await self._inner.aclose()


def durable_model(model: Model) -> Model:
    """The model made durable, once."""
    return model if type(model) is DurableModel else DurableModel(model)


def durable_provider(provider: ModelProvider) -> ModelProvider:
    """The provider made durable, once."""
    return provider if isinstance(provider, DurableProvider) else DurableProvider(provider)


def provider_of(model: Model) -> str:
    """A name for who answers: "openai", "litellm", or the class's."""
    kind = type(model)
    if kind.__module__.startswith("agents.models.openai"):
        return "openai"
    return kind.__name__.removesuffix("Model").lower() or kind.__name__


def whole(events: Sequence[TResponseStreamEvent]) -> Sequence[TResponseStreamEvent]:
    """The events of a stream that came to its end.

    Raises:
        RetryableError: it was cut, or the provider ended it with an error.
    """
    for event in events:
        if event.type in _REFUSED:
            raise RetryableError(f"the model provider ended the stream with {event.type}: {event!r}"[:1000])
    if final_response(events) is None:
        raise RetryableError(f"the stream of the model's answer broke off after {len(events)} events")
    return events


def _last_word(body: Callable[[], Awaitable[Any]]) -> Callable[[], Awaitable[Any]]:
    """The body, whose errors that no retry can change end the step."""

    async def called() -> Any:
        try:
            return await body()
        except (UserError, ModelRefusalError) as error:
            raise TerminalError(f"{type(error).__name__}: {error}") from error

    return called


def _conversation(args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[dict[str, object]]:
    instructions = kwargs.get("system_instructions", args[0] if args else None)
    given = kwargs.get("input", args[1] if len(args) > 1 else "")
    return messages(instructions, given)
