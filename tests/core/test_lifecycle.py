"""From acceptance to oblivion: idempotency, delay, locks and inboxes, retention."""

from __future__ import annotations

from core.harness import (
    COUNTER,
    COUNTER_SHARED,
    DAY_MS,
    FLOW,
    GONE_AT_ONCE,
    SERVICE,
    World,
    complete_promise,
    failed,
    get_promise,
    set_state,
    sleep,
)

from holdfast.core.model import Completed, Inboxed, Retention, Scheduled, Success, Suspended
from holdfast.core.outcome import Accepted, ArmTimer, Finished, Found, Refused, StartAttempt
from holdfast.core.records import Sweep


def test_an_accepted_invocation_starts_at_once_and_its_input_travels_along(world: World) -> None:
    request = world.request(SERVICE)
    answer = world.accept(request)
    assert answer == Accepted(request.row, request.id, False, None, None, None)
    (start,) = world.all(StartAttempt)
    assert (start.attempt, start.input_raw) == (1, request.input_raw)
    world.finish(request.id)
    assert world.finished() == {request.id: Success(b'"out"')}
    assert not world.is_running(request.id)


def test_the_same_idempotency_key_finds_the_first_invocation(world: World) -> None:
    """Running it is found as it is; completed it is answered with its result; expired it is made anew."""
    id_ = world.derived_id(SERVICE, "pay-1")
    first = world.request(SERVICE, id_=id_, retention=Retention(1000, 1000), idempotency_key="pay-1")
    world.accept(first)
    again = world.accept(world.request(SERVICE, id_=id_, retention=Retention(1000, 1000)))
    assert again == Accepted(first.row, id_, True, None, None, None)
    assert world.actions == []

    world.finish(id_, b"paid")
    done = world.accept(world.request(SERVICE, id_=id_, retention=Retention(1000, 1000)))
    assert isinstance(done, Accepted)
    assert done.completed == Completed(Success(b"paid"), world.now)
    assert done.expires_at == world.now + 1000

    world.pass_time(999)
    assert world.accept(world.request(SERVICE, id_=id_)).existing  # type: ignore[union-attr]
    world.pass_time(1)
    anew = world.accept(world.request(SERVICE, id_=id_))
    assert isinstance(anew, Accepted)
    assert not anew.existing
    assert anew.row != first.row
    assert world.started(id_)
    assert world.count("invocation") == 1, "the expired one is forgotten"


def test_an_idempotent_invocation_that_is_scheduled_says_when(world: World) -> None:
    id_ = world.derived_id(SERVICE, "later")
    world.accept(world.request(SERVICE, id_=id_, start_at=world.now + 500))
    again = world.accept(world.request(SERVICE, id_=id_))
    assert isinstance(again, Accepted)
    assert (again.existing, again.start_at) == (True, world.now + 500)


def test_a_delayed_invocation_waits_for_its_time(world: World) -> None:
    start_at = world.now + 5000
    id_ = world.start(SERVICE, start_at=start_at)
    assert world.status(id_) == Scheduled(start_at)
    assert world.visible() == [ArmTimer(start_at)]
    world.pass_time(4999)
    assert world.actions == []
    world.pass_time(1)
    assert world.started(id_)
    assert world.count("timer") == 0


def test_exclusive_handlers_of_a_key_run_one_at_a_time_in_order(world: World) -> None:
    first, second, third = (world.start(COUNTER) for _ in range(3))
    assert world.is_running(first)
    assert isinstance(world.status(second), Inboxed)
    assert isinstance(world.status(third), Inboxed)
    world.finish(first)
    assert world.is_running(second)
    assert not world.is_running(third)
    world.finish(second)
    assert world.is_running(third)
    world.finish(third)
    assert world.count("object_lock") == world.count("inbox") == 0


def test_shared_handlers_and_other_keys_do_not_wait(world: World) -> None:
    world.start(COUNTER)
    assert world.is_running(world.start(COUNTER_SHARED))
    assert world.is_running(world.start(COUNTER._replace(key="other")))


def test_the_lock_is_held_through_suspension_and_pause(world: World) -> None:
    first, second = world.start(COUNTER), world.start(COUNTER)
    world.report(first, sleep(1, world.now + 100))
    world.suspend(first, 1)
    assert isinstance(world.status(first), Suspended)
    assert isinstance(world.status(second), Inboxed)
    world.pause(first)
    assert isinstance(world.status(second), Inboxed)
    world.resume(first)
    world.finish(first)
    assert world.is_running(second)


def test_cancelling_in_the_middle_of_the_inbox_takes_only_that_one_out(world: World) -> None:
    ids = [world.start(COUNTER) for _ in range(4)]
    world.cancel(ids[2])
    assert failed(world.result(ids[2]), 409)
    assert world.is_running(ids[0])
    for ended, following in ((ids[0], ids[1]), (ids[1], ids[3])):
        world.finish(ended)
        assert world.is_running(following)
    world.finish(ids[3])
    assert world.count("object_lock") == world.count("inbox") == 0


def test_killing_the_holder_passes_the_lock_on(world: World) -> None:
    first, second, third = (world.start(COUNTER) for _ in range(3))
    world.kill(second)
    world.kill(first)
    assert world.is_running(third)


def test_a_delayed_exclusive_handler_queues_when_its_time_comes(world: World) -> None:
    delayed = world.start(COUNTER, start_at=world.now + 10)
    holder = world.start(COUNTER)
    world.pass_time(10)
    assert isinstance(world.status(delayed), Inboxed)
    world.finish(holder)
    assert world.is_running(delayed)


def test_a_workflow_key_runs_once(world: World) -> None:
    """A second start finds the first; a handler that calls it gets an error."""
    id_ = world.derived_id(FLOW, "w")
    world.accept(world.request(FLOW, id_=id_))
    assert world.accept(world.request(FLOW, id_=id_)).existing  # type: ignore[union-attr]
    caller = world.start(SERVICE)
    from core.harness import call

    world.report(caller, call(world.request(FLOW, id_=id_, by=caller), 2))
    (_, (ref, result)) = world.told(caller)
    assert ref == 2
    assert failed(result, 409)
    world.finish(id_)
    assert world.accept(world.request(FLOW, id_=id_)).completed is not None  # type: ignore[union-attr]


def test_retention_of_zero_leaves_nothing(world: World) -> None:
    id_ = world.start(SERVICE, retention=GONE_AT_ONCE)
    world.finish(id_, b"bye")
    assert world.finished() == {id_: Success(b"bye")}
    assert world.find(id_) is None
    assert world.count("invocation") == world.count("journal") == 0
    assert isinstance(world.lookup(id_), Refused)


def test_the_journal_may_go_before_the_result(world: World) -> None:
    id_ = world.start(SERVICE, retention=Retention(1000, 0))
    world.finish(id_, b"v")
    assert world.count("journal") == 0
    assert world.result(id_) == Success(b"v")


def test_a_finished_action_says_when_the_result_expires(world: World) -> None:
    id_ = world.start(SERVICE, retention=Retention(700, 0))
    world.finish(id_)
    (finished,) = world.all(Finished)
    assert finished.expires_at == world.now + 700
    found = world.lookup(id_)
    assert isinstance(found, Found)
    assert found.expires_at == world.now + 700


def test_sweeping_forgets_what_is_past_its_retention_and_rechecks(world: World) -> None:
    short = world.start(SERVICE, retention=Retention(1000, 100))
    long = world.start(SERVICE, retention=Retention(DAY_MS, DAY_MS))
    running = world.start(SERVICE)
    world.finish(short)
    world.finish(long)

    def sweep() -> None:
        world.tell_all(Sweep(world.now, tuple(world.invocation(i).row for i in (short, long, running))))

    sweep()
    assert world.journal(short)
    world.pass_time(100)
    sweep()
    assert world.journal(short) == []
    assert world.result(short) == Success(b'"out"')
    world.pass_time(900)
    sweep()
    assert world.find(short) is None
    assert world.journal(long)
    assert world.is_running(running)


def test_a_workflows_state_and_promises_go_with_its_run(world: World) -> None:
    id_ = world.derived_id(FLOW, "w")
    world.accept(world.request(FLOW, id_=id_, retention=Retention(1000, 1000)))
    world.report(id_, set_state(b"k", b"v"), complete_promise("p", Success(b"1"), 1), get_promise("q", 2))
    world.finish(id_)
    assert world.count("state") == world.count("promise") == world.count("promise_listener") == 1
    world.purge(id_)
    assert world.count("state") == world.count("promise") == world.count("promise_listener") == 0
    assert world.accept(world.request(FLOW, id_=id_)).existing is False  # type: ignore[union-attr]
