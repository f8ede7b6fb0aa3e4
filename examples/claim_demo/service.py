"""The agent: a workflow, with nothing in it that knows about crashes.

    POST /ClaimAgent/{claim}/run       {"policy", "amount", "text"}   decide a claim; once per claim id
    POST /ClaimAgent/{claim}/approve   {"approved", "by"}             a human's answer

The model decides which tools to call. Everything that touches the world (a model call, a tool) is a
durable step: its result is journaled by the server, and when the handler runs again, after a crash or
after waiting, it gets the journaled result and the body does not run. So the handler below reads like a
plain loop, and is one.

Two rules are kept in code, not left to the model: more than APPROVAL_ABOVE EUR needs a human, and nobody
is paid more than was claimed. A step that is killed half way runs again, because nobody can know how far
it came; that is why `pay_out` gives the bank an idempotency key.
"""

from __future__ import annotations

import asyncio
import json
import os
from datetime import timedelta
from typing import TypeAlias, cast

import httpx
from pydantic import BaseModel

import holdfast
from examples.claim_demo.model import Message, ToolRequest, as_message, ask_model, opening
from examples.claim_demo.steps import Steps
from holdfast import InvocationRetry, SharedWorkflowContext, WorkflowContext

APPROVAL_ABOVE = 1000
TURNS_MAX = 8
ToolResult: TypeAlias = dict[str, object]

POLICIES = {"home-77": "water damage", "car-12": "collision"}


class Claim(BaseModel):
    """What the customer sends. `amount` is in EUR."""

    policy: str
    amount: int
    text: str


class Approval(BaseModel):
    """What the human sends."""

    approved: bool
    by: str


class Decision(BaseModel):
    """The outcome. `paid` is in EUR."""

    claim: str
    decision: str
    paid: int
    approved_by: str | None


agent = holdfast.Workflow(
    "ClaimAgent",
    inactivity_timeout=timedelta(seconds=1),  # a handler that has waited this long leaves memory
    retry=InvocationRetry(initial_interval=timedelta(milliseconds=100), max_interval=timedelta(seconds=1)),
)


@agent.main
async def run(ctx: WorkflowContext, claim: Claim) -> Decision:
    """Decide one claim: ask the model, run the tools it asks for, until it answers without asking for any."""
    steps = Steps(ctx)
    desk = Desk(ctx, steps, claim)
    conversation = opening(f"Policy {claim.policy}, {claim.amount} EUR: {claim.text}")
    for turn in range(1, TURNS_MAX + 1):
        answer = await steps.run(f"model turn {turn}", ask_model, conversation)
        if not answer.tools:
            return desk.decide(answer.text)
        conversation.append(as_message(answer))
        conversation.extend(await desk.run_tools(answer.tools))
    raise holdfast.TerminalError(f"the model did not come to a decision in {TURNS_MAX} turns")


@agent.shared
async def approve(ctx: SharedWorkflowContext, approval: Approval) -> str:
    """A human's answer, which wakes the workflow. Only the first one counts."""
    await ctx.promise("approval", Approval).resolve(approval)
    return "thank you"


class Desk:
    """Runs the tools for one claim, and remembers what came of it."""

    def __init__(self, ctx: WorkflowContext, steps: Steps, claim: Claim) -> None:
        self._ctx = ctx
        self._steps = steps
        self._claim = claim
        self._till = asyncio.Lock()
        self.paid = 0
        self.approved_by: str | None = None

    def decide(self, decision: str) -> Decision:
        """The outcome, in the words of the model and the facts of this desk."""
        return Decision(claim=self._ctx.key, decision=decision, paid=self.paid, approved_by=self.approved_by)

    async def run_tools(self, requests: list[ToolRequest]) -> list[Message]:
        """Run the tools the model asked for, at the same time; the messages keep the model's order."""
        results = await asyncio.gather(*(self.run_tool(request) for request in requests))
        return [
            {"role": "tool", "tool_call_id": request.id, "content": json.dumps(result)}
            for request, result in zip(requests, results, strict=True)
        ]

    async def run_tool(self, request: ToolRequest) -> ToolResult:
        """Run one tool, or say in its place why it may not run."""
        match request.name:
            case "look_up_policy":
                return await self._steps.run(request.name, look_up_policy, self._claim.policy)
            case "check_fraud":
                return await self._steps.run(request.name, check_fraud, self._claim.amount)
            case "pay_out":
                async with self._till:  # one payment at a time: the second one sees that the first was made
                    return await self.pay(request.number("amount"))
            case _:
                return {"refused": f"there is no tool {request.name}"}

    async def pay(self, amount: int | None) -> ToolResult:
        """Pay once the rules, and above APPROVAL_ABOVE a human, allow it."""
        if amount is None or self.paid or not 0 < amount <= self._claim.amount:
            return {"refused": f"a claim is paid once, and at most the {self._claim.amount} EUR claimed"}
        if amount > APPROVAL_ABOVE:
            approval = await self._ctx.promise("approval", Approval)  # days are fine
            if not approval.approved:
                return {"refused": f"{approval.by} did not approve"}
            self.approved_by = approval.by
        self.paid = amount
        return await self._steps.run("pay_out", pay_out, self._ctx.key, amount)


# The step bodies: plain functions that touch the world. One that is killed half way will run again.


async def look_up_policy(policy: str) -> ToolResult:
    """Ask the policy register."""
    await asyncio.sleep(0.2)
    return {"policy": policy, "covered": policy in POLICIES, "cover": POLICIES.get(policy)}


async def check_fraud(amount: int) -> ToolResult:
    """Ask the fraud service."""
    await asyncio.sleep(0.2)
    return {"suspicious": amount > 50_000}


async def pay_out(claim: str, amount: int) -> ToolResult:
    """Pay, under a key that is the same whenever this step runs again for this claim."""
    async with httpx.AsyncClient(timeout=30) as bank:
        response = await bank.post(
            f"{os.environ.get('BANK_URL', 'http://127.0.0.1:8901')}/payments",
            json={"account": claim, "amount": amount},
            headers={"idempotency-key": f"{claim}/payout"},
        )
        response.raise_for_status()
        return cast(ToolResult, response.json())


app = holdfast.app(agent)
