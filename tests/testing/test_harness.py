"""Scenarios against services of an SDK we did not write: time, journals, faults, being told when stuck."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from testing import official as services

import holdfast.testing as testing
from holdfast.client import IngressError, InvocationFailed
from holdfast.sdk.errors import UsageError

RETRY_MAX = timedelta(seconds=5)


def test_a_call_returns_what_the_handler_returns() -> None:
    async def scenario(env: testing.Harness) -> str:
        return await env.call(services.GREET, "Ada")

    assert testing.run(services.app, scenario) == "Hello Ada!"


def test_sleeps_of_months_pass_and_the_clock_shows_it() -> None:
    async def scenario(env: testing.Harness) -> None:
        assert env.now == datetime(2026, 1, 1, tzinfo=UTC)
        assert await env.call(services.LATER, 30) == "slept"
        assert env.now.replace(microsecond=0) == datetime(2026, 3, 2, tzinfo=UTC)

    testing.run(services.app, scenario)


def test_ten_years_are_no_problem() -> None:
    async def scenario(env: testing.Harness) -> None:
        sent = await env.send(services.LATER, 1, delay=timedelta(days=3700))
        assert env.invocation_view(sent).status == "scheduled"
        assert await sent.attach() == "slept"
        assert env.now.year == 2036

    testing.run(services.app, scenario)


def test_time_stands_still_until_somebody_waits() -> None:
    async def scenario(env: testing.Harness) -> None:
        sent = await env.send(services.LATER, 2)
        await env.settle()
        assert env.now == testing.EPOCH
        assert [entry.type for entry in env.journal(sent)] == ["Input", "Sleep"]
        await env.advance(timedelta(days=3))
        assert env.invocation_view(sent).status == "suspended"
        await env.advance(timedelta(days=3))
        assert env.invocation_view(sent).status == "completed"

    testing.run(services.app, scenario)


@pytest.mark.parametrize("always_replay", [False, True])
def test_a_whole_order(always_replay: bool) -> None:
    async def scenario(env: testing.Harness) -> None:
        services.charged.clear()
        assert await env.call(services.ORDER, "milk") == "charged milk, 1 so far"
        assert services.charged == ["milk"]
        journal = env.journal(services.ORDER)
        assert journal.steps == ["charge"]
        assert journal[0].value == "milk"
        assert journal[2].is_notification
        assert journal[-1].type == "Output"
        assert journal[-1].value == "charged milk, 1 so far"
        assert env.state("Counter", "milk") == {"total": 1}
        assert [i.target for i in env.invocations()] == ["Greeter/order", "Counter/milk/add"]

    testing.run(services.app, scenario, always_replay=always_replay)


@pytest.mark.parametrize("always_replay", [False, True])
def test_a_service_may_die_anywhere(always_replay: bool) -> None:
    async def scenario(env: testing.Harness) -> None:
        assert await env.call(services.ORDER, "tea") == "charged tea, 1 so far"
        assert env.state("Counter", "tea") == {"total": 1}

    reached = testing.crash_everywhere(services.app, scenario, always_replay=always_replay)
    assert {point.entry for point in reached if point.target == "Greeter/order"} == set(range(9))
    assert {point.entry for point in reached if point.target == "Counter/tea/add"} == set(range(4))


def test_a_crash_loses_what_was_not_durable_and_nothing_else() -> None:
    """Entry 2 is the result of the step: cut before it, the step runs again; cut after it, it does not."""

    async def scenario(env: testing.Harness) -> None:
        services.charged.clear()
        await env.call(services.ORDER, "rice")
        assert env.crash_happened

    testing.run(services.app, scenario, crash_after_entry=1)
    assert len(services.charged) in (1, 2)
    testing.run(services.app, scenario, crash_after_entry=2)
    assert services.charged == ["rice"]


def test_a_crash_that_never_happens_is_reported() -> None:
    async def scenario(env: testing.Harness) -> None:
        await env.call(services.GREET, "Ada")

    with pytest.raises(testing.NotHappened, match="entry 99"):
        testing.run(services.app, scenario, crash_after_entry=99)


def test_an_error_of_the_scenario_names_the_crash_point() -> None:
    async def scenario(env: testing.Harness) -> None:
        await env.call(services.GREET, "Ada")
        assert not env.crash_happened

    with pytest.raises(AssertionError) as failed:
        testing.crash_everywhere(services.app, scenario)
    assert failed.value.__notes__ == ["the service had died at entry 0 of Greeter/greet"]


def test_losing_the_process_only_costs_time() -> None:
    async def scenario(env: testing.Harness) -> None:
        sent = await env.send(services.LATER, 1)
        await env.settle()
        env.lose_process()
        await env.settle()
        assert env.invocation_view(sent).status == "backing-off"
        assert "died" in (env.invocation_view(sent).failure or "")
        assert await sent.attach() == "slept"
        assert env.now - testing.EPOCH < timedelta(days=2) + RETRY_MAX

    testing.run(services.app, scenario)


def test_an_awakeable_is_resolved_by_the_test() -> None:
    async def scenario(env: testing.Harness) -> None:
        first, second = [await env.send(services.WAIT, who) for who in ("Ada", "Bob")]
        await env.settle()
        await env.resolve_awakeable(str(env.state("Counter", "Ada")["awakeable"]), "yes")
        await env.reject_awakeable(str(env.state("Counter", "Bob")["awakeable"]), "no")
        assert await first.attach() == "Ada: yes"
        with pytest.raises(InvocationFailed, match="no"):
            await second.attach()

    testing.run(services.app, scenario)


def test_terminal_errors_arrive_with_their_code() -> None:
    async def scenario(env: testing.Harness) -> None:
        with pytest.raises(InvocationFailed, match="no tea") as failed:
            await env.call(services.GIVE_UP, "no tea")
        assert failed.value.code == 418
        failure = env.journal(services.GIVE_UP)[-1].failure
        assert failure is not None
        assert failure.code == 418

    testing.run(services.app, scenario)


def test_cancel_kill_pause_and_resume() -> None:
    async def scenario(env: testing.Harness) -> None:
        cancelled, killed, paused = [await env.send(services.LATER, 5) for _ in range(3)]
        await env.advance(timedelta(hours=1))
        await env.cancel(cancelled)
        await env.kill(killed)
        await env.pause(paused)
        for handle in (cancelled, killed):
            with pytest.raises(InvocationFailed) as failed:
                await handle.attach()
            assert failed.value.code == 409
        await env.advance(timedelta(days=30))
        assert env.invocation_view(paused).status in ("paused", "suspended")
        await env.resume(paused)
        assert await paused.attach() == "slept"
        with pytest.raises(IngressError):
            await env.pause(paused)

    testing.run(services.app, scenario)


def test_an_idempotent_call_joins_the_first() -> None:
    async def scenario(env: testing.Harness) -> None:
        answers = await asyncio.gather(
            *(env.call(services.ADD, 1, key="k", idempotency_key="once") for _ in range(3))
        )
        assert answers == [1, 1, 1]
        assert env.state("Counter", "k") == {"total": 1}

    testing.run(services.app, scenario)


def test_state_can_be_given() -> None:
    async def scenario(env: testing.Harness) -> None:
        await env.set_state("Counter", "k", {"total": 41})
        assert await env.call(services.ADD, 1, key="k") == 42

    testing.run(services.app, scenario)


def test_a_test_that_waits_in_vain_is_told_for_what() -> None:
    async def scenario(env: testing.Harness) -> None:
        await env.call(services.WAIT, "Ada")

    with pytest.raises(testing.Stuck) as stuck:
        testing.run(services.app, scenario)
    assert "Greeter/wait_for_approval" in str(stuck.value)
    assert "is suspended" in str(stuck.value)
    assert "OneWayCall 'Counter/Ada/remember'" in str(stuck.value)


def test_a_handler_that_keeps_failing_ends_as_stuck_with_its_error() -> None:
    async def scenario(env: testing.Harness) -> None:
        await env.call(services.ALWAYS_FAILS, "out of tea")

    with pytest.raises(testing.Stuck, match=r"is paused\n *after .* failed attempts; the last: .*out of tea"):
        testing.run(services.app, scenario)


def test_a_scenario_that_waits_for_itself_is_stuck_too() -> None:
    async def scenario(_: testing.Harness) -> None:
        await asyncio.Event().wait()

    with pytest.raises(testing.Stuck, match="no invocation is under way"):
        testing.run(services.app, scenario)


def test_a_journal_is_saved_and_read_again(tmp_path: Path) -> None:
    async def scenario(env: testing.Harness) -> testing.Journal:
        await env.call(services.ADD, 2, key="k")
        return env.journal(services.ADD, key="k")

    journal = testing.run(services.app, scenario)
    journal.save(tmp_path / "journal.json")
    stored = testing.StoredJournal.load(tmp_path / "journal.json")
    assert stored == journal.stored
    assert (stored.service, stored.handler, stored.key) == ("Counter", "add", "k")
    assert stored.state == {"total": b"2"}
    assert str(testing.Journal(stored)) == str(journal)


def test_naming_what_is_not_there_says_what_is() -> None:
    async def scenario(env: testing.Harness) -> None:
        await env.call(services.GREET, "Ada")
        with pytest.raises(UsageError, match="there are those of: Greeter/greet"):
            env.journal(services.ORDER)
        with pytest.raises(UsageError, match="is not an invocation id"):
            env.journal("inv_nonsense")

    testing.run(services.app, scenario)


def test_without_virtual_time_the_error_says_how_to_get_it() -> None:
    async def main() -> None:
        async with testing.Harness(services.app):
            pass

    with pytest.raises(UsageError, match=r"holdfast\.testing\.run"):
        asyncio.run(main())
