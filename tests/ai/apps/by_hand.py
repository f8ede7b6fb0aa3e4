"""An agent loop written by hand with LiteLLM: two tools at once, one more, a last word."""

import os
from typing import Any

import holdfast
from holdfast.ai import Toolbox, tool
from holdfast.ai.litellm import acompletion
from tests.ai.effects import ran

claims = holdfast.Service("Claims", retry=holdfast.InvocationRetry(initial_interval=0.02, max_interval=0.2))


@tool
async def look_up(policy: str) -> str:
    """Look up a policy."""
    await ran("look_up", beside=["check_fraud"])
    return f"{policy} covers it"


@tool
async def check_fraud(amount: int) -> dict[str, bool]:
    """Look for signs of fraud."""
    await ran("check_fraud", beside=["look_up"])
    return {"suspicious": amount > 1_000_000}


@tool
async def pay(amount: int) -> str:
    """Pay an amount."""
    await ran("pay")
    return "paid"


tools = Toolbox(look_up, check_fraud, pay)


@claims.handler()
async def decide(ctx: holdfast.Context, claim: str) -> str:
    messages: list[Any] = [
        {"role": "system", "content": "You decide claims."},
        {"role": "user", "content": claim},
    ]
    while True:
        answer = await acompletion(
            "openai/gpt-scripted",
            messages,
            tools=tools.schemas,
            api_base=os.environ["OPENAI_BASE_URL"],
        )
        message = answer.choices[0].message
        messages.append(message)
        if not message.tool_calls:
            return str(message.content)
        messages += await tools.answer(message.tool_calls)


app = holdfast.app(claims)
