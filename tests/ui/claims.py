"""What the browser is shown: an agent that asks, retries, waits for a person and calls others.

No model is asked: what one would answer is written here, so that every run is the same. The pauses are what
makes a run something to look at.
"""

import asyncio
import json
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import holdfast
from holdfast import Context, ObjectContext, Retry, SharedWorkflowContext, WorkflowContext
from holdfast.ai.approval import approval
from holdfast.ai.steps import model_step, tool_step
from holdfast.sdk.serde.plain import JSON

PACE = float(os.environ.get("PACE", "0.12"))
"""Seconds that a step takes."""

SYSTEM = (
    "You settle insurance claims. Look up the policy, estimate the damage, and ask a person before paying."
)
QUICKLY = Retry(initial_interval=0.3, max_interval=0.5, max_attempts=5)

_failures: dict[str, int] = {}


@dataclass
class Claim:
    """`amount` is in EUR; `flaky` is how often the estimate fails before it works."""

    number: str
    who: str
    amount: int
    flaky: int = 0
    story: str = "A branch fell on my car in last night's storm."


agent = holdfast.Service("ClaimAgent", inactivity_timeout=0.4)
bank = holdfast.VirtualObject("Account")
expense = holdfast.Workflow("Expense", inactivity_timeout=0.4)
lab = holdfast.Service("Lab", inactivity_timeout=0.4)


@dataclass
class _Conversation:
    messages: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])


def _call(id_: str, name: str, arguments: str) -> dict[str, str]:
    return {"id": id_, "name": name, "arguments": arguments}


async def _ask_model(talk: _Conversation, content: str | None, calls: list[dict[str, str]]) -> None:
    asked = sum(len(str(message)) for message in talk.messages) // 4

    async def body() -> dict[str, Any]:
        await asyncio.sleep(2.5 * PACE)
        return {"content": content, "tool_calls": calls}

    def describe(answer: dict[str, Any]) -> dict[str, Any]:
        return {
            "tokens_in": 180 + asked,
            "tokens_out": 20 + len(str(answer)) // 4,
            "finish_reason": "tool_calls" if calls else "stop",
            "response": answer,
        }

    answer = await model_step(
        "gpt-5",
        body,
        serde=JSON,
        provider="openai",
        model="gpt-5",
        framework="litellm",
        messages=list(talk.messages),
        describe=describe,
    )
    talk.messages.append(
        {"role": "assistant", "content": answer["content"], "tool_calls": answer["tool_calls"]}
    )


async def _use_tool(
    talk: _Conversation, call: dict[str, str], body: Callable[[], Awaitable[Any]], retry: Retry | None = None
) -> Any:
    result = await tool_step(
        f"tool {call['name']}",
        body,
        serde=JSON,
        tool=call["name"],
        call_id=call["id"],
        arguments=call["arguments"],
        retry=retry,
    )
    talk.messages.append({"role": "tool", "tool_call_id": call["id"], "content": json.dumps(result)})
    return result


@agent.handler
async def settle(ctx: Context, claim: Claim) -> dict[str, Any]:
    """Settle a claim: look it up, estimate it, ask a person, pay."""
    talk = _Conversation([{"role": "system", "content": SYSTEM}, {"role": "user", "content": claim.story}])
    lookup = _call("call_1", "lookup_policy", f'{{"claim": "{claim.number}"}}')
    estimate = _call("call_2", "estimate_damage", f'{{"claim": "{claim.number}", "photos": 3}}')
    await _ask_model(talk, None, [lookup, estimate])

    async def look_up() -> dict[str, Any]:
        await asyncio.sleep(PACE)
        return {"policy": "H-2210", "holder": claim.who, "covers": ["storm", "fire"], "excess": 150}

    async def look_closely() -> dict[str, Any]:
        await asyncio.sleep(1.6 * PACE)
        tries = _failures[claim.number] = _failures.get(claim.number, 0) + 1
        if tries <= claim.flaky:
            raise ConnectionError(f"the estimator did not answer (try {tries})")
        return {"low": claim.amount - 200, "high": claim.amount + 100, "confidence": 0.83}

    await asyncio.gather(_use_tool(talk, lookup, look_up), _use_tool(talk, estimate, look_closely, QUICKLY))
    await _ask_model(talk, f"The damage is covered. I suggest to pay {claim.amount} EUR.", [])
    balance = await ctx.call(reserve, claim.amount, key=claim.who)
    decision = await approval(
        f"pay {claim.amount} EUR to {claim.who}",
        timeout=3600,
        details={"claim": claim.number, "amount": claim.amount, "left_on_account": balance},
    )
    if not decision:
        await ctx.call(release, claim.amount, key=claim.who)
        return {"claim": claim.number, "paid": 0, "why": decision.reason or decision.outcome}
    await asyncio.sleep(4 * PACE)
    receipt = await ctx.call(pay, claim.amount, key=claim.who)
    await _ask_model(talk, f"Dear {claim.who}, we have paid {claim.amount} EUR. Get well, car.", [])
    ctx.send(remind, claim.number, key=claim.who, delay=86_400)
    return {"claim": claim.number, "paid": claim.amount, "receipt": receipt, "by": decision.by}


@bank.handler
async def reserve(ctx: ObjectContext, amount: int) -> int:
    """Set money aside."""
    reserved = await ctx.get("reserved", int, default=0)
    await ctx.run("check limits", _work, "limits", 1.0)
    await asyncio.sleep(PACE)
    ctx.set("reserved", reserved + amount)
    return 10_000 - reserved - amount


@bank.handler
async def release(ctx: ObjectContext, amount: int) -> None:
    """Give back what was set aside."""
    ctx.set("reserved", max(0, await ctx.get("reserved", int, default=0) - amount))


@bank.handler
async def pay(ctx: ObjectContext, amount: int) -> str:
    """Pay what was set aside."""
    receipt = await ctx.run("transfer", _work, f"receipt-{ctx.key}-{amount}", 2.0)
    ctx.set("reserved", max(0, await ctx.get("reserved", int, default=0) - amount))
    return receipt


@bank.handler
async def remind(ctx: ObjectContext, claim: str) -> str:
    """Ask how it went, a day later."""
    return await ctx.run("write letter", _work, f"how did {claim} go?", 1.0)


@expense.main
async def submit(ctx: WorkflowContext, amount: int) -> str:
    """Wait for a decision, on a promise."""
    await ctx.run("notify manager", _work, "mailed", 1.0)
    decision = await ctx.promise("decision", bool)
    return "approved" if decision else "declined"


@expense.shared
async def state(ctx: SharedWorkflowContext) -> bool:
    """Whether it has been decided."""
    return await ctx.promise("decision", bool).peek() is not None


@lab.handler
async def steps(ctx: Context, count: int) -> int:
    """As many steps as wanted, one after the other."""
    for number in range(count):
        await ctx.run(f"step {number}", _work, number, 0.0)
    return count


@lab.handler
async def tree(ctx: Context, depth: int) -> str:
    """Call itself twice, down to leaves that sleep for an hour."""
    if depth == 0:
        await asyncio.sleep(3600)
        return "slept"
    await asyncio.gather(ctx.call(tree, depth - 1), ctx.call(tree, depth - 1))
    return "woke"


@lab.handler
async def broken(ctx: Context, text: str) -> str:
    """Fail for good, saying `text`."""
    await ctx.run("prepare", _work, text, 1.0)
    raise holdfast.TerminalError(text, code=422)


@lab.handler
async def failing(ctx: Context, text: str) -> str:
    """Fail again and again."""
    await ctx.run("prepare", _work, text, 1.0)
    return await ctx.run("doomed", _fail, text)


@lab.handler
async def echo(ctx: Context, value: Any) -> Any:
    """Keep `value` in a step under its own name, wait for an answer, give everything back."""
    name = value["name"] if isinstance(value, dict) and isinstance(value.get("name"), str) else "echo"
    kept = await ctx.run(name, _work, value, 0.0)
    answer = await ctx.awakeable()
    return {"kept": kept, "answer": answer}


async def _work(result: Any, paces: float) -> Any:
    await asyncio.sleep(paces * PACE)
    return result


async def _fail(text: str) -> str:
    raise RuntimeError(text)


app = holdfast.app(agent, bank, expense, lab)
