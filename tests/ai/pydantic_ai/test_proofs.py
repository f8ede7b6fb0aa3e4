"""Pydantic AI, proved with real processes: a server, a service that is killed, a scripted provider."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.ai.proofs import (
    Proof,
    prove_approval,
    prove_crashes,
    prove_dying_every_time,
    prove_order,
    prove_parallel,
    prove_replay,
    prove_usage,
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
        {
            "system": "You look",
            "turn": 0,
            "reply": {"tool_calls": [{"name": "search_records", "arguments": {"amount": 900}}]},
        },
        {"system": "You look", "turn": 1, "reply": {"text": "It is not."}},
    ],
    model_calls=5,
    tools={"look_up": 1, "price": 1, "search_records": 1},
)

STREAMED = replace(PAID, target="Claims/stream")

WIRED = Proof(
    module="tests.ai.pydantic_ai.app",
    target="Claims/decide",
    input="Send it",
    output="Sent.",
    script=[{"tool_calls": [{"name": "wire_money", "arguments": {"usd": 900}}]}, {"text": "Sent."}],
    model_calls=2,
    tools={"wire_money": 1},
)
BOTH = pytest.mark.parametrize("duplex", [True, False], ids=["duplex", "replayed"])


@BOTH
def test_killed_after_every_entry_nothing_runs_twice(tmp_path: Path, duplex: bool) -> None:
    assert prove_crashes(PAID, tmp_path, duplex=duplex) >= 17


@pytest.mark.parametrize("proof", [PAID, STREAMED], ids=["run", "run_stream"])
def test_a_process_that_dies_at_every_entry(tmp_path: Path, proof: Proof) -> None:
    prove_dying_every_time(proof, tmp_path)


def test_replayed_at_every_await(tmp_path: Path) -> None:
    prove_replay(PAID, tmp_path)


@BOTH
def test_tools_asked_for_at_once_run_at_once(tmp_path: Path, duplex: bool) -> None:
    prove_parallel(PAID, tmp_path, ["look_up", "price"], duplex=duplex)


def test_the_journal_is_the_same_however_long_tools_take(tmp_path: Path) -> None:
    assert prove_order(PAID, tmp_path) == [
        "Command: Input",
        "Command: Run gpt-large",
        "Command: Run tool look_up",
        "Command: Run tool price",
        "Command: Run gpt-large",
        "Command: Run gpt-small",
        "Command: Run tool search_records",
        "Command: Run gpt-small",
        "Command: Run gpt-large",
        "Command: Output",
    ]


@pytest.mark.parametrize(
    ("answer", "runs"),
    [(True, 1), ({"approved": True, "arguments": {"usd": 5}}, 1), (False, 0)],
    ids=["approved", "changed", "denied"],
)
def test_an_approval_is_given_while_the_process_is_gone(tmp_path: Path, answer: object, runs: int) -> None:
    prove_approval(replace(WIRED, tools={"wire_money": runs} if runs else {}), tmp_path, answer)


def test_tokens_are_counted_once_though_the_process_dies_at_every_entry(tmp_path: Path) -> None:
    prove_usage(PAID, tmp_path)
