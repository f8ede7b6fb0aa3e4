'''Agents of the OpenAI Agents SDK, durable: install `holdfast[openai-agents]`.

    from agents import Agent, Runner, function_tool
    import holdfast
    from holdfast.ai.openai_agents import durable

    @function_tool
    async def look_up(claim: str) -> str:
        """Look up a claim."""
        return await database.claim(claim)

    clerk = durable(Agent(name="clerk", model="gpt-5", tools=[look_up]))

    claims = holdfast.Service("Claims")

    @claims.handler()
    async def decide(ctx: holdfast.Context, message: str) -> str:
        return (await Runner.run(clerk, message)).final_output

The runner is the SDK's own. Each request to the model is a journaled step, named as the model; each tool's
body is one, named `tool look_up`. Tools run in parallel as the model asked for them, and a replay repeats
nothing. What the agent reaches is durable with it: handoffs, also in circles, agents as tools, MCP servers, a
`Model` instance, a `RunConfig` with its own provider. Outside a handler the agent is what it was.

A tool's body runs as a step, so it has no context, and what it changes in the run's context object is not
there in a replay: let it return what the agent needs. A tool that uses the context is marked:

    @inline                                     # in the handler: its own steps, calls, waits
    @function_tool
    async def wire(usd: int) -> str:
        if not await holdfast.ai.approval(f"wire {usd} USD", timeout=timedelta(days=2)):
            return "denied"
        return await holdfast.current().call(bank.wire, usd)

    @retried(Retry(max_attempts=3))             # before the model is told that it failed
    @function_tool
    async def quote(item: str) -> str: ...

Providers' errors are retried by the engine, after as long as the provider says; the client's own retries and
`ModelSettings.retry` are off in a handler. A refusal (400, 401, ...) is final, and so is what follows from
the journal alone, such as `MaxTurnsExceeded`: the invocation fails instead of failing again and again. What a
tool raises goes to the model, by the tool's `failure_error_function`; with `failure_error_function=None` it
is retried like any step. `RetryableError` and `PauseError` are the engine's always.

`Runner.run_streamed` works: the answer is handed on when it is whole, and a replay streams the same events.

    @function_tool(needs_approval=True)         # the SDK's own approvals
    async def pay(usd: int) -> str: ...

    result = await run_with_approvals(clerk, message, timeout=timedelta(days=2))

waits without a process, one awakeable for each call that needs a word; `decide` is the same for a loop of
one's own. In a virtual object, `session=ObjectSession()` keeps the conversation in the object's state.
'''

from typing import Any, TypeVar

try:
    from agents import Agent
except ImportError as error:
    raise ImportError(
        "holdfast.ai.openai_agents needs the OpenAI Agents SDK, which is not installed or is not the package "
        "that `agents` imports: pip install 'holdfast[openai-agents]'"
    ) from error

from holdfast.ai.openai_agents.approvals import decide, run_with_approvals
from holdfast.ai.openai_agents.graph import instrument
from holdfast.ai.openai_agents.runner import install
from holdfast.ai.openai_agents.sessions import ObjectSession
from holdfast.ai.openai_agents.tools import inline, retried
from holdfast.sdk.errors import UsageError

__all__ = ["ObjectSession", "decide", "durable", "inline", "retried", "run_with_approvals"]

A = TypeVar("A", bound=Agent[Any])


def durable(agent: A) -> A:
    """Make an agent durable, with all it can reach, in place and once; answers the same agent.

    Objects stay the objects they are: tools, servers and other agents may be shared with agents that are not
    durable, or be given to this function again. What is added to the agent later is found when it runs.

    Raises:
        UsageError: `not_an_agent`.
    """
    if not isinstance(agent, Agent):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise UsageError(
            "not_an_agent",
            f"durable() was given {type(agent).__name__}; it takes an agents.Agent. A RealtimeAgent talks "
            "over a connection that no journal can hold",
        )
    install()
    instrument(agent)
    return agent
