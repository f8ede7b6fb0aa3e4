"""Pydantic AI agents whose model requests and tools are journaled steps.

    from pydantic_ai import Agent
    import holdfast
    from holdfast.ai.pydantic_ai import Durable

    agent = Agent("openai:gpt-5", name="claims", capabilities=[Durable()])

    @agent.tool_plain
    async def look_up(claim: str) -> str: ...              # a step: runs once, whatever crashes

    @agent.tool_plain(requires_approval=True)
    async def wire_money(to: str, usd: int) -> str: ...    # asks a person first, for days if need be

    claims = holdfast.Service("Claims")

    @claims.handler
    async def run(ctx: holdfast.Context, message: str) -> str:
        return (await agent.run(message)).output           # Pydantic AI's own runner

Each model request and each tool call is one step, named by the model and by `tool <name>`. Tools that the
model asks for together run side by side. Providers are retried by the engine, as they ask for it
(`Retry-After`), and not by their clients; what they refuse for good (400, 401, ...) ends the invocation, and
so does a limit of the agent's own, `UsageLimitExceeded`. Tools of MCP servers are steps as well, and so is
listing them. Outside a handler the agent is what it is without `Durable`.

A tool that must be approved waits as `holdfast.ai.approval` does; the journal's step `ask <tool>` has the id:

    curl localhost:8080/restate/awakeables/$ID/resolve --json true
    curl localhost:8080/restate/awakeables/$ID/resolve --json '{"approved": false, "reason": "too much"}'

A tool says how it is run in its metadata, `@agent.tool(metadata={"holdfast": ...})`:

    {"max_attempts": 3, "initial_interval": 1}   the fields of `holdfast.Retry`; without them the
                                                  invocation's policy retries it
    {"timeout": 30}                               seconds for one try
    {"tell_model": True}                          a failure for good becomes the tool's answer; the model may
                                                  find another way. Otherwise it ends the run
    False                                         no step: the body is the handler's own code and uses
                                                  `holdfast.current()`: it calls handlers, sleeps, asks

`False` is also for tools that run an agent: its requests are then steps of their own. Within a step they
are part of it, and a crash repeats them all.
"""

try:
    from holdfast.ai.pydantic_ai.durable import Durable
    from holdfast.ai.pydantic_ai.options import ToolOptions
except ImportError as error:
    raise ImportError(
        "holdfast.ai.pydantic_ai needs Pydantic AI 2.62 or later: pip install 'holdfast[pydantic-ai]'"
    ) from error

__all__ = ["Durable", "ToolOptions"]
