"""A model call and a tool call as one journaled step each, described for whoever looks at the journal.

Promises  the step's command is issued when the coroutine first runs, before it waits for anything, so calls
          gathered together start side by side, in the order in which they were made; outside a handler, and
          inside a step, the body runs plainly.
Never     runs a body whose result is in the journal.

What a body returns is written once, inside the step: a result that cannot be written, or a tool's that is too
long, ends the step for good, since running a tool again would repeat its effect and come to the same.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar, cast

from holdfast.ai.errors import as_step_error
from holdfast.ai.metadata import Json, bounded_arguments, bounded_messages
from holdfast.sdk.context.base import Context
from holdfast.sdk.context.variable import current_or_none
from holdfast.sdk.durations import Duration, seconds_of
from holdfast.sdk.errors import SerdeError, TerminalError
from holdfast.sdk.retry import Retry
from holdfast.sdk.serde.api import Serde
from holdfast.sdk.step_metadata import fixed_metadata
from holdfast.sdk.steps import Step, StepSpec

T = TypeVar("T")

log = logging.getLogger("holdfast.ai")

TOOL_RESULT_BYTES_MAX = 4 * 1024 * 1024
"""No model reads more; a tool that returned more would make every later request of the run as large."""

CONTENT = frozenset({"messages", "messages_left_out", "response", "arguments", "details"})
"""Metadata that repeats what is in payloads."""

MODEL_ANSWER_BYTES_MAX = 16 * 1024 * 1024
"""Answers with images or audio in them are large, so there is more room than for tools."""


async def model_step(
    name: str,
    body: Callable[[], Awaitable[T]],
    *,
    serde: Serde[T],
    provider: str,
    model: str,
    framework: str,
    messages: Sequence[Mapping[str, object]],
    describe: Callable[[T], Mapping[str, Json]],
    retry: Retry | None = None,
) -> T:
    """One request to a model.

    Args:
        name: what the journal calls it; the model's name reads best.
        body: makes the request, with the client's own retries off. Its errors are those of `as_step_error`.
        messages: the conversation, oldest first, as `metadata.bounded_messages` takes it.
        describe: of the answer: `tokens_in`, `tokens_out`, `finish_reason`, `response`, `request_id`.
        retry: for what is not the provider's last word; the invocation's policy when None.
    Returns:
        The answer as its bytes read, also the first time.
    Raises:
        TerminalError: the provider refused for good, or the answer cannot be stored.
    """
    context = current_or_none()
    if context is None:
        return await body()
    shown, left_out = bounded_messages(messages)
    metadata: dict[str, Json] = {
        "kind": "model",
        "provider": provider,
        "model": model,
        "framework": framework,
        "messages": cast(Json, shown),
        "messages_left_out": left_out,
    }
    written = _Written(name, body, serde, MODEL_ANSWER_BYTES_MAX, None)
    answer: T = await _run(context, written, retry, metadata, _quietly(name, describe))
    return answer


async def tool_step(
    name: str,
    body: Callable[[], Awaitable[T]],
    *,
    serde: Serde[T],
    tool: str,
    call_id: str,
    arguments: object,
    retry: Retry | None = None,
    timeout: Duration | None = None,  # noqa: ASYNC109 - of the body, which runs on another loop
) -> T:
    """One call of a tool.

    Args:
        name: what the journal calls it; `tool wire_money` reads best.
        body: runs the tool; it has no context, so it cannot call other handlers.
        tool, call_id: as the model asked for them.
        arguments: JSON data or the text the model wrote; shown in the journal, cut when long.
        retry: how failures are retried; the invocation's policy when None.
        timeout: how long one try may take, timedelta or seconds; then it is cancelled, and counts as failed.
    Returns:
        The result as its bytes read, also the first time.
    Raises:
        TerminalError: the tool raised it, or its policy is used up, or its result cannot be stored.
    """
    context = current_or_none()
    if context is None:
        return await body()
    metadata: dict[str, Json] = {
        "kind": "tool",
        "tool": tool,
        "call_id": call_id,
        "arguments": bounded_arguments(arguments),
    }
    timeout_s = None if timeout is None else seconds_of(timeout, "timeout")
    written = _Written(name, body, serde, TOOL_RESULT_BYTES_MAX, timeout_s)
    result: T = await _run(context, written, retry, metadata, None)
    return result


class _Written:
    """A body that returns its result as bytes already, and the serde that takes it so.

    Both are one object: the step's body is `call`, and its serde this.
    """

    def __init__(
        self,
        name: str,
        body: Callable[[], Awaitable[Any]],
        serde: Serde[Any],
        bytes_max: int,
        timeout_s: float | None,
    ) -> None:
        self.name = name
        self._body = body
        self._serde = serde
        self._bytes_max = bytes_max
        self._timeout_s = timeout_s
        self.read_twice = False
        """Set where a description reads the result before the handler does."""
        self._seen: tuple[bytes, Any] | None = None

    @property
    def content_type(self) -> str | None:
        """As of the result's own serde."""
        return self._serde.content_type

    def serialize(self, value: bytes, /) -> bytes:
        """What `call` returned."""
        return value

    def deserialize(self, data: bytes, /) -> Any:
        """The result; of the same bytes it is made once, for the description and the handler both."""
        seen, self._seen = self._seen, None
        if seen is not None and seen[0] is data:
            return seen[1]
        result = self._serde.deserialize(data)
        if self.read_twice:
            self._seen = data, result
        return result

    def schema(self) -> dict[str, object] | None:
        """As of the result's own serde."""
        return self._serde.schema()

    async def call(self) -> bytes:
        """The step's body: run, and write what comes of it."""
        try:
            result = await (self._body() if self._timeout_s is None else self._in_time(self._timeout_s))
        except TimeoutError:
            raise
        except Exception as error:
            found = as_step_error(error)
            if found is error:
                raise
            raise found from error
        try:
            data = self._serde.serialize(result)
        except SerdeError as error:
            raise TerminalError(f"the result of {self.name} cannot be journaled: {error}") from error
        if len(data) > self._bytes_max:
            raise TerminalError(
                f"the result of {self.name} has {len(data)} bytes; at most {self._bytes_max} are journaled. "
                "Return a part, a summary or a reference (a key, a URL) and keep the data elsewhere"
            )
        return data

    async def _in_time(self, timeout_s: float) -> Any:
        limit = asyncio.timeout(timeout_s)
        try:
            async with limit:
                return await self._body()
        except TimeoutError as error:
            if limit.expired():
                raise TimeoutError(f"{self.name} took longer than {timeout_s} seconds") from error
            raise


class _DescribedStep(Step[[], Any]):
    """A step made for one call: its function is nobody's to look at, so nothing is read from it."""

    def __init__(self, body: Callable[[], Awaitable[Any]], spec: StepSpec) -> None:
        self.function = body
        self.spec = spec


async def _run(
    context: object,
    written: _Written,
    retry: Retry | None,
    metadata: Mapping[str, Json],
    describe: Callable[[Any], Mapping[str, Json]] | None,
) -> Any:
    written.read_twice = describe is not None
    made = described_step(written.name, written.call, written, retry, metadata, describe)
    return await cast(Context, context).run(made)


def described_step(
    name: str,
    body: Callable[[], Awaitable[Any]],
    serde: Serde[Any],
    retry: Retry | None,
    metadata: Mapping[str, Json],
    describe: Callable[[Any], Mapping[str, Json]] | None = None,
) -> Step[[], Any]:
    """A step with metadata, for `ctx.run`. Where payloads pass through a codec, which may encrypt them, what
    was said stays out of the metadata, which does not."""
    context = current_or_none()
    if isinstance(context, Context) and context.encodes_payloads:
        metadata = _without_content(metadata)
        if describe is not None:
            describe = _contentless(describe)
    return _DescribedStep(
        body,
        StepSpec(name, True, serde, retry, fixed_metadata(metadata, name) if metadata else None, describe),
    )


def _without_content(metadata: Mapping[str, Json]) -> dict[str, Json]:
    return {key: value for key, value in metadata.items() if key not in CONTENT}


def _contentless(describe: Callable[[Any], Mapping[str, Json]]) -> Callable[[Any], Mapping[str, Json]]:
    return lambda result: _without_content(describe(result))


def _quietly(name: str, describe: Callable[[T], Mapping[str, Json]]) -> Callable[[T], Mapping[str, Json]]:
    """A description that fails leaves the step without one: the answer is paid for."""

    def described(result: T) -> Mapping[str, Json]:
        try:
            return describe(result)
        except Exception:
            log.exception("the answer of %s could not be described", name)
            return {}

    return described
