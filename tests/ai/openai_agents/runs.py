"""What these tests share: an agent behind a handler, and what its journal says."""

from collections.abc import Callable
from typing import Any

from agents import Agent, Runner
from agents.testing import ScriptedModel, assistant_message, function_call

import holdfast
from holdfast.testing import Harness, run
from holdfast.testing.journal import Journal

claims = holdfast.Service("Claims")
"""Its handler runs whatever `ask` was given."""

_run: list[Callable[[str], Any]] = []


@claims.handler
async def answer(ctx: holdfast.Context, message: str) -> Any:
    return await _run[-1](message)


@claims.handler
async def book(ctx: holdfast.Context, usd: int) -> str:
    return f"booked {usd}"


def ask(
    agent: Agent[Any] | Callable[[str], Any],
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

    async def run_agent(text: str) -> Any:
        assert isinstance(agent, Agent)
        return (await Runner.run(agent, text)).final_output

    async def scenario(env: Harness) -> tuple[Any, Journal]:
        call = await env.send(answer, message)
        if meanwhile is not None:
            await meanwhile(env)
        output = await call.attach()
        return output, env.journal(call)

    _run.append(run_agent if isinstance(agent, Agent) else agent)
    try:
        return run(holdfast.app(claims), scenario, **options)
    finally:
        _run.pop()


def steps(journal: Journal) -> list[str]:
    """The names of the steps, in the order they were asked for."""
    return [entry.name for entry in journal if entry.type == "Run" and not entry.is_notification]


def asks_for(*calls: tuple[str, dict[str, Any]], then: str = "done") -> ScriptedModel:
    """A model that asks for these tools at once, and then answers."""
    wanted = [
        function_call(name, given, call_id=f"call_{number}") for number, (name, given) in enumerate(calls)
    ]
    return ScriptedModel([wanted, [assistant_message(then)]])
