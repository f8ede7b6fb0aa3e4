"""`@tool`: a function made a journaled tool, for loops written by hand.

    @tool
    async def wire_money(to: str, usd: int) -> str: ...

    tools = Toolbox(wire_money)
    answer = await acompletion(model, messages, tools=tools.schemas)
    ...
    messages += await tools.answer(message.tool_calls)

The frameworks have tools of their own; this is for code that talks to a model directly.
"""

import asyncio
import inspect
import json
from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial, update_wrapper
from typing import Any, Generic, ParamSpec, TypeVar, cast, get_type_hints, overload

import msgspec

from holdfast.ai.metadata import bounded_text, plain
from holdfast.ai.steps import tool_step
from holdfast.sdk.durations import Duration
from holdfast.sdk.errors import InvocationCancelled, TerminalError, UsageError
from holdfast.sdk.retry import Retry
from holdfast.sdk.steps import spec_of

P = ParamSpec("P")
R = TypeVar("R")

TOOL_RETRY = Retry(max_attempts=3)
"""How a tool is retried that does not say: then the model is told, which may know another way."""

ERROR_BYTES_MAX = 4096
"""Of what the model is told about a tool that failed."""


class Tool(Generic[P, R]):
    """A function made a tool by `tool`. Called, it is one journaled step; see also `answer` and `schema`.

    Attributes:
        name: as the model calls it.
        description: the function's docstring.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        name: str | None,
        retry: Retry | None,
        timeout: Duration | None,
    ) -> None:
        self._function = function
        self._retry = retry
        self._timeout = timeout
        self._spec = spec_of(function)
        self._signature = inspect.signature(function)
        self.name = name or self._spec.name
        self.description = inspect.getdoc(function) or ""
        self._parameters = self._struct()
        update_wrapper(self, function)

    async def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run it as a step; outside a handler, plainly."""
        bound = self._signature.bind(*args, **kwargs)
        shown = msgspec.to_builtins(bound.arguments, str_keys=True, enc_hook=plain)
        result: R = await self._step(bound.args, bound.kwargs, "", shown)
        return result

    async def answer(self, call: Any) -> dict[str, str]:
        """Run it as a model asked for it, and give the message that tells the model what came of it.

        Arguments that do not parse, and errors for good, are told to the model, not raised: it asks again, or
        finds another way.

        Args:
            call: a tool call of Chat Completions: `id`, `function.name`, `function.arguments`; an object or
                a mapping.
        Returns:
            `{"role": "tool", "tool_call_id": ..., "content": ...}`.
        Raises:
            InvocationCancelled: not the model's business.
        """
        function = _get(call, "function")
        call_id, text = str(_get(call, "id") or ""), _get(function, "arguments")
        try:
            arguments = self.read(text if isinstance(text, str) and text else "{}")
            content = _text(await self._step((), arguments, call_id, text))
        except InvocationCancelled:
            raise
        except TerminalError as error:
            content = bounded_text(f"The tool failed: {error.message}", ERROR_BYTES_MAX)
        except BadArguments as error:
            content = bounded_text(f"The arguments cannot be read: {error}", ERROR_BYTES_MAX)
        return {"role": "tool", "tool_call_id": call_id, "content": content}

    def read(self, text: str) -> dict[str, Any]:
        """The arguments in a JSON text, by the function's annotations.

        Raises:
            BadArguments: not JSON, or not what the function takes.
        """
        try:
            struct = msgspec.json.decode(text.encode(errors="replace"), type=self._parameters)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            raise BadArguments(f"{error} (in {bounded_text(text, 200)})") from error
        return {name: getattr(struct, name) for name in struct.__struct_fields__}

    def schema(self) -> dict[str, Any]:
        """How a model is told of it, in the shape of Chat Completions: an entry of `tools`."""
        (schema,), components = msgspec.json.schema_components(
            [self._parameters], ref_template="#/$defs/{name}"
        )
        parameters = components.pop(self._parameters.__name__, schema)
        parameters.pop("title", None)
        if components:
            parameters["$defs"] = components
        return {
            "type": "function",
            "function": {"name": self.name, "description": self.description, "parameters": parameters},
        }

    async def _step(
        self, args: tuple[Any, ...], kwargs: Mapping[str, Any], call_id: str, arguments: object
    ) -> Any:
        async def body() -> Any:
            if self._spec.is_async:
                return await self._function(*args, **kwargs)
            return await asyncio.to_thread(self._function, *args, **kwargs)

        return await tool_step(
            f"tool {self.name}",
            body,
            serde=self._spec.serde,
            tool=self.name,
            call_id=call_id,
            arguments=arguments,
            retry=self._retry,
            timeout=self._timeout,
        )

    def _struct(self) -> type[msgspec.Struct]:
        """The function's parameters as one type, to read and to describe."""
        hints = get_type_hints(self._function, include_extras=True)
        fields: list[Any] = []
        for parameter in self._signature.parameters.values():
            if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
                raise UsageError(
                    "tool_signature",
                    f"tool {self.name} has the parameter {parameter}; a model gives arguments by name, so "
                    "*args, **kwargs and positional-only parameters cannot be filled",
                )
            field: list[Any] = [parameter.name, hints.get(parameter.name, Any)]
            if parameter.default is not parameter.empty:
                # A mutable default would be refused; each call gets the function's own, as in Python.
                field.append(msgspec.field(default_factory=partial(_same, parameter.default)))
            fields.append(tuple(field))
        return msgspec.defstruct(self.name, fields, kw_only=True, forbid_unknown_fields=True)


class Toolbox:
    """The tools a model may ask for.

    Raises:
        UsageError: `tool_name`, two of one name.
    """

    def __init__(self, *tools: Tool[..., Any]) -> None:
        self._tools: dict[str, Tool[..., Any]] = {}
        for one in tools:
            if one.name in self._tools:
                raise UsageError("tool_name", f"two tools are called {one.name}; give one of them name=...")
            self._tools[one.name] = one

    @property
    def schemas(self) -> list[dict[str, Any]]:
        """How a model is told of them: `tools` of Chat Completions."""
        return [one.schema() for one in self._tools.values()]

    async def answer(self, calls: Iterable[Any]) -> list[dict[str, str]]:
        """Run what a model asked for, at the same time; the messages that tell it what came of it, in order.

        A tool that is not there is told to the model, too. Otherwise as `Tool.answer`.

        Args:
            calls: of one answer of the model.
        """
        return list(await asyncio.gather(*(self._answer(call) for call in calls)))

    async def _answer(self, call: Any) -> dict[str, str]:
        name = _get(_get(call, "function"), "name")
        found = self._tools.get(name) if isinstance(name, str) else None
        if found is not None:
            return await found.answer(call)
        there = ", ".join(self._tools) or "none"
        content = bounded_text(f"There is no tool {name}; there are: {there}", ERROR_BYTES_MAX)
        return {"role": "tool", "tool_call_id": str(_get(call, "id") or ""), "content": content}


class BadArguments(Exception):
    """Arguments a model wrote that the tool does not take; the text is for the model."""


@overload
def tool(function: Callable[P, Awaitable[R]], /) -> Tool[P, R]: ...
@overload
def tool(function: Callable[P, R], /) -> Tool[P, R]: ...
@overload
def tool(
    *, name: str | None = None, retry: Retry | None = TOOL_RETRY, timeout: Duration | None = None
) -> "ToolDecorator": ...
def tool(
    function: Callable[..., Any] | None = None,
    /,
    *,
    name: str | None = None,
    retry: Retry | None = TOOL_RETRY,
    timeout: Duration | None = None,
) -> Any:
    """Make a function a tool: `@tool`, or `@tool(retry=..., timeout=...)`.

    Args:
        name: as the model calls it; the function's name when not given.
        retry: how failures are retried before the model is told; None for the invocation's policy.
        timeout: of one try, timedelta or seconds.
    Raises:
        UsageError: `tool_signature`, a parameter that cannot be given by name.
    """
    decorator = ToolDecorator(name, retry, timeout)
    return decorator if function is None else decorator(function)


class ToolDecorator:
    """`tool` with options, waiting for its function."""

    def __init__(self, name: str | None, retry: Retry | None, timeout: Duration | None) -> None:
        self._options = (name, retry, timeout)

    @overload
    def __call__(self, function: Callable[P, Awaitable[R]], /) -> Tool[P, R]: ...
    @overload
    def __call__(self, function: Callable[P, R], /) -> Tool[P, R]: ...
    def __call__(self, function: Callable[..., Any], /) -> Any:
        made: Tool[..., Any] = Tool(function, *self._options)
        return made


def _same(value: R) -> R:
    return value


def _get(holder: object, name: str) -> object:
    if isinstance(holder, Mapping):
        return cast(Mapping[str, object], holder).get(name)
    return getattr(holder, name, None)


def _text(result: object) -> str:
    """A result as the model reads it: text as it is, anything else as JSON."""
    if isinstance(result, str):
        return result
    return json.dumps(msgspec.to_builtins(result), ensure_ascii=False)
