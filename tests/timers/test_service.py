"""The timer service: everything due is reported, in order, once per commit, whatever the clock does."""

from __future__ import annotations

import asyncio
from pathlib import Path

from core.harness import EPOCH_MS, sleep
from partition.support import Engine, FakeClock, HeldDisk, engine, handler, turns, until
from partition.support import run as go

from holdfast.core.model import InvariantViolation, InvocationId, Row
from holdfast.core.outcome import Answer
from holdfast.core.records import Record, TimerFired
from holdfast.partition.loop import UNAVAILABLE
from holdfast.storage.timers import Timer
from holdfast.timers import service as module
from holdfast.timers.service import TIMERS_PER_BATCH_MAX, TimerService


async def _sleeper(e: Engine, *delays_ms: int) -> InvocationId:
    """A running invocation with sleeps 1, 2, ... stored."""
    request = e.engine.make_request(handler(), None, (), b"")
    e.engine.start(request, lambda _: None)
    await until(lambda: request.id in e.runner.ids())
    e.report(request.id, *(sleep(n, e.clock.ms + delay) for n, delay in enumerate(delays_ms, 1)))
    await until(lambda: not e.partitions[0]._committing and not e.partitions[0].backlog)
    await turns()
    return request.id


def _ended(e: Engine) -> list[int | str | None]:
    """Completion ids of ended sleeps, in journal order."""
    rows = e.partitions[0].tables.database.rows("SELECT ref FROM journal WHERE type = 0x800C ORDER BY key")
    return [ref for (ref,) in rows]


def _ring(e: Engine) -> None:
    """As if the loop's own timer had run out."""
    handle = e.timers[0]._handle
    assert handle is not None
    handle.cancel()
    e.timers[0]._ring()


def test_sleeps_end_when_due_and_not_before() -> None:
    async def story() -> None:
        async with engine() as e:
            await _sleeper(e, 50_000, 20_000, 90_000)
            assert e.timers[0]._wake_at == e.clock.ms + 20_000
            e.clock.ms += 19_999
            _ring(e)
            await turns()
            assert _ended(e) == []
            e.clock.ms += 30_001
            _ring(e)
            await until(lambda: len(e.runner.told) == 2)
            assert _ended(e) == [2, 1]
            assert e.timers[0]._wake_at == e.clock.ms + 40_000

    go(story())


def test_thousands_due_at_once_are_taken_in_batches_and_none_twice() -> None:
    count = 2 * TIMERS_PER_BATCH_MAX + 500

    async def story() -> None:
        async with engine() as e:
            await _sleeper(e, *(10 for _ in range(count)))
            submitted: list[Record] = []
            real = e.partitions[0].submit

            def submit(record: Record, on_answer: object = None) -> None:
                submitted.append(record)
                real(record, on_answer)  # type: ignore[arg-type]

            e.partitions[0].submit = submit  # type: ignore[method-assign]
            e.clock.ms += 10
            _ring(e)
            await until(lambda: len(e.runner.told) == count)
            await turns()
            assert _ended(e) == list(range(1, count + 1))
            assert len([r for r in submitted if isinstance(r, TimerFired)]) == count
            assert e.partitions[0].tables.timers.next_at() is None

    go(story())


def test_a_clock_set_forward_fires_and_one_set_back_waits() -> None:
    async def story() -> None:
        async with engine() as e:
            await _sleeper(e, 1_000)
            e.clock.ms -= 3_600_000
            _ring(e)
            await turns()
            assert _ended(e) == []
            assert e.timers[0]._handle is not None, "it goes on looking"
            e.clock.ms += 2 * 3_600_000
            _ring(e)
            await until(lambda: e.runner.told)
            assert _ended(e) == [1]

    go(story())


def test_a_long_wait_is_cut_into_pieces() -> None:
    """The wall clock may be set while the loop's own timer runs on another clock."""

    async def story() -> None:
        loop = asyncio.get_running_loop()
        async with engine() as e:
            await _sleeper(e, 365 * 86_400_000)
            handle = e.timers[0]._handle
            assert handle is not None
            assert handle.when() - loop.time() <= module.WAIT_MS_MAX / 1000 + 1

    go(story())


def test_a_timer_that_is_due_is_not_reported_again_before_its_commit() -> None:
    async def story() -> None:
        async with engine() as e:
            await _sleeper(e, 5)
            disk = HeldDisk(e.partitions[0])
            e.clock.ms += 5
            _ring(e)
            await turns()
            assert len(disk.waiting) == 1
            for _ in range(3):
                e.timers[0].arm(e.clock.ms - 1)
                e.timers[0]._look()
                await turns()
            assert e.partitions[0].backlog == 0
            disk.release()
            await turns()
            assert _ended(e) == [1]
            assert disk.waiting == []

    go(story())


def test_timers_of_an_earlier_process_fire_at_the_start(tmp_path: Path) -> None:
    async def first() -> None:
        async with engine(1, tmp_path) as e:
            await _sleeper(e, 86_400_000)

    async def second() -> None:
        async with engine(1, tmp_path, start_ms=EPOCH_MS + 86_400_000) as e:
            await until(lambda: not e.partitions[0]._committing and _ended(e) == [1])

    go(first())
    go(second())


class _StoppedPartition:
    """Has a due timer for ever and takes no record."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.asked = 0
        self.timers = self

    def due(self, at: int, limit: int) -> list[Timer]:
        return [Timer(1, Row(1), 0, 1)]

    def next_at(self) -> int | None:
        return 1

    def submit(self, record: Record, on_answer: object = None) -> None:
        self.asked += 1
        answer: Answer = UNAVAILABLE
        if callable(on_answer):
            self._loop.call_soon(on_answer, answer)

    def when_settled(self, call: object) -> None:
        raise InvariantViolation("nobody rings")


def test_a_partition_that_has_stopped_is_not_asked_in_a_circle() -> None:
    async def story() -> None:
        partition = _StoppedPartition(asyncio.get_running_loop())
        service = TimerService(asyncio.get_running_loop(), FakeClock())
        service.start(partition)  # type: ignore[arg-type]
        await turns(50)
        service.stop()
        assert partition.asked == 1

    go(story())
