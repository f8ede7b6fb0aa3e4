"""Journals of old code against new code: what may change, what may not, and how that is said.

Method: journals are made by the engine itself, in-process and on virtual time, with one version of a service,
and replayed against another version of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import holdfast
from holdfast import Context, ObjectContext
from holdfast.sdk.endpoint.app import App
from holdfast.sdk.journal_file import StoredJournal
from holdfast.sdk.replay_check import Outcome, replay_check
from holdfast.testing import Harness
from holdfast.testing import run as run_test

ran: list[str] = []


async def charge(amount: int) -> str:
    ran.append("charge")
    return f"charged {amount}"


async def ship(what: str) -> str:
    ran.append("ship")
    return f"shipped {what}"


async def notify() -> None:
    ran.append("notify")


Order = Callable[[Context, int], Awaitable[Any]]


def shop(order: Order) -> App:
    service = holdfast.Service("Shop")
    service.handler(name="order")(order)
    return holdfast.app(service)


async def first(ctx: Context, amount: int) -> str:
    receipt = await ctx.run(charge, amount)
    await ctx.sleep(timedelta(days=3), name="cool off")
    parcel = await ctx.run(ship, "book")
    return f"{receipt}, {parcel}"


def journal(order: Order, days: int) -> StoredJournal:
    """After so many days."""

    target = holdfast.remote("Shop", "order", input=int, output=str)

    async def scenario(env: Harness) -> StoredJournal:
        sent = await env.send(target, 5)
        await env.advance(timedelta(days=days))
        return env.journal(sent).stored

    try:
        return run_test(shop(order), scenario)
    finally:
        ran.clear()


def test_unchanged_code_replays_at_every_stage_and_runs_nothing() -> None:
    half, whole = journal(first, 1), journal(first, 5)
    assert replay_check(shop(first), half).outcome is Outcome.SUSPENDED
    done = replay_check(shop(first), whole)
    assert done.outcome is Outcome.COMPLETED
    assert done.new_commands == 0
    for length in range(1, len(whole.entries) + 1):
        cut = replace(whole, entries=whole.entries[:length])
        assert replay_check(shop(first), cut).ok, length
    assert ran == []


def test_a_step_without_a_result_would_run_now() -> None:
    whole = journal(first, 5)
    begun = replace(whole, entries=whole.entries[:2])
    replay = replay_check(shop(first), begun)
    assert (replay.outcome, replay.steps) == (Outcome.RUNS_STEPS, ("charge",))
    assert replay.new_commands == 0
    fresh = replay_check(shop(first), replace(whole, entries=whole.entries[:1]))
    assert (fresh.steps, fresh.new_commands) == (("charge",), 1)
    assert ran == []


def test_a_change_after_where_the_journal_ends_is_fine() -> None:
    async def second(ctx: Context, amount: int) -> str:
        receipt = await ctx.run(charge, amount)
        await ctx.sleep(timedelta(days=3), name="cool off")
        await ctx.run(notify)
        return receipt

    assert replay_check(shop(second), journal(first, 1)).ok
    replay = replay_check(shop(second), journal(first, 5))
    assert replay.outcome is Outcome.MISMATCH
    assert 'in the journal: Run "ship"' in replay.message
    assert 'in the code:    Run "notify"' in replay.message


def test_a_step_put_in_before_is_a_mismatch_that_names_the_line() -> None:
    async def second(ctx: Context, amount: int) -> str:
        await ctx.run(notify)  # this one
        return await first(ctx, amount)

    replay = replay_check(shop(second), journal(first, 1))
    assert not replay.ok
    assert 'in the journal: Run "charge"' in replay.message
    assert 'in the code:    Run "notify"' in replay.message
    line = next(
        n for n, text in enumerate(Path(__file__).read_text().splitlines(), 1) if "# this one" in text
    )
    assert f"test_replay_check.py:{line}" in replay.message


def test_another_result_of_a_completed_journal_is_a_mismatch() -> None:
    async def second(ctx: Context, amount: int) -> str:
        return (await first(ctx, amount)).upper()

    replay = replay_check(shop(second), journal(first, 5))
    assert replay.outcome is Outcome.MISMATCH
    assert "charged 5" in replay.message
    assert "CHARGED 5" in replay.message
    assert replay_check(shop(second), journal(first, 1)).ok


def test_code_that_returns_too_early_or_goes_on_too_long() -> None:
    async def early(ctx: Context, amount: int) -> str:
        return await ctx.run(charge, amount)

    async def longer(ctx: Context, amount: int) -> str:
        result = await first(ctx, amount)
        await ctx.run(notify)
        return result

    assert "in the code:    Output" in replay_check(shop(early), journal(first, 1)).message
    assert replay_check(shop(longer), journal(first, 5)).outcome is Outcome.MISMATCH
    assert replay_check(shop(longer), journal(first, 1)).ok


def test_a_handler_that_raises_is_shown_with_its_stack() -> None:
    async def broken(ctx: Context, amount: int) -> str:
        await ctx.run(charge, amount)
        raise KeyError("colour")

    replay = replay_check(shop(broken), journal(first, 1))
    assert replay.outcome is Outcome.FAILED
    assert "KeyError: 'colour'" in replay.message
    assert "test_replay_check.py" in replay.message


def test_what_the_app_does_not_serve_is_said() -> None:
    stored = journal(first, 1)
    assert "no handler Shop/other" in replay_check(shop(first), replace(stored, handler="other")).message
    assert "version 4" in replay_check(shop(first), replace(stored, protocol_version=4)).message
    damaged = replay_check(shop(first), replace(stored, entries=()))
    assert damaged.outcome is Outcome.FAILED


def test_objects_see_the_state_they_had() -> None:
    counter = holdfast.VirtualObject("Counter")

    @counter.handler
    async def add(ctx: ObjectContext, by: int) -> int:
        total = await ctx.get("total", int, default=0) + by
        ctx.set("total", total)
        await asyncio.sleep(3600)
        return total

    async def scenario(env: Harness) -> StoredJournal:
        await env.call(add, 2, key="k")
        await env.call(add, 3, key="k")
        return env.journal(add, key="k").stored

    app = holdfast.app(counter)
    stored = run_test(app, scenario)
    assert stored.state == {"total": b"5"}
    assert replay_check(app, stored).outcome is Outcome.COMPLETED


def test_results_arrive_in_the_order_of_the_journal() -> None:
    async def race(ctx: Context, amount: int) -> str:
        names: list[str] = []

        async def one(name: str, hours: int) -> None:
            await asyncio.sleep(hours * 3600)
            names.append(name)

        async with asyncio.TaskGroup() as group:
            for name, hours in (("late", 30), ("early", 1), ("middle", 20)):
                group.create_task(one(name, hours))
        return " ".join(names)

    stored = journal(race, 5)
    assert replay_check(shop(race), stored).outcome is Outcome.COMPLETED
