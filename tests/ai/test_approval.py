"""A person's word: approved, denied, too late, twice, unreadable."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest

import holdfast
from holdfast import testing
from holdfast.ai import Decision, approval

service = holdfast.Service("Payments")
asked: list[str] = []


@service.handler()
async def pay(ctx: holdfast.Context, usd: int) -> dict[str, Any]:
    async def notify(awakeable_id: str) -> None:
        asked.append(awakeable_id)

    decision = await approval(
        f"wire {usd} USD", timeout=timedelta(days=3), details={"usd": usd}, notify=notify
    )
    # Everything after it replays, too.
    await ctx.sleep(timedelta(hours=1))
    assert bool(decision) == decision.approved
    return {
        "outcome": decision.outcome,
        "reason": decision.reason,
        "by": decision.by,
        "arguments": decision.arguments,
    }


@pytest.fixture(autouse=True)
def _nobody_asked_yet() -> None:
    asked.clear()


def play(
    answer: Callable[[testing.Harness, str], Awaitable[object]],
    check: Callable[[dict[str, Any]], None],
    *,
    always_replay: bool = False,
) -> None:
    async def scenario(env: testing.Harness) -> None:
        sent = await env.send(pay, 900)
        await env.settle()
        await answer(env, asked[0])
        check(await sent.attach())
        assert len(asked) == 1

    testing.run(service, scenario, always_replay=always_replay)


@pytest.mark.parametrize("always_replay", [False, True])
@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (True, {"outcome": "approved", "reason": "", "by": "", "arguments": None}),
        (False, {"outcome": "denied", "reason": "", "by": "", "arguments": None}),
        (
            {"approved": True, "by": "Ada", "arguments": {"usd": 500}},
            {"outcome": "approved", "reason": "", "by": "Ada", "arguments": {"usd": 500}},
        ),
        (
            {"approved": False, "reason": "too much"},
            {"outcome": "denied", "reason": "too much", "by": "", "arguments": None},
        ),
    ],
)
def test_the_answer_is_the_decision(body: object, expected: dict[str, Any], always_replay: bool) -> None:
    def check(decision: dict[str, Any]) -> None:
        assert decision == expected

    play(lambda env, id_: env.resolve_awakeable(id_, body), check, always_replay=always_replay)


@pytest.mark.parametrize(
    "body", ["yes", 1, None, [], {"approve": True}, {"approved": "yes"}, {"approved": 1}]
)
def test_what_cannot_be_read_is_a_denial_that_says_what_was_expected(body: object) -> None:
    def check(decision: dict[str, Any]) -> None:
        assert decision["outcome"] == "denied"
        assert "expected true, false or an object" in decision["reason"]

    play(lambda env, id_: env.resolve_awakeable(id_, body), check)


def test_a_rejection_is_a_denial() -> None:
    def check(decision: dict[str, Any]) -> None:
        assert (decision["outcome"], decision["reason"]) == ("denied", "not on a Friday")

    play(lambda env, id_: env.reject_awakeable(id_, "not on a Friday"), check)


@pytest.mark.parametrize("always_replay", [False, True])
def test_nobody_answers_in_time(always_replay: bool) -> None:
    async def wait(env: testing.Harness, id_: str) -> None:
        await env.advance(timedelta(days=2, hours=23))
        assert env.invocation_view(pay).status != "completed"
        await env.advance(timedelta(hours=1, seconds=1))
        # Too late: the decision is made.
        await env.resolve_awakeable(id_, True)

    def check(decision: dict[str, Any]) -> None:
        assert decision == {
            "outcome": "expired",
            "reason": "nobody answered in time",
            "by": "",
            "arguments": None,
        }

    play(wait, check, always_replay=always_replay)


def test_only_the_first_answer_counts() -> None:
    async def twice(env: testing.Harness, id_: str) -> None:
        await env.resolve_awakeable(id_, {"approved": False, "by": "Ada"})
        await env.resolve_awakeable(id_, {"approved": True, "by": "Bob"})

    def check(decision: dict[str, Any]) -> None:
        assert (decision["outcome"], decision["by"]) == ("denied", "Ada")

    play(twice, check)


def test_what_is_asked_is_in_the_journal_for_people_to_see() -> None:
    async def look(env: testing.Harness, id_: str) -> None:
        step = env.journal(pay)[1]
        assert step.name == "ask wire 900 USD"
        assert step.metadata == {
            "kind": "approval",
            "approval": "wire 900 USD",
            "awakeable_id": id_,
            "details": {"usd": 900},
            "timeout_s": 3 * 86400.0,
        }
        await env.resolve_awakeable(id_, True)

    play(look, lambda decision: None)


def test_crashes_anywhere_change_nothing() -> None:
    async def scenario(env: testing.Harness) -> None:
        asked.clear()
        sent = await env.send(pay, 900)
        await env.advance(timedelta(minutes=10))
        await env.resolve_awakeable(asked[-1], True)
        assert (await sent.attach())["outcome"] == "approved"

    testing.crash_everywhere(service, scenario)


def test_outside_a_handler_there_is_nobody_to_ask() -> None:
    import asyncio

    with pytest.raises(holdfast.UsageError, match="no_context"):
        asyncio.run(approval("x", timeout=None))


def test_a_decision_is_true_when_approved() -> None:
    assert Decision("approved")
    assert not Decision("denied")
    assert not Decision("expired")
