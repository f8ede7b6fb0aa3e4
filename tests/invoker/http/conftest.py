"""Runs a scenario on both event loops, each with a deadline."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine

import pytest
import uvloop

from tests.invoker.http.peers import DEADLINE_S

Run = Callable[[Callable[[], Awaitable[None]]], None]


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    """`run(scenario)`: to its end on a fresh loop, or a failure after the deadline.

    Whatever a loop reports as unhandled (an exception in a callback, a lost task) fails the test, too.
    """

    def start(scenario: Callable[[], Awaitable[None]]) -> None:
        unhandled: list[dict[str, object]] = []

        async def guarded() -> None:
            asyncio.get_running_loop().set_exception_handler(lambda _, context: unhandled.append(context))
            async with asyncio.timeout(DEADLINE_S):
                await scenario()
            await asyncio.sleep(0.01)

        _runner(request.param, guarded())
        assert unhandled == []

    return start


def _runner(kind: str, coroutine: Coroutine[None, None, None]) -> None:
    factory = uvloop.new_event_loop if kind == "uvloop" else asyncio.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(coroutine)
