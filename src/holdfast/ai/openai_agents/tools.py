"""Function tools whose call in a handler is one journaled step, or runs in the handler itself.

    the runner ─▶ Invoker ─▶ tool_step ─▶ the vendor's own invoker ─▶ the function
                     ▲                          │ its failure policy: what the model is told
                     └── the same policy, for what ended the step for good

**Whose error.** What a function raises is the model's business, by the tool's `failure_error_function`: the
default tells it that the tool failed. `RetryableError` and `PauseError` are for the engine, and a
`UsageError` for the developer: they pass. With a retry policy every failure is the engine's first, and the
model's when the policy is used up. Cancellation passes everything.

**In the handler itself** run agents as tools, since each of their model calls and tools is a step of its own,
and tools marked `inline`, whose bodies use the context.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any, TypeVar, cast

from agents import FunctionTool
from agents.exceptions import AgentsException
from agents.tool_context import ToolContext

from holdfast.ai.openai_agents.journaled import ToolResult, ToolResultSerde
from holdfast.ai.openai_agents.mcp_connections import enter_step
from holdfast.ai.steps import tool_step
from holdfast.ai.strict import in_handler
from holdfast.sdk.errors import (
    InvocationCancelled,
    PauseError,
    RetryableError,
    TerminalError,
    UsageError,
)
from holdfast.sdk.retry import Retry
from holdfast.sdk.serde import JSON, Serde
from holdfast.sdk.steps import spec_of

T = TypeVar("T", bound=FunctionTool)
Invoke = Callable[[ToolContext[Any], str], Awaitable[Any]]

OPTIONS = "_holdfast_options"
NO_CONTEXT = ("no_context", "context_in_step")
"""What a body meets that is a step and would have to be in the handler."""

_SYNC = "__agents_sync_function_tool__"
"""How the SDK marks the invoker of a plain function."""

_HANDLED = "_function_tool_default_failure_handled"
"""Where the SDK notes on a tool's context that the result is its own words for a failure."""


@dataclass(frozen=True, slots=True)
class ToolOptions:
    """How one tool runs in a handler.

    Attributes:
        inline: its body runs in the handler, with the context, and journals for itself.
        retry: how failures are retried before the model is told of them; None for not at all.
    """

    inline: bool = False
    retry: Retry | None = None


DEFAULT = ToolOptions()


def inline(tool: T) -> T:
    """A tool whose body uses the context: it runs in the handler, and what it does there is journaled.

    Above `@function_tool`: `@inline`. In it `holdfast.current()` is the context: to ask a person, to call
    other handlers, to run several steps.

    Raises:
        UsageError: `inline_tool_not_async`; `not_a_function_tool`.
    """
    if getattr(_checked(tool, "inline").on_invoke_tool, _SYNC, False):
        raise UsageError(
            "inline_tool_not_async",
            f"the tool {tool.name} is inline and a plain function: the SDK would run it in a thread, where "
            "there is no context. Make it `async def`, or leave out @inline to have it run as a step",
        )
    setattr(tool, OPTIONS, ToolOptions(inline=True))
    return tool


def retried(retry: Retry) -> Callable[[T], T]:
    """A tool that is tried again by this policy before the model is told that it failed.

    Above `@function_tool`: `@retried(Retry(max_attempts=3))`.
    """

    def mark(tool: T) -> T:
        setattr(_checked(tool, "retried"), OPTIONS, ToolOptions(retry=retry))
        return tool

    return mark


def _checked(tool: T, what: str) -> T:
    if not isinstance(tool, FunctionTool):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise UsageError(
            "not_a_function_tool",
            f"@{what} was put on {type(tool).__name__}; it belongs above @function_tool, on what that made",
        )
    return tool


def make_durable(tool: FunctionTool) -> None:
    """Give a tool its `Invoker`, once. Copies of the tool made later have it too."""
    invoke = tool.on_invoke_tool
    if isinstance(invoke, Invoker):
        return
    tool.on_invoke_tool = cast(Any, _invoker(invoke, tool))


class Through(BaseException):
    """Carries an error past the vendor's `except Exception`, out of which it is raised again."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error


class Invoker:
    """Calls a tool, as a step where it has to be one. Mixed into the class of the vendor's own invoker, so
    that whoever asks for that class, or copies the tool, finds what it looks for."""

    holdfast_inner: Invoke
    holdfast_tool: FunctionTool
    holdfast_made: tuple[ToolOptions, Invoke] | None = None
    """What is called in handlers, and the options it was made with."""

    async def __call__(self, ctx: ToolContext[Any], input: str) -> Any:  # noqa: A002 (the vendor's name)
        if not in_handler():
            return await self.holdfast_inner(ctx, input)
        inner, tool = self.holdfast_inner, self.holdfast_tool
        options: ToolOptions = getattr(tool, OPTIONS, DEFAULT)
        made = self.holdfast_made
        if made is None or made[0] is not options:
            made = self.holdfast_made = options, _with_policy_of(inner, _journaled(tool, inner, options))
        try:
            return await made[1](ctx, input)
        except Through as through:
            raise through.error from through.error.__cause__

    def __agents_bind_function_tool__(self, tool: FunctionTool) -> Any:
        if tool is self.holdfast_tool:
            return self
        bind = getattr(self.holdfast_inner, "__agents_bind_function_tool__", None)
        return _invoker(self.holdfast_inner if bind is None else bind(tool), tool)


_classes: dict[type, type] = {}


def _invoker(inner: Invoke, tool: FunctionTool) -> Invoker:
    kind = type(inner)
    if inspect.isroutine(inner):
        made = Invoker()
        made.__dict__["__wrapped__"] = inner  # the SDK reads its signature and annotations
    else:
        mixed = _classes.get(kind)
        if mixed is None:
            mixed = _classes[kind] = type(kind.__name__, (Invoker, kind), {})
        made = cast(Invoker, object.__new__(mixed))
        made.__dict__.update(inner.__dict__)
    made.holdfast_inner = inner
    made.holdfast_tool = tool
    return made


def _with_policy_of(inner: Invoke, call: Invoke) -> Invoke:
    """The vendor's invoker around another call than its own: its failure policy, applied to that one's
    errors."""
    if not hasattr(inner, "_invoke_tool_impl"):
        return call
    around: Any = object.__new__(type(inner))
    around.__dict__.update(inner.__dict__)
    around._invoke_tool_impl = call
    return cast(Invoke, around)


def _journaled(tool: FunctionTool, inner: Invoke, options: ToolOptions) -> Invoke:
    call = _for_the_engine(inner, options.retry is not None)
    serde = ToolResultSerde(_serde_of(tool))

    async def in_the_handler(ctx: ToolContext[Any], input: str) -> Any:  # noqa: A002
        own = getattr(inner, "_invoke_tool_impl", inner)
        try:
            return await own(ctx, input)
        except (InvocationCancelled, RetryableError, PauseError, UsageError) as error:
            raise Through(error) from error

    async def as_a_step(ctx: ToolContext[Any], input: str) -> Any:  # noqa: A002
        async def body() -> ToolResult:
            enter_step()
            try:
                value = await call(ctx, input)
            except Through as through:
                error = through.error
                if isinstance(error, UsageError) and error.code in NO_CONTEXT:
                    cure = f"a tool runs as a step unless it is marked @inline, as {tool.name} has to be"
                    raise UsageError(error.code, f"{error.message}: {cure}") from error
                raise error from error.__cause__
            except AgentsException as error:
                # What the model wrote will not change by asking the function again.
                raise TerminalError(f"{type(error).__name__}: {error}") from error
            return ToolResult(value, failed=bool(getattr(ctx, _HANDLED, False)))

        try:
            result = await tool_step(
                f"tool {tool.name}",
                body,
                serde=serde,
                tool=tool.name,
                call_id=ctx.tool_call_id,
                arguments=input,
                retry=options.retry,
            )
        except InvocationCancelled as error:
            raise Through(error) from error
        setattr(ctx, _HANDLED, result.failed)
        return result.value

    return in_the_handler if options.inline or is_agent_tool(tool) else as_a_step


def _for_the_engine(inner: Invoke, everything: bool) -> Invoke:
    """The vendor's invoker, past whose failure policy goes what is the engine's.

    Args:
        everything: also errors that are the model's business in the end.
    """
    own = getattr(inner, "_invoke_tool_impl", None)
    if own is None:
        return inner
    kinds = Exception if everything else (RetryableError, PauseError, UsageError)

    @wraps(own)
    async def call(ctx: ToolContext[Any], input: str) -> Any:  # noqa: A002
        try:
            return await own(ctx, input)
        except kinds as error:
            raise Through(error) from error

    return _with_policy_of(inner, call)


def is_agent_tool(tool: FunctionTool) -> bool:
    """Whether it runs another agent."""
    return bool(getattr(tool, "_is_agent_tool", False))


def _serde_of(tool: FunctionTool) -> Serde[Any]:
    function = getattr(tool, "__wrapped__", None)
    if not callable(function):
        return JSON
    try:
        return spec_of(function).serde
    except UsageError:  # a type nothing can write: its text is what the model gets
        return JSON
