"""Steps: when bodies start, how failures are retried, and what becomes of them when the attempt ends."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

import holdfast
from holdfast import Context, Retry, TerminalError
from holdfast.protocol import messages as m
from tests.sdk.attempts import NOW_MS, Fed, ack, called, run_done, run_failed, served, slept

OTHER = holdfast.remote("Other", "work", output=str)
RUN = m.RunCommandMessage


async def step() -> str:
    return "done"


async def other_step() -> str:
    return "other"


async def gives_up() -> str:
    raise TerminalError("gave up", 418)


async def fails() -> str:
    raise ValueError("broken")


@holdfast.step(retry=Retry(max_attempts=3, initial_interval=1.0, factor=2.0))
async def stubborn() -> str:
    raise ValueError("broken")


@holdfast.step(retry=Retry(max_duration=timedelta(seconds=10), initial_interval=1.0))
async def patient() -> str:
    raise ValueError("broken")


async def one(ctx: Context) -> str:
    return await ctx.run(step)


async def both(ctx: Context) -> list[str]:
    return list(await asyncio.gather(ctx.run(step), ctx.run(other_step)))


# When they start.


def test_a_result_in_the_journal_is_taken_from_there() -> None:
    fed = served(one).begin(b"", RUN(1, "step"), run_done(1, "stored"))
    assert fed.steps == []
    assert fed.result() == "stored"


def test_it_replays_until_the_journal_is_through() -> None:
    """Goal: what is new is not taken for a replay because more that is new waits behind it. Method: two
    results from the journal, then two that come at once."""

    async def handler(ctx: Context) -> list[bool]:
        seen: list[bool] = [ctx.is_replaying]

        async def look(action: Any) -> None:
            await ctx.run(action)
            seen.append(ctx.is_replaying)

        for _ in range(2):
            await asyncio.gather(look(step), look(other_step))
        return seen

    fed = served(handler).begin(
        b"", RUN(1, "step"), RUN(2, "other_step"), run_done(1, "done"), run_done(2, "other")
    )
    fed.finish_step().finish_step()
    assert fed.feed(ack(3), ack(4)).result() == [True, True, False, False, False]


def test_a_terminal_failure_in_the_journal_is_raised() -> None:
    async def handler(ctx: Context) -> str:
        try:
            return await ctx.run(step)
        except TerminalError as error:
            return f"{error.code} {error.message}"

    assert served(handler).begin(b"", RUN(1, "step"), run_failed(1, "gave up", 418)).result() == "418 gave up"


def test_a_step_without_its_result_runs_again_when_the_replay_is_through() -> None:
    async def handler(ctx: Context) -> str:
        first = ctx.run(step)
        await ctx.sleep(1)
        await ctx.sleep(2)
        return await first

    stored = [RUN(1, "step"), m.SleepCommandMessage(1, 2), slept(2)]
    fed = served(handler).begin(b"", *stored)
    assert fed.steps == ["step"]
    assert fed.names() == ["Sleep"]


def test_a_step_cancelled_in_the_replay_never_starts() -> None:
    async def handler(ctx: Context) -> str:
        try:
            async with asyncio.timeout(1):
                return await ctx.run(step)
        except TimeoutError:
            return "too late"

    fed = served(handler).begin(b"", m.SleepCommandMessage(1, 1), RUN(2, "step"), slept(1))
    assert fed.port.steps == []
    assert fed.port.stopped == []
    assert fed.result() == "too late"


def test_a_timeout_stops_the_body() -> None:
    async def handler(ctx: Context) -> str:
        try:
            async with asyncio.timeout(1):
                return await ctx.run(step)
        except TimeoutError:
            return "too late"

    fed = served(handler).begin(b"").feed(slept(1))
    assert fed.port.stopped == ["step"]
    assert fed.result() == "too late"


@pytest.mark.parametrize("version", [5, 6, 7])
def test_the_handler_hears_of_a_result_when_it_is_durable(version: int) -> None:
    fed = served(one, version).begin(b"")
    fed.finish_step()
    assert fed.names() == ["Run", "ProposeRunCompletion"]
    fed.feed(ack(1) if version == 7 else run_done(1, "done"))
    assert fed.result() == "done"


def test_version_7_takes_a_full_completion_too() -> None:
    fed = served(one).begin(b"").finish_step().feed(run_done(1, "as the server says"))
    assert fed.result() == "as the server says"


def test_results_count_in_the_order_the_server_gives() -> None:
    """Two steps race; which came first is what the journal says, not which body was quicker."""

    async def handler(ctx: Context) -> str:
        racing = [ctx.run(step), ctx.run(other_step)]
        first, _ = await asyncio.wait(racing, return_when=asyncio.FIRST_COMPLETED)
        return first.pop().result()

    fed = served(handler).begin(b"").finish_step("step").finish_step("other_step")
    fed.feed(ack(2), ack(1))
    assert fed.result() == "other"


def test_a_result_of_an_earlier_attempt_that_arrives_late_stops_the_body() -> None:
    fed = served(one).begin(b"", RUN(1, "step"))
    assert fed.steps == ["step"]
    fed.feed(run_done(1, "from before"))
    assert fed.port.stopped == ["step"]
    assert fed.result() == "from before"


def test_in_request_and_response_a_proposal_ends_the_attempt() -> None:
    fed = served(one, 6).begin(b"").close()
    assert fed.names() == ["Run"]
    fed.finish_step()
    proposal, suspension = fed.said()
    assert isinstance(proposal, m.ProposeRunCompletionMessage)
    assert isinstance(suspension, m.SuspensionMessageV6)
    assert tuple(suspension.waiting_completions) == (1,)


# Failing.


def test_a_failure_for_now_ends_the_attempt_and_names_the_step() -> None:
    async def handler(ctx: Context) -> str:
        return await ctx.run("charge card", fails)

    error = served(handler).begin(b"").finish_step("fails").error()
    assert "ValueError: broken" in error.message
    assert (error.related_command_index, error.related_command_type) == (1, 0x0411)
    assert error.related_command_name == "charge card"
    assert error.next_retry_delay is None


def test_a_terminal_failure_is_proposed() -> None:
    async def handler(ctx: Context) -> str:
        return await ctx.run(gives_up)

    fed = served(handler).begin(b"").finish_step()
    proposal = fed.said()[-1]
    assert isinstance(proposal, m.ProposeRunCompletionMessage)
    assert proposal.result == m.Failure(418, "gave up")


def test_a_policy_delays_and_then_gives_up() -> None:
    async def handler(ctx: Context) -> str:
        return await ctx.run(stubborn)

    assert served(handler).begin(b"").finish_step().error().next_retry_delay == 1000
    fed = served(handler).begin(b"", RUN(1, "stubborn"), retry_count_since_last_stored_entry=1)
    assert fed.finish_step().error().next_retry_delay == 2000
    fed = served(handler).begin(b"", RUN(1, "stubborn"), retry_count_since_last_stored_entry=2)
    proposal = fed.finish_step().said()[-1]
    assert isinstance(proposal, m.ProposeRunCompletionMessage)
    assert isinstance(proposal.result, m.Failure)
    assert "ValueError: broken" in proposal.result.message


def test_every_stored_step_counts_its_attempts() -> None:
    """Goal: a step with a policy gives up although it is not the first that is open."""

    async def handler(ctx: Context) -> Any:
        return await asyncio.gather(ctx.run(step), ctx.run(stubborn))

    fed = served(handler).begin(
        b"", RUN(1, "step"), RUN(2, "stubborn"), retry_count_since_last_stored_entry=2
    )
    proposal = fed.finish_step("stubborn").said()[-1]
    assert isinstance(proposal, m.ProposeRunCompletionMessage)


def test_a_step_that_is_new_starts_counting() -> None:
    async def handler(ctx: Context) -> str:
        await ctx.run(step)
        return await ctx.run(stubborn)

    fed = served(handler).begin(b"", RUN(1, "step"), retry_count_since_last_stored_entry=2)
    fed.finish_step().feed(ack(1)).finish_step("stubborn")
    assert fed.error().next_retry_delay == 1000


@pytest.mark.parametrize(
    ("before_ms", "took_ms", "gives_up"), [(0, 1000, False), (0, 10_000, True), (9_500, 600, True)]
)
def test_max_duration_counts_this_attempt_and_those_before(
    before_ms: int, took_ms: int, gives_up: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def handler(ctx: Context) -> str:
        return await ctx.run(patient)

    fed = served(handler).begin(
        b"", RUN(1, "patient"),
        retry_count_since_last_stored_entry=1, duration_since_last_stored_entry=before_ms,
    )  # fmt: skip
    monkeypatch.setattr(fed.port, "now_ms", lambda: NOW_MS + took_ms)
    last = fed.finish_step().said()[-1]
    assert isinstance(last, m.ProposeRunCompletionMessage if gives_up else m.ErrorMessage)


def test_retry_after_wins_over_the_policy() -> None:
    @holdfast.step(retry=Retry(max_attempts=3))
    async def busy() -> str:
        raise holdfast.RetryableError("busy", retry_after=7)

    async def handler(ctx: Context) -> str:
        return await ctx.run(busy)

    assert served(handler).begin(b"").finish_step().error().next_retry_delay == 7000


def test_siblings_of_a_failed_step_get_time_to_finish() -> None:
    async def handler(ctx: Context) -> Any:
        return await asyncio.gather(ctx.run(step), ctx.run(fails))

    fed = served(handler).begin(b"").finish_step("fails")
    assert not fed.attempt.ended
    fed.finish_step("step")
    assert fed.names() == ["Run", "Run", "ProposeRunCompletion", "Error"]
    assert fed.attempt.ended


def test_but_not_for_ever() -> None:
    async def handler(ctx: Context) -> Any:
        return await asyncio.gather(ctx.run(step), ctx.run(fails))

    fed = served(handler).begin(b"").finish_step("fails")
    (call,) = fed.port.later
    call()
    assert fed.port.stopped == ["step"]
    assert fed.names() == ["Run", "Run", "Error"]


def test_nothing_new_is_journaled_while_siblings_finish() -> None:
    async def handler(ctx: Context) -> Any:
        async def then() -> str:
            await ctx.run(step)
            return await ctx.run(other_step)

        return await asyncio.gather(then(), ctx.run(fails))

    fed = served(handler).begin(b"").finish_step("fails").finish_step("step")
    fed.feed(ack(1))
    assert fed.names() == ["Run", "Run", "ProposeRunCompletion", "Error"]


# Too much.


def small(fed: Fed) -> Fed:
    fed.attempt.machine.max_message_bytes = 1000
    return fed


async def huge() -> str:
    return "x" * 2000


def test_a_step_that_returns_too_much() -> None:
    async def handler(ctx: Context) -> str:
        return await ctx.run(huge)

    error = small(served(handler)).begin(b"").finish_step().error()
    assert "step huge returned" in error.message
    assert "the limit is 1000" in error.message
    assert error.related_command_name == "huge"


def test_a_handler_that_returns_too_much() -> None:
    async def handler(ctx: Context) -> str:
        return "x" * 2000

    assert "the handler's result" in small(served(handler)).begin(b"").error().message


@pytest.mark.parametrize("replayed", [False, True])
def test_an_argument_that_is_too_large_leaves_no_trace(replayed: bool) -> None:
    """Goal: a handler that catches the refusal replays. Method: the refused call is not in the journal, and
    must not be looked for there."""
    target = holdfast.remote("Other", "work", input=str, output=str)

    async def handler(ctx: Context) -> str:
        with pytest.raises(holdfast.UsageError, match="value_too_large"):
            await ctx.call(target, "x" * 2000)
        return await ctx.run(step)

    fed = small(served(handler))
    if replayed:
        fed.begin(b"", RUN(3, "step"), run_done(3, "stored"))
        assert fed.result() == "stored"
    else:
        fed.begin(b"")
        assert fed.names() == ["Run"]


def test_the_id_of_a_call_comes_before_its_result() -> None:
    async def handler(ctx: Context) -> str:
        return await ctx.call(OTHER).invocation_id()

    assert served(handler).begin(b"").feed(called(1, "inv_a")).result() == "inv_a"
