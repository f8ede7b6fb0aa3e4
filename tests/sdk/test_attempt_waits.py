"""What a handler waits for: signals, awakeables, timers, state; and what a suspension says about it."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

import holdfast
from holdfast import (
    Context,
    ObjectContext,
    SharedObjectContext,
    TerminalError,
    VirtualObject,
    Workflow,
    WorkflowContext,
)
from holdfast.protocol import messages as m
from tests.sdk.attempts import NOW_MS, Fed, call_done, called, named, run_done, served, signal, slept

OTHER = holdfast.remote("Other", "work", output=str)

thing = VirtualObject("Thing")


async def step() -> str:
    return "done"


# Signals and awakeables.


def test_named_signals_queue_and_are_taken_once() -> None:
    async def handler(ctx: Context) -> list[int]:
        first = await ctx.signal("go", int)
        second = await ctx.signal("go", int)
        return [first, second]

    assert served(handler).begin(b"").feed(named("go", 1), named("go", 2)).result() == [1, 2]


def test_named_signals_may_come_before_they_are_asked_for() -> None:
    async def handler(ctx: Context) -> list[int]:
        await ctx.sleep(1)
        return [await ctx.signal("go", int), await ctx.signal("go", int)]

    fed = served(handler).begin(b"").feed(named("go", 1), named("other", 9), slept(1), named("go", 2))
    assert fed.result() == [1, 2]


def test_who_stopped_waiting_takes_no_signal() -> None:
    async def handler(ctx: Context) -> int:
        try:
            async with asyncio.timeout(1):
                return await ctx.signal("go", int)
        except TimeoutError:
            return -await ctx.signal("go", int)

    assert served(handler).begin(b"").feed(slept(1), named("go", 5)).result() == -5


def test_an_awakeable_resolved_before_it_is_made() -> None:
    async def handler(ctx: Context) -> str:
        await ctx.sleep(1)
        return await ctx.awakeable(str)

    assert served(handler).begin(b"").feed(signal(17, "early"), slept(1)).result() == "early"


def test_an_awakeable_rejected() -> None:
    async def handler(ctx: Context) -> str:
        try:
            return await ctx.awakeable(str)
        except TerminalError as error:
            return error.message

    rejected = m.SignalNotificationMessage(idx=17, result=m.Failure(500, "no"))
    assert served(handler).begin(b"").feed(rejected).result() == "no"


@pytest.mark.parametrize("early", [False, True])
def test_a_value_of_another_type_fails_the_attempt(early: bool) -> None:
    """Whether it comes before or after it is asked for, and though the handler catches everything."""

    async def handler(ctx: Context) -> int:
        await ctx.sleep(1)
        try:
            return await ctx.awakeable(int)
        except Exception:
            return -1

    frames = [signal(17, "text"), slept(1)]
    error = served(handler).begin(b"").feed(*(frames if early else reversed(frames))).error()
    assert "a result in the journal cannot be read" in error.message
    assert "test_attempt_waits.py" in error.message


# Suspensions.


def suspended(fed: Fed) -> m.SuspensionMessageV6:
    last = fed.said()[-1]
    assert isinstance(last, m.SuspensionMessageV6), last
    return last


def test_a_suspension_lists_what_is_awaited_and_nothing_else() -> None:
    async def handler(ctx: Context) -> Any:
        ctx.call(OTHER)  # 1 and 2, awaited by nobody
        ctx.signal("unheard")
        ctx.awakeable()
        return await asyncio.gather(ctx.sleep(1), ctx.signal("go"), ctx.awakeable().future, ctx.run(step))

    fed = served(handler, 6).begin(
        b"", *stored_call(), m.SleepCommandMessage(1, 3), m.RunCommandMessage(4, "step")
    )
    fed.feed(run_done(4, "done")).close()
    suspension = suspended(fed)
    assert tuple(suspension.waiting_completions) == (3,)
    assert set(suspension.waiting_signals) == {1, 18}
    assert tuple(suspension.waiting_named_signals) == ("go",)


def stored_call() -> list[m.Message]:
    return [m.CallCommandMessage("Other", "work", invocation_id_notification_idx=1, result_completion_id=2)]


def test_a_timeout_is_waited_for_with_what_it_guards() -> None:
    async def handler(ctx: Context) -> Any:
        async with asyncio.timeout(5):
            return await ctx.awakeable()

    suspension = suspended(served(handler, 6).begin(b"").close())
    assert tuple(suspension.waiting_completions) == (1,)
    assert set(suspension.waiting_signals) == {1, 17}


def test_a_timer_that_was_cancelled_wakes_nobody() -> None:
    async def handler(ctx: Context) -> Any:
        async with asyncio.timeout(5):
            await ctx.run(step)
        await ctx.sleep(7)

    fed = served(handler, 6).begin(b"").finish_step().feed(run_done(2, "done")).close()
    assert tuple(suspended(fed).waiting_completions) == (3,)


def test_no_suspension_while_a_step_runs() -> None:
    async def handler(ctx: Context) -> Any:
        return await asyncio.gather(ctx.run(step), ctx.sleep(5))

    fed = served(handler, 6).begin(b"").close()
    assert not fed.attempt.ended
    fed.finish_step()
    assert set(suspended(fed).waiting_completions) == {1, 2}


def test_abandoned_attempts_say_nothing_and_stop_their_steps() -> None:
    async def handler(ctx: Context) -> Any:
        return await ctx.run(step)

    fed = served(handler).begin(b"")
    fed.said()
    fed.attempt.abandon()
    assert fed.port.stopped == ["step"]
    assert fed.output() == b""
    fed.feed(run_done(1, "late")).close()
    assert fed.output() == b""


# Time.


def test_loop_time_is_the_same_in_every_replay() -> None:
    async def handler(ctx: Context) -> list[float]:
        loop = asyncio.get_running_loop()
        times = [loop.time()]
        await asyncio.sleep(2)
        times.append(loop.time())
        await asyncio.gather(asyncio.sleep(5), asyncio.sleep(3))
        times.append(loop.time())
        return times

    live = served(handler).begin(b"").feed(slept(1)).feed(slept(3)).feed(slept(2)).result()
    commands = [m.SleepCommandMessage(1, number) for number in (1, 2, 3)]
    replayed = served(handler).begin(b"", *commands, slept(1), slept(3), slept(2)).result()
    assert live == replayed == [0.0, 2.0, 7.0]


def test_wake_up_and_delay_times_are_not_compared() -> None:
    """A later attempt reads another clock; what the journal says holds."""

    async def handler(ctx: Context) -> str:
        ctx.send(OTHER, delay=timedelta(hours=1))
        await ctx.sleep(60)
        return "slept"

    send = m.OneWayCallCommandMessage("Other", "work", invoke_time=5, invocation_id_notification_idx=1)
    fed = served(handler).begin(b"", send, m.SleepCommandMessage(7, 2), slept(2))
    assert fed.result() == "slept"
    first = served(handler).begin(b"").said()
    assert isinstance(first[0], m.OneWayCallCommandMessage)
    assert first[0].invoke_time == NOW_MS + 3_600_000


def test_a_sleep_of_no_time_is_journaled_only_by_the_context() -> None:
    async def handler(ctx: Context) -> None:
        await asyncio.sleep(0)
        await ctx.sleep(0)

    assert served(handler).begin(b"").names() == ["Sleep"]


# State.


@thing.handler
async def read_twice(ctx: ObjectContext) -> list[Any]:
    first = await ctx.get("a", int)
    ctx.set("a", 5)
    return [first, await ctx.get("a", int), await ctx.get("b", int, default=0), await ctx.state_keys()]


def test_what_no_journal_shows_is_said_while_the_attempt_runs() -> None:
    """An approval can be seen, and answered, before the attempt suspends; each wait is told once."""

    @holdfast.Service("Told").handler
    async def handler(ctx: Context) -> list[Any]:
        async with asyncio.TaskGroup() as group:
            approval = group.create_task(waits(ctx.awakeable(str)))
            group.create_task(waits(ctx.sleep(timedelta(hours=1))))
        return [approval.result(), await ctx.signal("go", int)]

    async def waits(what: Any) -> Any:
        return await what

    fed = Fed(handler).begin(b"")
    fed.said()
    assert [hint.awaiting_on.waiting_signals for hint in fed.hints if hint.awaiting_on] == [(17,)]
    fed.feed(slept(1))
    fed.said()
    assert len(fed.hints) == 1
    fed.feed(signal(17, "yes"))
    fed.said()
    last = fed.hints[-1].awaiting_on
    assert last is not None
    assert (last.waiting_signals, last.waiting_named_signals) == ((), ("go",))

    old = Fed(handler, version=6).begin(b"")
    old.said()
    assert old.hints == []


ALL_READS = [
    "GetEagerState",
    "SetState",
    "GetEagerState",
    "GetEagerState",
    "GetEagerStateKeys",
    "Output",
    "End",
]


def test_eager_state_needs_no_answers() -> None:
    fed = Fed(read_twice).begin(b"", key="k", state_map=((b"a", b"1"),))
    assert fed.names() == ALL_READS
    fed = Fed(read_twice).begin(b"", key="k", state_map=((b"a", b"1"),))
    assert fed.result() == [1, 5, 0, ["a"]]


def test_partial_state_asks_for_what_is_unknown() -> None:
    fed = Fed(read_twice).begin(b"", key="k", partial_state=True)
    assert fed.names() == ["GetLazyState"]
    fed.feed(m.GetLazyStateCompletionNotificationMessage(1, m.Value(b"1")))
    assert fed.names() == ["SetState", "GetEagerState", "GetLazyState"]
    fed.feed(m.GetLazyStateCompletionNotificationMessage(3, m.VOID))
    assert fed.names() == ["GetLazyStateKeys"]
    fed.feed(m.GetLazyStateKeysCompletionNotificationMessage(4, m.StateKeys((b"a",))))
    assert fed.result() == [1, 5, 0, ["a"]]


@pytest.mark.parametrize("partial", [False, True])
def test_a_replayed_read_gives_what_it_gave_whatever_the_state_is_now(partial: bool) -> None:
    """Reads were eager in the first attempt; now the state is another, and perhaps not all of it came."""
    stored = [
        m.GetEagerStateCommandMessage(b"a", "", m.Value(b"1")),
        m.SetStateCommandMessage(b"a", m.Value(b"5")),
        m.GetEagerStateCommandMessage(b"a", "", m.Value(b"5")),
        m.GetLazyStateCommandMessage(b"b", 3),
        m.GetLazyStateCompletionNotificationMessage(3, m.Value(b"8")),
    ]
    now = ((b"a", b"99"), (b"c", b"0"))
    fed = Fed(read_twice).begin(b"", *stored, key="k", state_map=now, partial_state=partial)
    if partial:
        assert fed.names() == ["GetLazyStateKeys"]
        fed.feed(m.GetLazyStateKeysCompletionNotificationMessage(4, m.StateKeys((b"a", b"c"))))
    assert fed.result() == [1, 5, 8, ["a", "c"]]


def test_after_clear_all_nothing_is_unknown() -> None:
    @VirtualObject("Cleared").handler
    async def handler(ctx: ObjectContext) -> list[Any]:
        ctx.clear_all()
        return [await ctx.get("a"), await ctx.state_keys()]

    assert Fed(handler).begin(b"", key="k", partial_state=True).result() == [None, []]


def test_another_key_in_the_journal_is_a_mismatch() -> None:
    @VirtualObject("Read").shared
    async def handler(ctx: SharedObjectContext) -> Any:
        return await ctx.get("new")

    stored = m.GetEagerStateCommandMessage(b"old", "", m.VOID)
    error = Fed(handler).begin(b"", stored, key="k").error()
    assert error.code == 570
    assert "'old'" in error.message
    assert "'new'" in error.message


def test_promises_of_a_workflow() -> None:
    flow = Workflow("Flow")

    @flow.main
    async def run(ctx: WorkflowContext) -> list[Any]:
        peeked = await ctx.promise("p", int).peek()
        await ctx.promise("q", int).resolve(3)
        return [peeked, await ctx.promise("p", int)]

    fed = Fed(run).begin(b"", key="k")
    fed.feed(m.PeekPromiseCompletionNotificationMessage(1, m.VOID))
    fed.feed(m.CompletePromiseCompletionNotificationMessage(2, m.VOID))
    fed.feed(m.GetPromiseCompletionNotificationMessage(3, m.Value(b"7")))
    assert fed.result() == [None, 7]


# Mismatches.


def mismatch(fed: Fed) -> str:
    error = fed.error()
    assert error.code == 570
    return error.message


async def calls(ctx: Context) -> str:
    return await ctx.call(OTHER)


def test_another_command_shows_both_and_where() -> None:
    text = mismatch(served(calls).begin(b"", m.RunCommandMessage(1, "charge")))
    assert "at command 1" in text
    assert 'in the journal: Run "charge"' in text
    assert 'in the code:    Call "Other/work"' in text
    assert "test_attempt_waits.py" in text
    assert "in calls" in text


def test_another_target_shows_the_field() -> None:
    stored = m.CallCommandMessage("Other", "old", invocation_id_notification_idx=1, result_completion_id=2)
    text = mismatch(served(calls).begin(b"", stored))
    assert "handler_name: 'old' became 'work'" in text


def test_a_journal_that_goes_on_after_the_handler_returned() -> None:
    async def handler(ctx: Context) -> str:
        return "done"

    text = mismatch(served(handler).begin(b"", m.RunCommandMessage(1, "charge")))
    assert 'Run "charge"' in text
    text = mismatch(served(handler).begin(
        b"", m.OutputCommandMessage("", m.Value(b'"done"')), m.RunCommandMessage(1, "charge")
    ))  # fmt: skip
    assert "the handler returned" in text


def test_waiting_for_what_never_came_before_says_where() -> None:
    text = mismatch(served(calls).begin(b"", *stored_call(), m.RunCommandMessage(3, "charge")))
    assert "waits for something that never came" in text
    assert "in calls" in text


def test_another_result_is_a_mismatch() -> None:
    async def handler(ctx: Context) -> str:
        return "new"

    text = mismatch(served(handler).begin(b"", m.OutputCommandMessage("", m.Value(b'"old"'))))
    assert '"old" became "new"' in text


def test_an_attempt_cut_before_its_end_is_repeated_from_the_journal() -> None:
    fed = served(calls).begin(
        b"",
        *stored_call(),
        called(1, "inv_a"),
        call_done(2, "x"),
        m.OutputCommandMessage("", m.Value(b'"x"')),
    )
    assert fed.names() == ["End"]


def test_a_handler_that_catches_everything_does_not_survive_a_mismatch() -> None:
    async def handler(ctx: Context) -> str:
        try:
            return await ctx.call(OTHER)
        except BaseException:
            return "as if nothing had happened"

    assert mismatch(served(handler).begin(b"", m.RunCommandMessage(1, "charge")))


def test_a_mismatch_among_tasks_ends_them_all() -> None:
    seen: list[str] = []

    async def handler(ctx: Context) -> None:
        async def wait() -> None:
            try:
                await ctx.sleep(1)
            finally:
                seen.append("unwound")

        async with asyncio.TaskGroup() as group:
            group.create_task(wait())
            group.create_task(wait())

    stored = [m.SleepCommandMessage(1, 1), m.RunCommandMessage(2, "charge")]
    assert mismatch(served(handler).begin(b"", *stored))
    assert seen == ["unwound", "unwound"]
