"""A handler that asks a person, and pays if it may."""

import holdfast
from holdfast.ai import approval, tool
from tests.ai.effects import ran

payments = holdfast.Service(
    "Payments", retry=holdfast.InvocationRetry(initial_interval=0.02, max_interval=0.2)
)


@tool
async def pay(amount: int) -> str:
    """Pay an amount."""
    await ran("pay")
    return "paid"


@payments.handler()
async def pay_if_allowed(ctx: holdfast.Context, timeout_s: float) -> str:
    decision = await approval("pay 900 EUR", timeout=timeout_s)
    if decision:
        await pay(900)
    return f"{decision.outcome} {decision.by}".strip()


app = holdfast.app(payments)
