"""The agents under proof, one for each framework, and what has to come of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from tests.ai.proofs import Proof


@dataclass(frozen=True, kw_only=True)
class Agent:
    """One framework's.

    Attributes:
        streamed: the handler that runs the same with streaming, when the framework has its own.
        asking: of the same application and script; asks a person before its one tool.
        denied: its output when the answer is no.
        at_once: tools that the model asks for at once, in its order.
        entries: of the journal, to die after.
        journal: its commands.
    """

    proof: Proof
    streamed: str | None = None
    asking: Proof | None = None
    denied: str = ""
    at_once: Sequence[str]
    entries: int
    journal: list[str]


CLAIM = "Policy 7, 900 EUR"
ASKING = "If allowed"


def call(name: str, **arguments: object) -> Mapping[str, object]:
    """A tool call in a reply."""
    return {"name": name, "arguments": arguments}


def turns(user: str, *replies: Mapping[str, object]) -> list[Mapping[str, object]]:
    """Rules that answer what this user said, one turn each."""
    return [{"user": user, "turn": turn, "reply": reply} for turn, reply in enumerate(replies)]


def asks(tool: Mapping[str, object], yes: str, no: str) -> list[Mapping[str, object]]:
    """Rules of a model that asks for a tool which a person has to allow."""
    return [
        {"user": ASKING, "turn": 0, "reply": {"tool_calls": [tool]}},
        {"user": ASKING, "turn": 1, "last": "too much", "reply": {"text": no}},
        {"user": ASKING, "turn": 1, "reply": {"text": yes}},
    ]


def steps(*names: str) -> list[str]:
    """A journal of these run commands."""
    return ["Command: Input", *(f"Command: Run {name}" for name in names), "Command: Output"]


TWO_TOOLS: Mapping[str, object] = {
    "tool_calls": [call("look_up", policy="7"), call("check_fraud", amount=900)],
    "tokens_in": 100,
    "tokens_out": 20,
}
PAY: Mapping[str, object] = {
    "tool_calls": [call("pay", amount=900)],
    "tokens_in": 150,
    "tokens_out": 10,
}
PAID: Mapping[str, object] = {"text": "Paid 900 EUR.", "tokens_in": 180, "tokens_out": 5}

BY_HAND = Agent(
    proof=Proof(
        module="tests.ai.apps.by_hand",
        target="Claims/decide",
        input=CLAIM,
        output="Paid 900 EUR.",
        script=turns(CLAIM, TWO_TOOLS, PAY, PAID),
        model_calls=3,
        tools={"look_up": 1, "check_fraud": 1, "pay": 1},
    ),
    at_once=["look_up", "check_fraud"],
    entries=13,
    journal=steps(
        "gpt-scripted", "tool look_up", "tool check_fraud", "gpt-scripted", "tool pay", "gpt-scripted"
    ),
)

_TO_CASHIER: Mapping[str, object] = {
    "tool_calls": [call("transfer_to_cashier")],
    "tokens_in": 120,
    "tokens_out": 3,
}
_TO_CLERK: Mapping[str, object] = {
    "tool_calls": [call("transfer_to_clerk")],
    "tokens_in": 170,
    "tokens_out": 3,
}
_OPENAI = Proof(
    module="tests.ai.openai_agents.app",
    target="Claims/decide",
    input=CLAIM,
    output="Paid 900 EUR.",
    script=[
        *turns(CLAIM, TWO_TOOLS, _TO_CASHIER, PAY, _TO_CLERK, PAID),
        *asks(call("pay_if_allowed", amount=900), "Paid.", "Not paid."),
    ],
    model_calls=5,
    tools={"look_up": 1, "check_fraud": 1, "pay": 1},
)
OPENAI_AGENTS = Agent(
    proof=_OPENAI,
    streamed="Claims/decide_streaming",
    asking=replace(
        _OPENAI,
        target="Claims/decide_with_approval",
        input=ASKING,
        output="Paid.",
        model_calls=2,
        tools={"pay_if_allowed": 1},
    ),
    denied="Not paid.",
    at_once=["look_up", "check_fraud"],
    entries=17,
    journal=steps(
        "gpt-scripted",
        "tool look_up",
        "tool check_fraud",
        "gpt-scripted",
        "gpt-scripted",
        "tool pay",
        "gpt-scripted",
        "gpt-scripted",
    ),
)

_PYDANTIC = Proof(
    module="tests.ai.pydantic_ai.app",
    target="Claims/decide",
    input=CLAIM,
    output="Paid 900 EUR.",
    script=[
        *turns(
            CLAIM,
            {"tool_calls": [call("look_up", policy="7"), call("price", item="bicycle")]},
            {"tool_calls": [call("check_fraud", amount=900)]},
            {"text": "Paid 900 EUR."},
        ),
        *asks(call("wire_money", usd=900), "Sent.", "Not sent."),
        {"system": "You look for fraud", "reply": {"text": "It is not."}},
    ],
    model_calls=4,
    tools={"look_up": 1, "price": 1},
)
PYDANTIC_AI = Agent(
    proof=_PYDANTIC,
    streamed="Claims/stream",
    asking=replace(_PYDANTIC, input=ASKING, output="Sent.", model_calls=2, tools={"wire_money": 1}),
    denied="Not sent.",
    at_once=["look_up", "price"],
    entries=13,
    journal=steps("gpt-large", "tool look_up", "tool price", "gpt-large", "gpt-small", "gpt-large"),
)

AGENTS = {"litellm": BY_HAND, "openai-agents": OPENAI_AGENTS, "pydantic-ai": PYDANTIC_AI}
