"""Sleeps and the timers of delays and retries."""

from __future__ import annotations

from core.harness import SERVICE, World, error, sleep

from holdfast.core.model import VOID
from holdfast.core.outcome import ArmTimer
from holdfast.core.records import TimerFired, TimerKind


def test_a_sleep_that_is_over_is_answered_at_once(world: World) -> None:
    id_ = world.start(SERVICE)
    world.report(id_, sleep(1, world.now), sleep(2, 0))
    assert world.told(id_) == [(1, VOID), (2, VOID)]
    assert world.count("timer") == 0


def test_sleeps_end_in_the_order_of_their_instants(world: World) -> None:
    id_ = world.start(SERVICE)
    world.report(id_, *(sleep(n, world.now + 100 - n) for n in range(1, 6)))
    assert world.all(ArmTimer) == [ArmTimer(world.now + 100 - n) for n in range(1, 6)]
    world.pass_time(100)
    assert [ref for ref, _ in world.told(id_)] == [5, 4, 3, 2, 1]


def test_a_timer_reported_twice_ends_its_sleep_once(world: World) -> None:
    id_ = world.start(SERVICE)
    world.report(id_, sleep(1, world.now + 10))
    ((partition, fired),) = world.due(world.now + 10)
    world.tell(partition, fired)
    assert world.told(id_) == [(1, VOID)]
    world.tell(partition, fired)
    assert world.actions == []
    assert world.known(id_) == 3


def test_a_timer_that_nobody_stored_does_nothing(world: World) -> None:
    id_ = world.start(SERVICE)
    world.report(id_, error(retry_after_ms=100))
    row = world.invocation(id_).row
    made_up = TimerFired(world.now, world.now, TimerKind.RETRY, row, 0)
    world.tell(world.owner(id_), made_up)
    assert not world.started(id_)


def test_a_sleep_that_ends_after_its_invocation_disturbs_nobody(world: World) -> None:
    id_ = world.start(SERVICE)
    world.report(id_, sleep(1, world.now + 10))
    world.kill(id_)
    length = world.known(id_)
    world.pass_time(10)
    assert world.actions == []
    assert world.known(id_) == length
    assert world.count("timer") == 0


def test_an_instant_at_the_end_of_time_can_be_stored(world: World) -> None:
    """The invoker bounds instants at 2**62."""
    id_ = world.start(SERVICE)
    world.report(id_, sleep(1, 1 << 62))
    world.suspend(id_, 1)
    world.pass_time(1_000_000)
    assert not world.started(id_)
