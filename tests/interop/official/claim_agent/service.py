"""The claim agent of `examples/claim_demo/service.py` on the official Python SDK and Hypercorn.

Same handlers, same rules, same steps; so the same demo drives it, with HOLDFAST_DEMO_AGENT.

    python -m tests.interop.official.claim_agent.service     serves on http://127.0.0.1:9080
"""

from __future__ import annotations

import asyncio
import json
import os
from datetime import timedelta

import restate
from hypercorn.asyncio import serve
from hypercorn.config import Config

from examples.claim_demo.model import Message, ToolRequest, as_message, opening
from examples.claim_demo.service import (
    APPROVAL_ABOVE,
    TURNS_MAX,
    Approval,
    Claim,
    Decision,
    ToolResult,
    check_fraud,
    look_up_policy,
    pay_out,
)
from tests.interop.official.claim_agent.steps import Step, Steps, ask_model

agent = restate.Workflow(
    "ClaimAgent",
    inactivity_timeout=timedelta(seconds=1),  # a handler that has waited this long leaves memory
    invocation_retry_policy=restate.InvocationRetryPolicy(
        initial_interval=timedelta(milliseconds=100), max_interval=timedelta(seconds=1)
    ),
)


@agent.main()
async def run(ctx: restate.WorkflowContext, claim: Claim) -> Decision:
    """Decide one claim: ask the model, run the tools it asks for, until it answers without asking for any."""
    steps = Steps(ctx)
    desk = Desk(ctx, steps, claim)
    conversation = opening(f"Policy {claim.policy}, {claim.amount} EUR: {claim.text}")
    for turn in range(1, TURNS_MAX + 1):
        answer = await steps.begin(f"model turn {turn}", ask_model, conversation).result()
        if not answer.tools:
            return desk.decide(answer.text)
        conversation.append(as_message(answer))
        conversation.extend(await desk.run_tools(answer.tools))
    raise restate.TerminalError(f"the model did not come to a decision in {TURNS_MAX} turns")


@agent.handler()
async def approve(ctx: restate.WorkflowSharedContext, approval: Approval) -> str:
    """A human's answer, which wakes the workflow. Only the first one counts."""
    await ctx.promise("approval", type_hint=Approval).resolve(approval)
    return "thank you"


class Desk:
    """Runs the tools for one claim, and remembers what came of it."""

    def __init__(self, ctx: restate.WorkflowContext, steps: Steps, claim: Claim) -> None:
        self._ctx = ctx
        self._steps = steps
        self._claim = claim
        self.paid = 0
        self.approved_by: str | None = None

    def decide(self, decision: str) -> Decision:
        """The outcome, in the words of the model and the facts of this desk."""
        return Decision(
            claim=self._ctx.key(), decision=decision, paid=self.paid, approved_by=self.approved_by
        )

    async def run_tools(self, requests: list[ToolRequest]) -> list[Message]:
        """Run the tools the model asked for, at the same time; the messages keep the model's order."""
        begun = [await self.begin(request) for request in requests]
        await restate.gather(*(step.future for step in begun if isinstance(step, Step)))
        results = [await step.result() if isinstance(step, Step) else step for step in begun]
        return [
            {"role": "tool", "tool_call_id": request.id, "content": json.dumps(result)}
            for request, result in zip(requests, results, strict=True)
        ]

    async def begin(self, request: ToolRequest) -> Step[ToolResult] | ToolResult:
        """Begin one tool, or say in its place why it may not run."""
        match request.name:
            case "look_up_policy":
                return self._steps.begin(request.name, look_up_policy, self._claim.policy)
            case "check_fraud":
                return self._steps.begin(request.name, check_fraud, self._claim.amount)
            case "pay_out":
                return await self.begin_payment(request.number("amount"))
            case _:
                return {"refused": f"there is no tool {request.name}"}

    async def begin_payment(self, amount: int | None) -> Step[ToolResult] | ToolResult:
        """Begin the payment once the rules, and above APPROVAL_ABOVE a human, allow it."""
        if amount is None or self.paid or not 0 < amount <= self._claim.amount:
            return {"refused": f"a claim is paid once, and at most the {self._claim.amount} EUR claimed"}
        if amount > APPROVAL_ABOVE:
            approval = await self._ctx.promise("approval", type_hint=Approval).value()  # days are fine
            if not approval.approved:
                return {"refused": f"{approval.by} did not approve"}
            self.approved_by = approval.by
        self.paid = amount
        return self._steps.begin("pay_out", pay_out, self._ctx.key(), amount)


app = restate.app([agent])


async def main() -> None:
    """Serve the agent on Hypercorn, in this one process."""
    config = Config()
    config.bind = [f"127.0.0.1:{os.environ.get('PORT', '9080')}"]
    await serve(app, config)


if __name__ == "__main__":
    asyncio.run(main())
