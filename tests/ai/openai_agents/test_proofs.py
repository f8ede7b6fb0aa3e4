"""The OpenAI Agents SDK, proved with real processes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

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

PROOF = Proof(
    module="tests.ai.openai_agents.app",
    target="Claims/decide",
    input="Policy 7, 900 EUR",
    output="Paid 900 EUR.",
    script=[
        {
            "tool_calls": [
                {"name": "look_up", "arguments": {"policy": "7"}},
                {"name": "check_fraud", "arguments": {"amount": 900}},
            ],
            "tokens_in": 100,
            "tokens_out": 20,
        },
        {"tool_calls": [{"name": "transfer_to_cashier", "arguments": {}}], "tokens_in": 120, "tokens_out": 3},
        {"tool_calls": [{"name": "pay", "arguments": {"amount": 900}}], "tokens_in": 150, "tokens_out": 10},
        {"tool_calls": [{"name": "transfer_to_clerk", "arguments": {}}], "tokens_in": 170, "tokens_out": 3},
        {"text": "Paid 900 EUR.", "tokens_in": 180, "tokens_out": 5},
    ],
    model_calls=5,
    tools={"look_up": 1, "check_fraud": 1, "pay": 1},
)
STREAMED = replace(PROOF, target="Claims/decide_streaming")
ASKING = replace(
    PROOF,
    target="Claims/decide_with_approval",
    output="Paid.",
    script=[
        {"tool_calls": [{"name": "pay_if_allowed", "arguments": {"amount": 900}}]},
        {"turn": 1, "last": "too much", "text": "Not paid."},
        {"turn": 1, "text": "Paid."},
    ],
    model_calls=2,
    tools={"pay_if_allowed": 1},
)
WAYS = [(PROOF, True), (PROOF, False), (STREAMED, False)]


@pytest.fixture(scope="module", params=WAYS, ids=["duplex", "replayed", "streamed and replayed"])
def here(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    proof, duplex = request.param
    with world(proof, tmp_path_factory.mktemp("sdk"), duplex=duplex) as here:
        yield here


def test_one_run_is_five_model_calls_and_three_tools(here: World) -> None:
    prove_run(here)


def test_killed_after_every_entry_nothing_runs_twice(here: World) -> None:
    assert prove_crashes(here) == 17


def test_tokens_are_counted_once_though_the_process_dies_at_every_entry(here: World) -> None:
    prove_usage(here)


def test_tools_asked_for_at_once_run_at_once(here: World) -> None:
    prove_parallel(here, ["look_up", "check_fraud"])


def test_the_journal_is_the_same_however_long_tools_take(here: World) -> None:
    assert prove_order(here) == [
        "Command: Input",
        "Command: Run gpt-scripted",
        "Command: Run tool look_up",
        "Command: Run tool check_fraud",
        "Command: Run gpt-scripted",
        "Command: Run gpt-scripted",
        "Command: Run tool pay",
        "Command: Run gpt-scripted",
        "Command: Run gpt-scripted",
        "Command: Output",
    ]


def test_a_person_answers_while_the_process_is_gone(tmp_path_factory: pytest.TempPathFactory) -> None:
    with world(ASKING, tmp_path_factory.mktemp("asking")) as here:
        prove_approval(here, True)
        here.check()
        prove_approval(here, {"approved": False, "reason": "too much"}, "Not paid.")
        assert here.runs() == {}
