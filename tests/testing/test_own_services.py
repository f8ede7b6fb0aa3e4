"""The same environment with services of our own SDK: typed calls, services given as they are, strict mode."""

from __future__ import annotations

import asyncio
import socket
import threading
from datetime import timedelta

import pytest
from testing import own

import holdfast
import holdfast.testing as testing

ORDER = own.Order("tea", 3)


async def order_tea(env: testing.Harness) -> None:
    own.shipped.clear()
    assert await env.call(own.place, ORDER) == "3 tea, 7 left"
    assert env.state(own.stock, "tea") == {"left": 7}
    assert await env.call(own.left_of, key="tea") == 7
    await env.advance(timedelta(days=8))
    assert own.shipped[-1] == "reminder of tea"
    assert "tea" in own.shipped


@pytest.mark.parametrize("always_replay", [False, True])
def test_an_order_over_weeks(always_replay: bool) -> None:
    testing.run(own.app, order_tea, always_replay=always_replay)
    assert own.shipped == ["tea", "reminder of tea"]


@pytest.mark.parametrize("always_replay", [False, True])
def test_an_order_survives_a_crash_anywhere(always_replay: bool) -> None:
    reached = testing.crash_everywhere(own.app, order_tea, always_replay=always_replay)
    assert len(reached) > 10


def test_services_make_an_application_by_themselves() -> None:
    testing.run([own.shop, own.stock], order_tea)


def test_a_workflow_is_approved() -> None:
    async def scenario(env: testing.Harness) -> None:
        run = await env.workflow(own.join, "ada").submit("Ada")
        await env.advance(timedelta(days=2))
        assert env.invocation_view(run).status == "suspended"
        await env.call(own.approve, True, key="ada")
        assert await run.attach() == "Ada is in"

    testing.run(own.app, scenario)


def test_parallel_calls() -> None:
    async def scenario(env: testing.Harness) -> None:
        await env.set_state(own.stock, "b", {"left": 2})
        assert await env.call(own.fan_out, ["a", "b"]) == [10, 2]

    testing.run(own.app, scenario)


def test_a_terminal_error_reaches_the_test() -> None:
    async def scenario(env: testing.Harness) -> None:
        with pytest.raises(holdfast.TerminalError, match="sold out"):
            await env.call(own.place, own.Order("tea", 11))

    testing.run(own.app, scenario)


def test_a_step_fails_as_often_as_asked() -> None:
    async def scenario(env: testing.Harness) -> None:
        own.shipped.clear()
        env.fail_step("ship", times=2)
        sent = await env.send(own.place, ORDER)
        await env.settle()
        assert env.invocation_view(sent).status == "backing-off"
        assert "step 'ship' failed, as the test wanted" in (env.invocation_view(sent).failure or "")
        assert await sent.attach() == "3 tea, 7 left"
        assert own.shipped == ["tea"]

    testing.run(own.app, scenario)


def test_a_step_fails_for_good() -> None:
    async def scenario(env: testing.Harness) -> None:
        env.fail_step("ship", error=lambda: holdfast.TerminalError("the van is broken"))
        with pytest.raises(holdfast.TerminalError, match="the van is broken"):
            await env.call(own.place, ORDER)

    testing.run(own.app, scenario)


def test_sleeps_and_delays_are_set_by_the_virtual_clock() -> None:
    async def scenario(env: testing.Harness) -> None:
        await env.advance(timedelta(days=3650))
        began = env.now
        assert await env.call(own.what_time) == began
        assert await env.call(own.place, ORDER) == "3 tea, 7 left"
        assert timedelta(days=14) <= env.now - began < timedelta(days=14, minutes=1)
        assert own.shipped[-1] == "tea"
        await env.advance(timedelta(days=6))
        assert own.shipped[-1] == "tea"
        await env.advance(timedelta(days=2))
        assert own.shipped[-1] == "reminder of tea"

    testing.run(own.app, scenario)


def test_a_step_may_take_real_time_in_a_thread_of_its_own() -> None:
    """No timer of the engine ends it meanwhile, and no virtual time passes."""
    started: list[int] = []
    slow = holdfast.Service("Slow")

    async def in_a_thread() -> str:
        loop, done = asyncio.get_running_loop(), asyncio.Event()
        started.append(1)
        threading.Timer(0.6, loop.call_soon_threadsafe, (done.set,)).start()
        await done.wait()
        return "done"

    @slow.handler
    async def work(ctx: holdfast.Context) -> str:
        return await ctx.run(in_a_thread)

    async def scenario(env: testing.Harness) -> None:
        assert await env.call(work) == "done"
        assert env.now == testing.EPOCH
        assert started == [1]

    testing.run(slow, scenario)


def test_a_step_may_sleep_virtually() -> None:
    slow = holdfast.Service("Slow")

    async def nap() -> str:
        await asyncio.sleep(30)
        return "slept"

    @slow.handler
    async def work(ctx: holdfast.Context) -> str:
        return await ctx.run(nap)

    async def scenario(env: testing.Harness) -> None:
        assert await env.call(work) == "slept"
        assert env.now - testing.EPOCH == timedelta(seconds=30)

    testing.run(slow, scenario)


def test_a_step_may_talk_to_something_real_under_a_timeout() -> None:
    slow = holdfast.Service("Slow")

    async def ask() -> str:
        here, there = socket.socketpair()
        with there:
            reader, writer = await asyncio.open_connection(sock=here)
            threading.Timer(0.6, there.send, (b"answer\n",)).start()
            async with asyncio.timeout(30):
                answer = await reader.readline()
            writer.close()
        return answer.decode().strip()

    @slow.handler
    async def work(ctx: holdfast.Context) -> str:
        return await ctx.run(ask)

    async def scenario(env: testing.Harness) -> None:
        assert await env.call(work) == "answer"
        assert env.now == testing.EPOCH

    testing.run(slow, scenario)
