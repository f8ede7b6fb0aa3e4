"""The runner: slots and the queue, opening again, deployments that are gone, draining."""

from __future__ import annotations

import asyncio

import pytest
from invoker.support import Stage, deployment, stage
from partition.support import handler, turns, until
from partition.support import run as go

from holdfast.core.commands import StartRequest
from holdfast.core.model import Failure, RetryPolicy, Success
from holdfast.core.records import Kill, Pause, Resume
from holdfast.invoker.runner import REOPENS_MAX, InvokerLimits
from holdfast.protocol import messages as wire

GREET = handler()
SLOW = handler(retry=RetryPolicy(initial_ms=3_600_000, max_ms=3_600_000))
ONE = InvokerLimits(attempts_max=1)


def kill(s: Stage, request: StartRequest) -> None:
    s.e.engine.submit(request.id, Kill(s.e.clock.ms, request.id))


@pytest.mark.parametrize("partitions", [1, 3])
def test_attempts_beyond_the_slots_wait_their_turn(partitions: int) -> None:
    async def story() -> None:
        async with stage(GREET, limits=InvokerLimits(attempts_max=2), partitions=partitions) as s:
            requests = [s.call(GREET) for _ in range(6)]
            await until(lambda: s.runner.waiting_count == 4)
            for done in range(6):
                push = (await s.push(done + 1)).accept()
                assert len([p for p in s.client.pushes if not p.ended]) <= 2
                push.finish()
            await until(lambda: len(s.ends) == 6)
            assert {request.id for request in requests} == set(s.ends)
            assert s.runner.waiting_count == 0
            assert s.runner._slots == {}

    go(story())


def test_a_waiting_attempt_replays_the_journal_as_it_is_when_its_turn_comes() -> None:
    async def story() -> None:
        from holdfast.core.model import VOID
        from holdfast.core.records import Signal

        async with stage(GREET, limits=ONE) as s:
            s.call(GREET)
            waiting = s.call(GREET)
            first = (await s.push()).accept()
            s.e.engine.submit(waiting.id, Signal(s.e.clock.ms, waiting.id, 17, VOID))
            await turns(50)
            first.finish()
            second = await s.push(2)
            assert second.start.id == waiting.id
            assert [type_ for type_, _, _ in second.frames()] == [0, 0x0400, 0xFBFF]

    go(story())


def test_thousands_that_were_killed_while_they_waited_are_skipped() -> None:
    """Goal: a freed slot finds the next live one without depth of the Python stack."""

    async def story() -> None:
        async with stage(GREET, limits=ONE) as s:
            complaints: list[object] = []
            asyncio.get_running_loop().set_exception_handler(lambda _, c: complaints.append(c))
            holder = s.call(GREET)
            push = (await s.push()).accept()
            stale = [s.call(GREET) for _ in range(2_000)]
            live = s.call(GREET)
            await until(lambda: s.runner.waiting_count == 2_001)
            for request in stale:
                kill(s, request)
            await until(lambda: len(s.ends) == 2_000)
            push.finish()
            second = await s.push(2)
            assert complaints == []
            assert second.start.id == live.id
            await until(lambda: holder.id in s.ends)
            assert len(s.runner._slots) == 1

    go(story())


def test_a_killed_attempt_is_reset_and_its_slot_is_free() -> None:
    async def story() -> None:
        async with stage(GREET, limits=ONE) as s:
            request = s.call(GREET)
            push = (await s.push()).accept()
            following = s.call(GREET)
            kill(s, request)
            second = await s.push(2)
            assert push.was_reset
            assert second.start.id == following.id
            push.say(wire.OutputCommandMessage(result=wire.Value(b"late")), wire.EndMessage())
            await until(lambda: request.id in s.ends)
            assert s.ends[request.id].result == Failure(409, "killed")

    go(story())


def test_an_attempt_nobody_saw_is_pushed_again_at_once_a_few_times() -> None:
    async def story() -> None:
        async with stage(SLOW) as s:
            request = s.call(SLOW)
            for count in range(1, REOPENS_MAX + 2):
                push = await s.push(count)
                assert s.invocation(request).attempt == 1  # type: ignore[union-attr]
                assert push.start.id == request.id
                push.lose(retry_at_once=True)
            await s.failed(request)
            assert s.code(request) == "RT0010"
            assert len(s.client.pushes) == REOPENS_MAX + 1

    go(story())


def test_an_attempt_that_is_pushed_again_goes_on_as_usual() -> None:
    async def story() -> None:
        async with stage(SLOW) as s:
            request = s.call(SLOW)
            (await s.push()).lose(retry_at_once=True)
            (await s.push(2)).accept().finish(b"v")
            await until(lambda: request.id in s.ends)
            assert s.ends[request.id].result == Success(b"v")

    go(story())


def test_a_pausing_attempt_that_is_pushed_again_keeps_its_input_closed() -> None:
    async def story() -> None:
        async with stage(SLOW) as s:
            request = s.call(SLOW)
            push = await s.push()
            s.e.engine.submit(request.id, Pause(s.e.clock.ms, request.id))
            await until(lambda: push.ended)
            push.lose(retry_at_once=True)
            assert (await s.push(2)).ended

    go(story())


def test_without_a_deployment_the_attempt_fails_and_is_tried_again() -> None:
    quick = handler(retry=RetryPolicy(initial_ms=1))

    async def story() -> None:
        async with stage() as s:
            request = s.call(quick)
            await s.failed(request)
            assert s.code(request) == "RT0011"
            s.catalog.add(quick)
            s.e.clock.ms += 100_000
            handle = s.e.timers[0]._handle
            assert handle is not None
            s.e.timers[0]._ring()
            (await s.push()).accept().finish()
            await until(lambda: request.id in s.ends)

    go(story())


def test_a_pinned_invocation_goes_to_its_deployment_only() -> None:
    async def story() -> None:
        async with stage(SLOW) as s:
            request = s.call(SLOW)
            push = (await s.push()).accept()
            push.say(wire.RunCommandMessage(1, "a"))
            await s.journal(request, 0x0411)
            new = deployment(id_="dp_2", versions=(5, 6))
            s.catalog.deployments = {new.id: new}
            push.lose()
            await s.failed(request)
            s.e.engine.submit(request.id, Resume(s.e.clock.ms, request.id))
            await until(lambda: s.code(request) == "RT0011")
            assert len(s.client.pushes) == 1
            s.e.engine.submit(request.id, Resume(s.e.clock.ms, request.id, "dp_2", 6))
            second = await s.push(2)
            assert second.headers["content-type"].endswith("v6")

    go(story())


def test_versions_that_do_not_meet_fail_the_attempt() -> None:
    async def story() -> None:
        limits = InvokerLimits(protocol_version_min=7)
        async with stage(SLOW, serving=deployment(versions=(5, 6)), limits=limits) as s:
            request = s.call(SLOW)
            await s.failed(request)
            assert s.code(request) == "RT0014"
            assert s.client.pushes == []

    go(story())


def test_a_failure_without_a_stream_frees_the_slot() -> None:
    async def story() -> None:
        async with stage(limits=ONE) as s:
            requests = [s.call(SLOW) for _ in range(5)]
            for request in requests:
                await s.failed(request)
            assert s.runner._slots == {}

    go(story())


def test_a_drain_resets_everything_and_reports_nothing() -> None:
    """The next process makes new attempts; a report of the drain would count as a failure."""

    async def story() -> None:
        async with stage(GREET, limits=InvokerLimits(attempts_max=2)) as s:
            requests = [s.call(GREET) for _ in range(4)]
            pushes = [(await s.push(n)).accept() for n in (1, 2)]
            s.runner.drain()
            assert all(push.was_reset for push in pushes)
            pushes[0].say(wire.ErrorMessage(500, "late"))
            await turns(50)
            assert len(s.client.pushes) == 2
            assert all(s.code(request) is None for request in requests)
            assert s.ends == {}

    go(story())


def test_calls_between_handlers_on_every_partition() -> None:
    """A story through everything but sockets: a handler calls ten keys and adds up."""
    from holdfast.core.model import TargetKind

    counter = handler(TargetKind.OBJECT_EXCLUSIVE, "Counter", "add")

    async def story() -> None:
        async with stage(GREET, counter, partitions=4) as s:
            request = s.call(GREET)
            root = (await s.push()).accept()
            root.say(
                *(
                    wire.CallCommandMessage(
                        "Counter", "add", b"1", key=f"k{n}",
                        invocation_id_notification_idx=2 * n + 1, result_completion_id=2 * n + 2,
                    )
                    for n in range(10)
                )
            )  # fmt: skip
            for count in range(2, 12):
                (await s.push(count)).accept().finish(b"%d" % count)
            await until(lambda: len(root.frames()) == 2 + 20)
            answers = [m for m in root.messages() if isinstance(m, wire.CallCompletionNotificationMessage)]
            assert sorted(m.completion_id for m in answers) == [2 * n + 2 for n in range(10)]
            root.finish()
            await until(lambda: request.id in s.ends)

    go(story())
