"""Cancelling an invocation, wherever its handler waits."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import pytest

import holdfast
from holdfast import Context, InvocationCancelled, TerminalError
from holdfast.protocol import messages as m
from tests.sdk.attempts import Fed, call_done, called, cancel, run_done, served, slept

OTHER = holdfast.remote("Other", "work", output=str)


async def step() -> str:
    return "done"


def cancelled(fed: Fed) -> None:
    failure = fed.result()
    assert isinstance(failure, m.Failure)
    assert failure.code == 409


async def in_gather(ctx: Context) -> None:
    await asyncio.gather(ctx.sleep(10), ctx.sleep(20))


async def in_a_group(ctx: Context) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(asyncio.sleep(10))
        group.create_task(asyncio.sleep(20))


async def in_asyncio_sleep(ctx: Context) -> None:
    await asyncio.sleep(10)


async def in_a_timeout(ctx: Context) -> None:
    async with asyncio.timeout(10):
        await ctx.awakeable()


async def in_wait_for(ctx: Context) -> None:
    await asyncio.wait_for(ctx.awakeable(), 10)


async def in_a_queue(ctx: Context) -> None:
    await asyncio.Queue[int]().get()


async def in_a_queue_under_a_timeout(ctx: Context) -> None:
    async with asyncio.timeout(10):
        await asyncio.Queue[int]().get()


async def in_gathered_queues(ctx: Context) -> None:
    queue: asyncio.Queue[int] = asyncio.Queue()
    await asyncio.gather(queue.get(), queue.get())


async def in_a_group_of_queues(ctx: Context) -> None:
    queue: asyncio.Queue[int] = asyncio.Queue()
    async with asyncio.TaskGroup() as group:
        group.create_task(queue.get())
        group.create_task(queue.get())


async def in_a_queue_fed_by_a_task(ctx: Context) -> None:
    queue: asyncio.Queue[int] = asyncio.Queue()

    async def feed() -> None:
        await asyncio.sleep(10)
        queue.put_nowait(1)

    feeding = asyncio.create_task(feed())
    await queue.get()
    await feeding


async def in_a_lock(ctx: Context) -> None:
    lock = asyncio.Lock()
    await lock.acquire()
    await lock.acquire()


async def in_a_signal(ctx: Context) -> None:
    await ctx.signal("go")


EVERYWHERE = [
    in_gather, in_a_group, in_asyncio_sleep, in_a_timeout, in_wait_for, in_a_queue,
    in_a_queue_under_a_timeout, in_gathered_queues, in_a_group_of_queues, in_a_queue_fed_by_a_task,
    in_a_lock, in_a_signal,
]  # fmt: skip


@pytest.mark.parametrize("handler", EVERYWHERE, ids=lambda handler: handler.__name__)
@pytest.mark.parametrize("replayed", [False, True])
def test_cancelled_where_it_waits(handler: Any, replayed: bool) -> None:
    fed = served(handler)
    if replayed:
        fed.begin(b"", cancel())
    else:
        fed.begin(b"").feed(cancel())
    cancelled(fed)


def test_a_step_under_way_is_stopped() -> None:
    async def handler(ctx: Context) -> str:
        return await ctx.run(step)

    fed = served(handler).begin(b"")
    assert fed.steps == ["step"]
    fed.feed(cancel())
    assert fed.port.stopped == ["step"]
    cancelled(fed)


def test_compensations_run_and_the_handler_may_return() -> None:
    async def handler(ctx: Context) -> str:
        try:
            await ctx.sleep(10)
        except InvocationCancelled:
            return await ctx.run(step)
        return "slept"

    fed = served(handler).begin(b"").feed(cancel())
    fed.finish_step().feed(m.ProposeRunCompletionAckMessage(2))
    assert fed.result() == "done"


def test_calls_in_flight_are_cancelled_first() -> None:
    async def handler(ctx: Context) -> None:
        await asyncio.gather(ctx.call(OTHER), ctx.call(OTHER))

    fed = served(handler).begin(b"").feed(called(1, "inv_a"), called(3, "inv_b"), call_done(4, "b"), cancel())
    said = fed.said()
    signals = [message for message in said if isinstance(message, m.SendSignalCommandMessage)]
    assert [(one.target_invocation_id, one.idx) for one in signals] == [("inv_a", 1)]
    assert isinstance(said[-1], m.EndMessage)


@pytest.mark.parametrize("gone_on", [False, True])
def test_a_cancellation_waits_for_ids_of_calls(gone_on: bool) -> None:
    """Goal: no call is left running. Method: the signal comes before the id of the call it must reach."""

    async def handler(ctx: Context) -> str:
        call = ctx.call(OTHER)
        if gone_on:
            await call.invocation_id()
        return await call

    fed = served(handler).begin(b"").feed(cancel())
    assert fed.names() == ["Call"]
    fed.feed(called(1, "inv_a"))
    assert [type(one) for one in fed.said()] == [
        m.SendSignalCommandMessage, m.OutputCommandMessage, m.EndMessage,
    ]  # fmt: skip


def test_a_suspension_meanwhile_names_the_ids() -> None:
    async def handler(ctx: Context) -> str:
        return await ctx.call(OTHER)

    fed = served(handler, version=6).begin(b"").feed(cancel()).close()
    suspension = fed.said()[-1]
    assert isinstance(suspension, m.SuspensionMessageV6)
    assert set(suspension.waiting_completions) == {1, 2}


def test_an_id_that_the_handler_no_longer_wants_still_cancels() -> None:
    async def handler(ctx: Context) -> str:
        call = ctx.call(OTHER)
        call.invocation_id().cancel()
        return await call

    fed = served(handler).begin(b"").feed(called(1, "inv_a"), cancel())
    assert fed.names() == ["Call", "SendSignal", "Output", "End"]


def test_a_second_cancellation_reaches_the_compensation() -> None:
    async def handler(ctx: Context) -> str:
        try:
            await ctx.sleep(10)
        except InvocationCancelled:
            await ctx.sleep(20)
        return "compensated"

    fed = served(handler).begin(b"").feed(cancel())
    assert fed.names() == ["Sleep", "Sleep"]
    fed.feed(cancel())
    cancelled(fed)


def test_a_handler_that_catches_it_and_waits_again_is_a_deadlock() -> None:
    async def handler(ctx: Context) -> str:
        event = asyncio.Event()
        while True:
            with suppress(TerminalError):
                await event.wait()

    fed = served(handler).begin(b"").feed(cancel()).close()
    assert "deadlock" in fed.error().message


def test_what_nobody_awaits_keeps_its_result() -> None:
    async def handler(ctx: Context) -> str:
        kept = ctx.run(step)
        try:
            await ctx.sleep(10)
        except InvocationCancelled:
            return await kept
        return "slept"

    fed = served(handler).begin(b"").feed(cancel()).feed(run_done(1, "kept"))
    assert fed.result() == "kept"


def test_a_mismatch_found_while_cancelling_is_reported() -> None:
    """The journal goes on with something else than the signals to the calls."""

    async def handler(ctx: Context) -> str:
        return await ctx.call(OTHER)

    call = m.CallCommandMessage("Other", "work", invocation_id_notification_idx=1, result_completion_id=2)
    fed = served(handler).begin(
        b"", call, called(1, "inv_a"), cancel(), m.RunCommandMessage(3, "something else")
    )
    assert fed.error().code == 570


def test_cancelled_while_suspended_and_slept_meanwhile() -> None:
    """What came first counts: the timer fired, then the cancellation came, in one chunk."""

    async def handler(ctx: Context) -> str:
        await ctx.sleep(1)
        try:
            await ctx.sleep(2)
        except InvocationCancelled:
            return "in the second sleep"
        return "never"

    fed = served(handler).begin(b"").feed(slept(1), cancel())
    assert fed.result() == "in the second sleep"
