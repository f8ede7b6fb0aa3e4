"""Runs scenarios: once, or once for every place where a service may die.

A scenario is an async function that is given the environment. These functions are synchronous, so that they
work from any test, with any test runner and without its asyncio plugins.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Any, TypeAlias, TypedDict, TypeVar, Unpack

from holdfast.sdk.serde import Codec
from holdfast.server.config import Config
from holdfast.testing.faults import CrashPoint
from holdfast.testing.harness import App, Harness, NotHappened, apps_of
from holdfast.testing.loop import VirtualLoop

T = TypeVar("T")

Scenario: TypeAlias = Callable[[Harness], Awaitable[Any]]
"""What a test does with the environment."""


class Options(TypedDict, total=False):
    """Options of `Harness` that a run passes on; see there."""

    always_replay: bool
    crash_after_entry: int | None
    crash: CrashPoint | None
    start: datetime
    path: str
    config: Config
    codec: Codec | None


def run(
    app: App | Sequence[App],
    scenario: Callable[[Harness], Awaitable[T]],
    **options: Unpack[Options],
) -> T:
    """Run `scenario(env)` on virtual time against the engine and the application; what it returns.

    Raises:
        Stuck: the scenario waits for something that will never happen.
        NotHappened: a fault that was asked for was not reached.
        Exception: what the scenario raised.
    """

    async def main() -> T:
        async with Harness(*apps_of(app), **options) as env:
            return await scenario(env)

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main())


def crash_everywhere(
    app: App | Sequence[App],
    scenario: Scenario,
    **options: Unpack[Options],
) -> list[CrashPoint]:
    """Run the scenario once without a fault, and then once for each journal entry of each invocation it made,
    with the service dying when that entry is stored. The scenario's own assertions have to hold every time.

    Returns:
        the crash points that were reached, in order.
    Raises:
        Exception: what the scenario raised, with a note that says where the service had died.
    """

    async def explore(env: Harness) -> list[CrashPoint]:
        await scenario(env)
        await env.settle()
        return env.crash_points()

    reached: list[CrashPoint] = []
    for point in run(app, explore, **options):
        here: Options = {**options, "crash": point}
        try:
            run(app, scenario, **here)
        except NotHappened:
            continue  # this time things went another way
        except Exception as error:
            error.add_note(f"the service had died at {point}")
            raise
        reached.append(point)
    return reached
