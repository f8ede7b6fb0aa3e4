"""What is known of a step's function: name, kind and result type, also behind decorators and closures."""

from __future__ import annotations

import functools
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from holdfast.sdk.steps import StepSpec, spec_of

T = TypeVar("T")


def logged(function: Callable[[], Coroutine[Any, Any, T]]) -> Callable[[], Coroutine[Any, Any, T]]:
    @functools.wraps(function)
    async def inner() -> T:
        return await function()

    return inner


@logged
async def count() -> int:
    return 1


@logged
async def fetch() -> bytes:
    return b""


def made(result: type[object]) -> Callable[[], object]:
    def step() -> object:
        return result

    step.__annotations__ = {"return": result}
    return step


def told(spec: StepSpec) -> tuple[str, bool, str | None]:
    return spec.name, spec.is_async, spec.serde.content_type


def test_functions_that_share_a_decorator_are_told_apart() -> None:
    for _ in range(2):
        assert told(spec_of(count)) == ("count", True, "application/json")
        assert told(spec_of(fetch)) == ("fetch", True, "application/octet-stream")
        assert told(spec_of(functools.partial(fetch))) == ("fetch", True, "application/octet-stream")


def test_functions_made_by_one_factory_are_told_apart() -> None:
    for _ in range(2):
        assert told(spec_of(made(bytes))) == ("step", False, "application/octet-stream")
        assert told(spec_of(made(int))) == ("step", False, "application/json")


def test_a_closure_made_anew_is_read_once() -> None:
    def closure(number: int) -> Callable[[], int]:
        def step() -> int:
            return number

        return step

    assert spec_of(closure(1)) is spec_of(closure(2))
