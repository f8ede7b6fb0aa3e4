"""LiteLLM in a loop by hand, proved with real processes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.ai.proofs import (
    Proof,
    World,
    prove_crashes,
    prove_order,
    prove_parallel,
    prove_run,
    prove_usage,
    world,
)

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

PROOF = Proof(
    module="tests.ai.apps.by_hand",
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
        {"tool_calls": [{"name": "pay", "arguments": {"amount": 900}}], "tokens_in": 150, "tokens_out": 10},
        {"text": "Paid 900 EUR.", "tokens_in": 180, "tokens_out": 5},
    ],
    model_calls=3,
    tools={"look_up": 1, "check_fraud": 1, "pay": 1},
)


@pytest.fixture(scope="module", params=[True, False], ids=["duplex", "replayed"])
def here(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world(PROOF, tmp_path_factory.mktemp("by_hand"), duplex=request.param) as here:
        yield here


def test_one_run_is_three_model_calls_and_three_tools(here: World) -> None:
    prove_run(here)


def test_killed_after_every_entry_nothing_runs_twice(here: World) -> None:
    assert prove_crashes(here) == 13


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
        "Command: Run tool pay",
        "Command: Run gpt-scripted",
        "Command: Output",
    ]
