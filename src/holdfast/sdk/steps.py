"""Steps: functions whose result is journaled, and how each is run, named and retried.

`ctx.run(function, ...)` makes a step of any function; `@holdfast.step(...)` gives it options once, and lets
it be awaited by itself inside a handler. A step's result is always what its bytes decode to, also the first
time, so that a handler sees the same value in every replay.
"""

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial, update_wrapper
from types import CodeType, FunctionType, MethodType
from typing import Any, Generic, ParamSpec, TypeVar, cast, get_type_hints, overload
from weakref import WeakKeyDictionary

from holdfast.sdk.retry import Retry
from holdfast.sdk.serde import JSON, Serde, serde_for
from holdfast.sdk.step_metadata import Describe, Metadata, fixed_metadata

P = ParamSpec("P")
R = TypeVar("R")

KEPT_MAX = 4096


class StepSpec:
    """What the attempt needs to know of a function: its name, kind, result type and retry policy.

    Attributes:
        is_async: calling it gives a coroutine; a plain function runs in a thread.
        metadata: JSON, sent with its command. describe: makes more of it from the result.
    """

    __slots__ = ("describe", "is_async", "metadata", "name", "retry", "serde")

    def __init__(
        self,
        name: str,
        is_async: bool,
        serde: Serde[Any],
        retry: Retry | None,
        metadata: bytes | None = None,
        describe: Describe | None = None,
    ) -> None:
        self.name = name
        self.is_async = is_async
        self.serde = serde
        self.retry = retry
        self.metadata = metadata
        self.describe = describe


class Step(Generic[P, R]):
    """A function made a step by `holdfast.step`. `R` is what awaiting it gives.

    Called inside a handler it is journaled; called anywhere else it is the plain function, awaited.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        name: str | None,
        retry: Retry | None,
        serde: Serde[Any] | None,
        metadata: Metadata | None = None,
        describe: Describe | None = None,
    ) -> None:
        plain = spec_of(function)
        self.function = function
        self.spec = StepSpec(
            name or plain.name,
            plain.is_async,
            plain.serde if serde is None else serde,
            retry,
            fixed_metadata(metadata, name or plain.name),
            describe,
        )
        update_wrapper(self, function)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Awaitable[R]:
        # The context package is built on this one; it hands itself in when it is loaded.
        attempt_context = _current()
        if attempt_context is None:
            return _outside(self.function, args, kwargs)
        return cast(Awaitable[R], attempt_context.run(self, *args, **kwargs))

    def __get__(self, instance: object, owner: type | None = None) -> Any:
        if instance is None:
            return self
        bound = cast("Step[..., R]", Step.__new__(Step))  # pyright: ignore[reportUnknownMemberType]
        bound.function = partial(self.function, instance)
        bound.spec = self.spec
        return bound


async def _outside(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    result = function(*args, **kwargs)
    return await result if inspect.isawaitable(result) else result


def _nobody() -> Any:
    return None


_current: Callable[[], Any] = _nobody


def set_current(current: Callable[[], Any]) -> None:
    """Tells steps how to find the context they are called in; None outside a handler."""
    global _current
    _current = current


@overload
def step(function: Callable[P, Coroutine[Any, Any, R]], /) -> Step[P, R]: ...
@overload
def step(function: Callable[P, R], /) -> Step[P, R]: ...
@overload
def step(
    *,
    name: str | None = None,
    retry: Retry | None = None,
    serde: Serde[Any] | None = None,
    metadata: Metadata | None = None,
    describe: Describe | None = None,
) -> "StepDecorator": ...
def step(
    function: Callable[..., Any] | None = None,
    /,
    *,
    name: str | None = None,
    retry: Retry | None = None,
    serde: Serde[Any] | None = None,
    metadata: Metadata | None = None,
    describe: Describe | None = None,
) -> Any:
    """Make a function a step: `@holdfast.step`, or `@holdfast.step(name=..., retry=...)`.

    Args:
        name: what the journal calls it; the function's name when not given. It takes part in replay checks.
        retry: how failures are retried; without one the invocation's retry policy applies.
        serde: how its result is stored, when its return annotation does not say.
        metadata: JSON about the step, kept beside it by Holdfast servers for people to see; never replayed,
            part of no replay check. Cut when it is larger than 32 KiB.
        describe: called once, with the result as the handler gets it, when the step has succeeded; what it
            returns is added to `metadata`, the later keys win. Plain code that does not block.
    Raises:
        UsageError: `bad_step_metadata`, it is no JSON object.
    """
    if function is not None:
        made: Step[..., Any] = Step(function, name, retry, serde, metadata, describe)
        return made
    return StepDecorator(name, retry, serde, metadata, describe)


class StepDecorator:
    """`holdfast.step` with options, waiting for its function."""

    def __init__(
        self,
        name: str | None,
        retry: Retry | None,
        serde: Serde[Any] | None,
        metadata: Metadata | None = None,
        describe: Describe | None = None,
    ) -> None:
        self._options = (name, retry, serde, metadata, describe)

    @overload
    def __call__(self, function: Callable[P, Coroutine[Any, Any, R]], /) -> Step[P, R]: ...
    @overload
    def __call__(self, function: Callable[P, R], /) -> Step[P, R]: ...
    def __call__(self, function: Callable[..., Any], /) -> Any:
        made: Step[..., Any] = Step(function, *self._options)
        return made


_kept: dict[CodeType, tuple[str, object, StepSpec]] = {}
_kept_wrappers: "WeakKeyDictionary[FunctionType, StepSpec]" = WeakKeyDictionary()


def spec_of(action: Callable[..., Any]) -> StepSpec:
    """Name, kind and result type of any callable.

    A closure is a new object each time it is made, so what is kept is kept by its code; and holds only for
    the name and the annotation it was read with, since one code makes functions with others. A wrapper
    (`functools.wraps`) is kept by itself: what its annotation means depends on the function inside.
    """
    if isinstance(action, Step):
        return action.spec
    inner: object = action
    while isinstance(inner, partial | MethodType):
        inner = inner.func if isinstance(inner, partial) else inner.__func__
    if isinstance(inner, Step):
        return inner.spec
    if not isinstance(inner, FunctionType):
        return _read_spec(inner)
    if hasattr(inner, "__wrapped__"):
        spec = _kept_wrappers.get(inner)
        if spec is None:
            spec = _kept_wrappers[inner] = _read_spec(inner)
        return spec
    name, annotation = inner.__name__, inner.__annotations__.get("return")
    kept = _kept.get(inner.__code__)
    if kept is None or kept[0] != name or kept[1] is not annotation:
        if len(_kept) >= KEPT_MAX:
            _kept.clear()
        kept = _kept[inner.__code__] = name, annotation, _read_spec(inner)
    return kept[2]


def _read_spec(function: object) -> StepSpec:
    name = getattr(function, "__name__", "") or type(function).__name__
    target = function if isinstance(function, FunctionType) else getattr(function, "__call__", function)  # noqa: B004
    is_async = inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(target)
    return StepSpec("step" if name == "<lambda>" else name, is_async, _result_serde(function), None)


def _result_serde(function: object) -> Serde[Any]:
    raw = getattr(function, "__annotations__", {})
    if "return" not in raw:
        return JSON
    annotation = raw["return"]
    if isinstance(annotation, str):
        try:
            annotation = get_type_hints(function, include_extras=True)["return"]
        except NameError:
            # A name only type checkers see. What the step returns must then be plain data.
            return JSON
    if isinstance(annotation, TypeVar):
        return JSON
    origin = getattr(annotation, "__origin__", None)
    if isinstance(origin, type) and issubclass(origin, Awaitable):
        annotation = annotation.__args__[-1]
    return serde_for(annotation)


class PendingStep:
    """A step of one attempt whose result is not durable yet.

    Attributes:
        completion_id: of its run command.
        future: what the handler awaits; a `cancel` of it cancels the body.
        context: the variables the body runs with.
        task: the body, once started.
        command_index: of its run command.
        name: what the journal calls it.
        retry_count: how often earlier attempts started it; only counted for steps with a policy.
        started_ms: by the wall clock, likewise.
    """

    __slots__ = ("args", "command_index", "completion_id", "context", "function", "future", "kwargs", "name",
                 "retry_count", "spec", "started_ms", "task")  # fmt: skip

    def __init__(
        self,
        completion_id: int,
        command_index: int,
        spec: StepSpec,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        context: Any,
        future: "asyncio.Future[Any]",
        name: str | None = None,
    ) -> None:
        self.completion_id = completion_id
        self.command_index = command_index
        self.spec = spec
        self.name = name or spec.name
        self.function = function
        self.args = args
        self.kwargs = kwargs
        self.context = context
        self.future = future
        self.task: asyncio.Task[None] | None = None
        self.retry_count = 0
        self.started_ms = 0
