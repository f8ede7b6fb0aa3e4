"""Pydantic AI, proved with real processes: a server, a service that is killed, a scripted provider."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.ai.proofs import (
    Proof,
    World,
    prove_approval,
    prove_crashes,
    prove_order,
    prove_parallel,
    prove_run,
    prove_usage,
    world,
)

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

PAID = Proof(
    module="tests.ai.pydantic_ai.app",
    target="Claims/decide",
    input="Policy 7, a bicycle",
    output="Paid 900 EUR.",
    script=[
        {
            "system": "You decide",
            "turn": 0,
            "reply": {
                "tool_calls": [
                    {"name": "look_up", "arguments": {"policy": "7"}},
                    {"name": "price", "arguments": {"item": "bicycle"}},
                ]
            },
        },
        {
            "system": "You decide",
            "turn": 1,
            "reply": {"tool_calls": [{"name": "check_fraud", "arguments": {"amount": 900}}]},
        },
        {"system": "You decide", "turn": 2, "reply": {"text": "Paid 900 EUR."}},
        {"system": "You look", "reply": {"text": "It is not."}},
    ],
    model_calls=4,
    tools={"look_up": 1, "price": 1},
)

STREAMED = replace(PAID, target="Claims/stream")

WIRED = Proof(
    module="tests.ai.pydantic_ai.app",
    target="Claims/decide",
    input="Send it",
    output="Sent.",
    script=[
        {"tool_calls": [{"name": "wire_money", "arguments": {"usd": 900}}]},
        {"turn": 1, "last": "too much", "text": "Not sent."},
        {"turn": 1, "text": "Sent."},
    ],
    model_calls=2,
    tools={"wire_money": 1},
)
WAYS = [(PAID, True), (PAID, False), (STREAMED, False)]


@pytest.fixture(scope="module", params=WAYS, ids=["duplex", "replayed", "streamed and replayed"])
def here(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    proof, duplex = request.param
    with world(proof, tmp_path_factory.mktemp("pydantic"), duplex=duplex) as here:
        yield here


def test_one_run_is_four_model_calls_and_two_tools(here: World) -> None:
    prove_run(here)


def test_tools_asked_for_at_once_run_at_once(here: World) -> None:
    prove_parallel(here, ["look_up", "price"])


def test_tokens_are_counted_once_though_the_process_dies_at_every_entry(here: World) -> None:
    prove_usage(here)


def test_killed_after_every_entry_nothing_runs_twice(here: World) -> None:
    assert prove_crashes(here) == 13


def test_the_journal_is_the_same_however_long_tools_take(here: World) -> None:
    assert prove_order(here) == [
        "Command: Input",
        "Command: Run gpt-large",
        "Command: Run tool look_up",
        "Command: Run tool price",
        "Command: Run gpt-large",
        "Command: Run gpt-small",
        "Command: Run gpt-large",
        "Command: Output",
    ]


def test_an_approval_is_given_while_the_process_is_gone(tmp_path: Path) -> None:
    with world(WIRED, tmp_path) as here:
        prove_approval(here, True)
        here.check()
        prove_approval(here, {"approved": False, "reason": "too much"}, "Not sent.")
        assert here.runs() == {}
