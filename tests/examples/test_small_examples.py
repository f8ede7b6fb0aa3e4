"""The small examples: on virtual time, replayed at every await, and with the service dying at every entry.

Goal: what the files say is what happens, whatever crashes. Method: one scenario per example, whose
assertions have to hold in every one of these runs; what reaches the outside is read from what they print.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest

import holdfast
import holdfast.testing as testing
from examples import approval, counter, fan_out, greeter, reminders, saga

Scenario = Callable[[testing.Harness], Awaitable[None]]


async def greeting(env: testing.Harness) -> None:
    answer = await env.call(greeter.greet, "Ada")
    number = next(entry.value for entry in env.journal(greeter.greet) if entry.type == "Run" and entry.value)
    assert answer == f"Hello Ada, your number is {number}"


async def counting(env: testing.Harness) -> None:
    assert await env.call(counter.add, 5, key="ada") == 5
    assert await env.call(counter.add, -2, key="ada") == 3
    with pytest.raises(holdfast.TerminalError, match="would fall") as refused:
        await env.call(counter.add, -4, key="ada")
    assert refused.value.code == 409
    assert await env.call(counter.value, key="ada") == 3
    assert await env.call(counter.value, key="grace") == 0
    await env.call(counter.reset, key="ada")
    assert env.state(counter.counter, "ada") == {}


async def approved_after_two_days(env: testing.Harness) -> None:
    run = await env.workflow(approval.run, "trip").submit(approval.Request("Ada", 1800))
    await env.advance(timedelta(days=2))
    assert await env.call(approval.status, key="trip") == "waiting for a decision on 1800 EUR"
    await env.call(approval.approve, approval.Decision(approved=True, by="Grace"), key="trip")
    assert await run.attach() == "approved by Grace"
    with pytest.raises(holdfast.TerminalError):
        await env.call(approval.approve, approval.Decision(approved=False, by="Bob"), key="trip")
    assert env.journal(approval.run, key="trip").steps == ["ask_manager", "pay"]


async def nobody_decides(env: testing.Harness) -> None:
    run = await env.workflow(approval.run, "trip").submit(approval.Request("Ada", 1800))
    assert await run.attach() == "declined by nobody in time"
    assert env.now - testing.EPOCH >= approval.PATIENCE
    assert env.journal(approval.run, key="trip").steps == ["ask_manager"]


async def a_trip_is_booked(env: testing.Harness) -> None:
    flight, hotel = await env.call(saga.book, saga.Trip("Ada", "Lisbon", 900))
    assert flight.removeprefix("flight-") == hotel.removeprefix("room-")
    assert env.journal(saga.book).steps == ["book_flight", "book_hotel", "charge"]


async def a_card_is_declined(env: testing.Harness) -> None:
    with pytest.raises(holdfast.TerminalError, match="declined"):
        await env.call(saga.book, saga.Trip("Ada", "Lisbon", 400))
    undone = ["book_flight", "book_hotel", "charge", "cancel_hotel", "cancel_flight"]
    assert env.journal(saga.book).steps == undone


async def there_is_no_hotel(env: testing.Harness) -> None:
    with pytest.raises(holdfast.TerminalError, match="Atlantis"):
        await env.call(saga.book, saga.Trip("Ada", "Atlantis", 900))
    assert env.journal(saga.book).steps == ["book_flight", "book_hotel", "cancel_hotel", "cancel_flight"]


async def all_are_read(env: testing.Harness) -> None:
    answer = await env.call(fan_out.summarise, ["ada", "grace", "barbara", "frances"])
    assert answer == {name: await fan_out.read(name) for name in ["ada", "grace", "barbara", "frances"]}


async def one_is_first(env: testing.Harness) -> None:
    assert await env.call(fan_out.first, ["ada", "grace"]) in ("ada", "grace")


async def reminded_three_times(env: testing.Harness) -> None:
    await env.call(reminders.every, reminders.Plan("water them", 24, 3), key="plants")
    await env.advance(timedelta(days=10))
    assert [view.handler for view in env.invocations()] == ["every", "remind", "remind", "remind"]
    assert env.state(reminders.reminder, "plants") == {}


async def reminded_until_stopped(env: testing.Harness) -> None:
    await env.call(reminders.every, reminders.Plan("water them", 24, 100), key="plants")
    await env.advance(timedelta(days=2.5))
    assert await env.call(reminders.stop, key="plants")
    await env.advance(timedelta(days=10))
    assert not await env.call(reminders.stop, key="plants")
    ended = [view.failure for view in env.invocations() if view.handler == "remind"]
    assert ended == [None, None, "canceled"]


CASES = [
    pytest.param(greeter.app, greeting, 5, id="greeter"),
    pytest.param(counter.app, counting, 15, id="counter"),
    pytest.param(approval.app, approved_after_two_days, 12, id="approved"),
    pytest.param(approval.app, nobody_decides, 8, id="nobody_decides"),
    pytest.param(saga.app, a_trip_is_booked, 7, id="booked"),
    pytest.param(saga.app, a_card_is_declined, 11, id="declined"),
    pytest.param(saga.app, there_is_no_hotel, 9, id="no_hotel"),
    pytest.param(fan_out.app, all_are_read, 9, id="fan_out"),
    pytest.param(fan_out.app, one_is_first, 4, id="first"),
    pytest.param(reminders.app, reminded_three_times, 15, id="reminders"),
    pytest.param(reminders.app, reminded_until_stopped, 15, id="stopped"),
]


@pytest.mark.parametrize("always_replay", [False, True], ids=["straight", "replayed"])
@pytest.mark.parametrize(("app", "scenario", "entries"), CASES)
def test_an_example_does_what_it_says(
    app: testing.App, scenario: Scenario, entries: int, always_replay: bool
) -> None:
    testing.run(app, scenario, always_replay=always_replay)


@pytest.mark.parametrize(("app", "scenario", "entries"), CASES)
def test_an_example_survives_a_crash_at_every_entry(
    app: testing.App, scenario: Scenario, entries: int
) -> None:
    assert len(testing.crash_everywhere(app, scenario)) >= entries


@pytest.mark.parametrize(("failures", "steps_after"), [(4, []), (5, ["cancel_hotel", "cancel_flight"])])
def test_a_step_that_fails_for_now_is_tried_again_and_then_given_up(
    failures: int, steps_after: list[str]
) -> None:
    async def scenario(env: testing.Harness) -> None:
        env.fail_step("charge", times=failures)
        sent = await env.send(saga.book, saga.Trip("Ada", "Lisbon", 900))
        await env.advance(timedelta(minutes=10))
        assert env.journal(sent).steps == ["book_flight", "book_hotel", "charge", *steps_after]
        assert env.invocation_view(sent).status == "completed"

    testing.run(saga.app, scenario)


def test_never_more_than_a_few_readings_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    running = most = 0
    read = fan_out.read

    async def counted(source: str) -> int:
        nonlocal running, most
        running += 1
        most = max(most, running)
        try:
            return await read(source)
        finally:
            running -= 1

    async def scenario(env: testing.Harness) -> None:
        await env.call(fan_out.summarise, list("abcdefghij"))

    monkeypatch.setattr(fan_out, "read", counted)
    testing.run(fan_out.app, scenario)
    assert most == fan_out.AT_ONCE_MAX
