"""What these tests share: an agent behind a handler, and its journal in one line per entry."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from pydantic_ai import Agent

import holdfast
from holdfast.testing import Harness, run
from holdfast.testing.journal import Journal

claims = holdfast.Service("Claims")
"""Its handler runs whatever `ask` was given."""

_run: list[Callable[[str], Any]] = []


@claims.handler
async def answer(ctx: holdfast.Context, message: str) -> Any:
    return await _run[-1](message)


def ask(
    agent: Agent[Any, Any] | Callable[[str], Any],
    message: str = "hello",
    meanwhile: Callable[[Harness], Any] | None = None,
    **options: Any,
) -> tuple[Any, Journal]:
    """What a handler that runs the agent returns, and its journal.

    Args:
        agent: or a coroutine function to be the handler's body.
        meanwhile: a coroutine function that runs beside the call.
        options: of the environment, such as `always_replay=True`.
    """
    output, journal, _ = ask_timed(agent, message, meanwhile, **options)
    return output, journal


def ask_timed(
    agent: Agent[Any, Any] | Callable[[str], Any],
    message: str = "hello",
    meanwhile: Callable[[Harness], Any] | None = None,
    **options: Any,
) -> tuple[Any, Journal, timedelta]:
    """As `ask`, and how long it took, on virtual time."""

    async def run_agent(text: str) -> Any:
        assert isinstance(agent, Agent)
        return (await agent.run(text)).output

    async def scenario(env: Harness) -> tuple[Any, Journal, timedelta]:
        begun = env.now
        call = await env.send(answer, message)
        if meanwhile is not None:
            await meanwhile(env)
        output = await call.attach()
        return output, env.journal(call), env.now - begun

    _run.append(run_agent if isinstance(agent, Agent) else agent)
    try:
        return run(holdfast.app(claims), scenario, **options)
    finally:
        _run.pop()


def steps(journal: Journal) -> list[str]:
    """The names of the steps, in the order they were asked for."""
    return [entry.name for entry in journal if entry.type == "Run" and not entry.is_notification]
