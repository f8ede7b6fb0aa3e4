"""An agent that decides insurance claims with Pydantic AI: two tools at once, and a person above 1000 EUR.

holdfast dev examples/claim_agent.py
curl localhost:8080/Claims/decide --json '"Policy home-77, 300 EUR: a window broke."'
curl localhost:8080/Claims/decide/send --json '"Policy home-77, 1800 EUR: a pipe burst in the kitchen."'

The second claim waits for you: the service prints the line that approves it, and the UI has a button. Stop
everything with ctrl-C while it waits, start it again, and approve: what the agent did is in the journal.

With OPENAI_API_KEY set a real model decides (OPENAI_MODEL names it); without, a scripted one on loopback.
"""

import asyncio
import os
from datetime import timedelta

from pydantic_ai import Agent

import holdfast
from holdfast.ai import approval
from holdfast.ai.pydantic_ai import Durable
from holdfast.testing.llm import ScriptedLLM

APPROVAL_ABOVE = 1000
POLICIES = {"home-77": "water and glass", "car-12": "collision"}

CLAIM = r"Policy (?P<policy>[\w-]+), (?P<amount>\d+) EUR"
SCRIPT: list[dict[str, object]] = [
    {
        "user": CLAIM,
        "turn": 0,
        "reply": {
            "text": "I check the policy and look for fraud first.",
            "tool_calls": [
                {"name": "look_up_policy", "arguments": {"policy": "$policy"}},
                {"name": "check_fraud", "arguments": {"amount": "$amount"}},
            ],
        },
    },
    {"turn": 1, "last": "no such policy|suspicious", "reply": {"text": "Declined: this cannot be paid."}},
    {
        "user": CLAIM,
        "turn": 1,
        "reply": {
            "tool_calls": [{"name": "pay_out", "arguments": {"policy": "$policy", "amount": "$amount"}}]
        },
    },
    {"turn": 2, "last": "refused", "reply": {"text": "Declined: nobody approved the payment."}},
    {"user": CLAIM, "turn": 2, "reply": {"text": "Approved: $amount EUR were paid on policy $policy."}},
]


def model() -> str:
    """The model's name; without a key, that of a scripted one, to which the client is sent."""
    if "OPENAI_API_KEY" not in os.environ:
        scripted = ScriptedLLM(SCRIPT, delay_s=0.3)
        scripted.start()
        os.environ.update(scripted.environment)
    return f"openai-chat:{os.environ.get('OPENAI_MODEL', 'gpt-5')}"


agent = Agent(
    model(),
    name="claims",
    instructions=(
        "You decide insurance claims. Look up the policy and check for fraud, then pay what is claimed if "
        "both allow it. Answer with one sentence that begins with Approved or Declined."
    ),
    capabilities=[Durable()],
)


@agent.tool_plain
async def look_up_policy(policy: str) -> str:
    """What a policy covers."""
    await asyncio.sleep(1)  # a slow register
    return POLICIES.get(policy, "no such policy")


@agent.tool_plain
async def check_fraud(amount: int) -> str:
    """Whether a claim looks like fraud."""
    await asyncio.sleep(1)
    return "suspicious" if amount > 50_000 else "no signs of fraud"


@agent.tool_plain(metadata={"holdfast": False})  # no step: it waits, and its payment is a step of its own
async def pay_out(policy: str, amount: int) -> str:
    """Pay a claim. Large amounts are approved by a person."""
    ctx = holdfast.current()
    if amount > APPROVAL_ABOVE:
        decision = await approval(
            f"pay {amount} EUR on {policy}", timeout=timedelta(days=3), notify=ask_in_terminal
        )
        if not decision:
            return f"refused: {decision.outcome} {decision.reason}"
    return await ctx.run("pay", pay, policy, amount, str(ctx.uuid()))


async def ask_in_terminal(awakeable_id: str) -> None:
    """A mail with two buttons, in real life."""
    url = f"localhost:8080/restate/awakeables/{awakeable_id}/resolve"
    print(f"A payment waits for you. Approve it (or say false):\ncurl {url} --json true", flush=True)


async def pay(policy: str, amount: int, idempotency_key: str) -> str:
    """A bank, asked under a key that is the same when this step has to run again."""
    print(f"bank: {amount} EUR on {policy}, once per {idempotency_key}", flush=True)
    return f"paid {amount} EUR"


# One that has waited this long leaves memory; what it waits for is shown from then on at the latest.
claims = holdfast.Service("Claims", inactivity_timeout=timedelta(seconds=2))


@claims.handler()
async def decide(ctx: holdfast.Context, claim: str) -> str:
    """Decide one claim."""
    return (await agent.run(claim)).output


app = holdfast.app(claims)
