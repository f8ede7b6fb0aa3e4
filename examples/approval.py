"""A workflow that waits for a human: days if need be, on a durable promise, without a process that waits.

holdfast serve examples.approval:app
curl localhost:8080/Expense/trip-7/run/send --json '{"who": "Ada", "amount": 1800}'
curl localhost:8080/Expense/trip-7/status -X POST
curl localhost:8080/Expense/trip-7/approve --json '{"approved": true, "by": "Grace"}'
curl localhost:8080/restate/workflow/Expense/trip-7/attach
"""

import asyncio
from dataclasses import dataclass
from datetime import timedelta

import holdfast
from holdfast import SharedWorkflowContext, WorkflowContext

PATIENCE = timedelta(days=3)


@dataclass
class Request:
    """What somebody wants back. `amount` is in EUR."""

    who: str
    amount: int


@dataclass
class Decision:
    """What a human said."""

    approved: bool
    by: str


expense = holdfast.Workflow("Expense")


@expense.main
async def run(ctx: WorkflowContext, request: Request) -> str:
    """Runs once for each key; a second call for the key is refused."""
    ctx.set("status", f"waiting for a decision on {request.amount} EUR")
    await ctx.run(ask_manager, ctx.key, request)
    try:
        async with asyncio.timeout(PATIENCE.total_seconds()):  # a durable timer: it runs on while nobody does
            decision = await ctx.promise("decision", Decision)
    except TimeoutError:
        decision = Decision(approved=False, by="nobody in time")
    outcome = f"{'approved' if decision.approved else 'declined'} by {decision.by}"
    ctx.set("status", outcome)
    if decision.approved:
        await ctx.run(pay, ctx.key, request)
    return outcome


@expense.shared
async def approve(ctx: SharedWorkflowContext, decision: Decision) -> None:
    """The human's answer, which wakes the workflow. The first one counts; a second one fails with 409."""
    await ctx.promise("decision", Decision).resolve(decision)


@expense.shared
async def status(ctx: SharedWorkflowContext) -> str:
    """Where the request stands; may be asked at any time."""
    return await ctx.get("status", str, default="not submitted")


def ask_manager(claim: str, request: Request) -> None:
    """A mail with a link, in real life."""
    print(f"mail: please decide {claim}, {request.amount} EUR for {request.who}", flush=True)


def pay(claim: str, request: Request) -> str:
    """A payment, under a key that is the same when this step has to run again: `claim`."""
    print(f"bank: {request.amount} EUR to {request.who}, once per {claim}", flush=True)
    return f"receipt-{claim}"


app = holdfast.app(expense)
