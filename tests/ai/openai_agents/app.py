"""The agents under proof: a clerk with two tools at once, who hands over to a cashier, who pays and hands
back; and one who asks before paying."""

import asyncio

from agents import Agent, Runner, function_tool

import holdfast
from holdfast.ai.openai_agents import durable, run_with_approvals
from tests.ai.effects import ran


@function_tool
async def look_up(policy: str) -> str:
    """Look up a policy."""
    await ran("look_up", beside=["check_fraud"])
    return f"{policy} covers it"


@function_tool
def check_fraud(amount: int) -> dict[str, bool]:
    """Look for signs of fraud."""
    asyncio.run(ran("check_fraud", beside=["look_up"]))
    return {"suspicious": amount > 1_000_000}


@function_tool
async def pay(amount: int) -> str:
    """Pay an amount."""
    await ran("pay")
    return "paid"


@function_tool(needs_approval=True)
async def pay_if_allowed(amount: int) -> str:
    """Pay an amount, when a person agrees."""
    await ran("pay_if_allowed")
    return "paid"


clerk = Agent(name="clerk", model="gpt-scripted", tools=[look_up, check_fraud])
cashier = Agent(name="cashier", model="gpt-scripted", tools=[pay], handoffs=[clerk])
clerk.handoffs.append(cashier)
durable(clerk)
careful = durable(Agent(name="careful", model="gpt-scripted", tools=[pay_if_allowed]))

claims = holdfast.Service("Claims", retry=holdfast.InvocationRetry(initial_interval=0.02, max_interval=0.2))


@claims.handler()
async def decide(ctx: holdfast.Context, claim: str) -> str:
    return str((await Runner.run(clerk, claim)).final_output)


@claims.handler()
async def decide_streaming(ctx: holdfast.Context, claim: str) -> str:
    result = Runner.run_streamed(clerk, claim)
    text = ""
    async for event in result.stream_events():
        if event.type == "raw_response_event" and event.data.type == "response.output_text.delta":
            text += event.data.delta
    return text


@claims.handler()
async def decide_with_approval(ctx: holdfast.Context, claim: str) -> str:
    return str((await run_with_approvals(careful, claim, timeout=3600)).final_output)


app = holdfast.app(claims)
