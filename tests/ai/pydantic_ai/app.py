"""A Pydantic AI agent under proof: two tools at once, a tool that asks an agent, one that asks a person."""

import os

from pydantic_ai import Agent, RunContext
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

import holdfast
from holdfast.ai.pydantic_ai import Durable
from tests.ai.effects import ran

claims = holdfast.Service("Claims", retry=holdfast.InvocationRetry(initial_interval=0.02, max_interval=0.2))

# The model by an instance, with a provider of its own; below, it is named by a text.
fraud = Agent(
    OpenAIChatModel("gpt-small", provider=OpenAIProvider(base_url=os.environ["OPENAI_BASE_URL"])),
    name="fraud",
    instructions="You look for fraud.",
    capabilities=[Durable()],
)


agent = Agent("openai:gpt-large", name="claims", instructions="You decide claims.", capabilities=[Durable()])


@agent.tool_plain
async def look_up(policy: str) -> str:
    """Look up a policy."""
    await ran("look_up", beside=["price"])
    return f"{policy} covers it"


@agent.tool_plain
async def price(item: str) -> int:
    """What an item costs."""
    await ran("price", beside=["look_up"])
    return 900


@agent.tool(metadata={"holdfast": False})
async def check_fraud(ctx: RunContext[None], amount: int) -> str:
    """Ask the fraud department."""
    return (await fraud.run(f"Is {amount} suspicious?", usage=ctx.usage)).output


@agent.tool_plain(requires_approval=True)
async def wire_money(usd: int) -> str:
    """Wire money."""
    await ran("wire_money")
    return f"wired {usd}"


@claims.handler()
async def decide(ctx: holdfast.Context, claim: str) -> str:
    return (await agent.run(claim)).output


@claims.handler()
async def stream(ctx: holdfast.Context, claim: str) -> str:
    async with agent.run_stream(claim) as result:
        return await result.get_output()


app = holdfast.app(claims)
