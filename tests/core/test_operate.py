"""What operators do, to invocations in every status."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from core.harness import (
    COUNTER,
    FLOW,
    SERVICE,
    World,
    call,
    error,
    failed,
    get_promise,
    run,
    send,
    set_state,
    sleep,
)

from holdfast.core.commands import Suspend
from holdfast.core.model import (
    CANCEL_SIGNAL,
    VOID,
    Await,
    Completed,
    Inboxed,
    InvocationId,
    OnMaxAttempts,
    Paused,
    RetryPolicy,
    Success,
    Suspended,
)
from holdfast.core.mutation import state_version
from holdfast.core.operate import COMPLETED, SETTLED
from holdfast.core.outcome import AbortAttempt, Done, Found, HalfClose, Refused, StartAttempt
from holdfast.core.records import SettlePromise, Signal

# ---------------------------------------------------------------- an invocation in each status


def running(world: World) -> InvocationId:
    return world.start(SERVICE)


def backing_off(world: World) -> InvocationId:
    id_ = world.start(SERVICE)
    world.report(id_, error(retry_after_ms=60_000))
    return id_


def suspended(world: World) -> InvocationId:
    id_ = world.start(SERVICE)
    world.report(id_, sleep(1, world.now + 60_000))
    world.report(id_, Suspend(Await((1,), (CANCEL_SIGNAL,)), world.known(id_)))
    return id_


def paused(world: World) -> InvocationId:
    id_ = backing_off(world)
    world.pause(id_)
    return id_


def scheduled(world: World) -> InvocationId:
    return world.start(SERVICE, start_at=world.now + 60_000)


def inboxed(world: World) -> InvocationId:
    world.start(COUNTER)
    return world.start(COUNTER)


def completed(world: World) -> InvocationId:
    id_ = world.start(SERVICE)
    world.finish(id_)
    return id_


def unknown(world: World) -> InvocationId:
    return world.derived_id(SERVICE, "nobody")


Make = Callable[[World], InvocationId]
EVERY: list[Make] = [
    running, backing_off, suspended, paused, scheduled, inboxed, completed, unknown,
]  # fmt: skip
NOT_FOUND = "not_found"


def said(answer: object) -> str:
    """An answer in a word."""
    if isinstance(answer, Refused):
        return answer.reason
    assert isinstance(answer, Done)
    return "done" if answer.at_once else "asked"


EXPECTED = {
    "cancel": ["asked", "asked", "asked", "asked", "done", "done", "completed", NOT_FOUND],
    "kill": ["done", "done", "done", "done", "done", "done", "completed", NOT_FOUND],
    "pause": ["asked", "done", "done", "done", "not_running", "not_running", "completed", NOT_FOUND],
    "resume": ["done", "done", "done", "done", "not_started", "not_started", "completed", NOT_FOUND],
    "purge": [*["not_completed"] * 6, "done", NOT_FOUND],
}


@pytest.mark.parametrize("wish", list(EXPECTED))
@pytest.mark.parametrize("make", EVERY, ids=lambda make: make.__name__)
def test_every_wish_in_every_status_has_its_answer(world: World, make: Make, wish: str) -> None:
    id_ = make(world)
    assert said(getattr(world, wish)(id_)) == EXPECTED[wish][EVERY.index(make)]


# ---------------------------------------------------------------- cancel


@pytest.mark.parametrize("make", [backing_off, suspended, paused])
def test_a_cancellation_wakes_what_rests(world: World, make: Make) -> None:
    id_ = make(world)
    world.cancel(id_)
    assert world.started(id_)
    assert world.journal(id_)[-1].ref == CANCEL_SIGNAL
    timers = world.count("timer")
    world.pass_time(60_000)
    assert not world.started(id_), "the retry timer is gone; a sleep that ends only tells the attempt"
    assert timers == (1 if make is suspended else 0)


def test_a_running_attempt_is_told_of_the_cancellation(world: World) -> None:
    id_ = running(world)
    world.cancel(id_)
    assert world.told(id_) == [(CANCEL_SIGNAL, VOID)]


@pytest.mark.parametrize("make", [scheduled, inboxed])
def test_what_has_not_started_ends_at_once(world: World, make: Make) -> None:
    id_ = make(world)
    world.cancel(id_)
    assert failed(world.result(id_), 409)
    world.pass_time(60_000)
    assert not world.started(id_)
    assert world.count("timer") == world.count("inbox") == 0


# ---------------------------------------------------------------- kill


@pytest.mark.parametrize("make", EVERY[:6], ids=lambda make: make.__name__)
def test_a_kill_ends_anything(world: World, make: Make) -> None:
    id_ = make(world)
    world.kill(id_)
    assert failed(world.result(id_), 409)
    assert bool(world.all(AbortAttempt)) is (make is running)
    world.pass_time(60_000)
    assert world.all(StartAttempt) == []
    assert world.count("timer") == 0


def test_a_kill_goes_down_the_calls_but_not_to_sends_and_finished_ones(world: World) -> None:
    root = world.start(SERVICE)
    child = world.call(root, SERVICE, 2)
    grandchild = world.call(child, COUNTER, 2)
    done = world.call(root, SERVICE, 4)
    world.finish(done, b"kept")
    sent = world.request(SERVICE, by=root)
    world.report(root, send(sent, 5))
    world.kill(root)
    assert all(failed(world.result(id_), 409) for id_ in (root, child, grandchild))
    assert not failed(world.result(done), 409)
    assert world.is_running(sent.id)
    assert world.count("object_lock") == 0


def test_a_kill_goes_down_thousands_of_levels(world: World) -> None:
    """Goal: no depth of calls becomes depth of the Python stack."""
    root = id_ = world.start(SERVICE)
    levels = 5_000 if world.partitions == 1 else 1_000
    for _ in range(levels):
        request = world.request(SERVICE, by=id_)
        world.report(id_, call(request, 2))
        id_ = request.id
    world.kill(root)
    assert len(world.finished()) == levels + 1
    assert not world.is_running(id_)


# ---------------------------------------------------------------- pause and resume


def test_a_running_attempt_is_asked_once_and_pauses_when_it_suspends(world: World) -> None:
    id_ = running(world)
    world.report(id_, sleep(1, world.now + 10))
    world.pause(id_)
    assert len(world.all(HalfClose)) == 1
    assert said(world.pause(id_)) == "asked"
    assert world.actions == []
    world.suspend(id_, 1)
    assert world.status(id_) == Paused()
    world.pass_time(10)
    assert not world.started(id_)
    world.resume(id_)
    assert world.started(id_)


def test_a_pausing_attempt_that_fails_is_paused_and_one_that_ends_is_done(world: World) -> None:
    failing, ending = running(world), running(world)
    world.pause(failing)
    world.report(failing, error())
    assert world.status(failing) == Paused()
    world.pause(ending)
    world.finish(ending)
    assert isinstance(world.status(ending), Completed)


def test_a_promised_pause_survives_a_restart(tmp_path: Path) -> None:
    """Goal: who was told that it would be paused need not ask again. Method: reopen before it suspended."""
    world = World(1, tmp_path)
    id_ = running(world)
    world.pause(id_)
    world.reopen()
    assert world.status(id_) == Paused()
    assert not world.started(id_)


def test_pausing_takes_the_retry_timer_back(world: World) -> None:
    id_ = paused(world)
    assert world.status(id_) == Paused()
    assert world.count("timer") == 0
    world.pass_time(60_000)
    assert not world.started(id_)


def test_a_paused_one_collects_notifications_without_waking(world: World) -> None:
    id_ = suspended(world)
    world.pause(id_)
    world.signal(id_, 17)
    world.pass_time(60_000)
    assert world.status(id_) == Paused()
    assert [entry.ref for entry in world.journal(id_)[2:]] == [17, 1]


def test_resuming_from_exhaustion_gives_a_full_set_of_attempts(world: World) -> None:
    id_ = running(world)
    plan = RetryPolicy(initial_ms=1, max_attempts=2, on_max_attempts=OnMaxAttempts.PAUSE)
    for _ in range(2):
        world.report(id_, error(policy=plan))
        world.pass_time(1)
    assert world.status(id_) == Paused()
    world.resume(id_)
    world.report(id_, error(policy=plan))
    assert world.status(id_) != Paused()


@pytest.mark.parametrize("make", [backing_off, suspended, paused])
def test_resuming_on_another_deployment_moves_the_invocation(world: World, make: Make) -> None:
    id_ = make(world)
    world.resume(id_, "dp_2", 6)
    assert world.started(id_)
    assert (world.invocation(id_).deployment, world.invocation(id_).protocol_version) == ("dp_2", 6)
    world.pass_time(60_000)
    assert not world.started(id_), "no second attempt from a timer that was left"


def test_resuming_what_runs_changes_nothing(world: World) -> None:
    id_ = running(world)
    world.resume(id_, "dp_2", 6)
    assert world.actions == []
    assert world.invocation(id_).deployment is None


# ---------------------------------------------------------------- purge, lookup, state


def test_purging_the_journal_keeps_the_result(world: World) -> None:
    id_ = completed(world)
    world.purge(id_, journal_only=True)
    assert world.journal(id_) == []
    assert isinstance(world.lookup(id_), Found)
    world.purge(id_, journal_only=True)
    world.purge(id_)
    assert said(world.purge(id_)) == NOT_FOUND
    assert world.count("invocation") == world.count("event") == 0


def test_a_lookup_finds_what_is_there(world: World) -> None:
    for make in EVERY[:6]:
        found = world.lookup(make(world))
        assert isinstance(found, Found)
        assert found.completed is None


def test_state_is_replaced_at_once_when_nobody_holds_the_key(world: World) -> None:
    world.replace_state(COUNTER, {b"a": b"1", b"b": b"2"})
    assert said(world.replace_state(COUNTER, {b"c": b"3"})) == "done"
    assert world.state(COUNTER) == {b"c": b"3"}


def test_state_is_replaced_in_turn_behind_the_lock(world: World) -> None:
    """Between the two invocations that were there before and after the wish."""
    first, second = world.start(COUNTER), world.start(COUNTER)
    assert said(world.replace_state(COUNTER, {b"n": b"ours"})) == "asked"
    third = world.start(COUNTER)
    world.report(first, set_state(b"n", b"1"))
    world.finish(first)
    assert world.state(COUNTER) == {b"n": b"1"}
    world.finish(second)
    assert world.state(COUNTER) == {b"n": b"ours"}
    assert world.is_running(third)
    world.finish(third)
    assert world.count("object_lock") == world.count("inbox") == 0


def test_a_replacement_at_the_end_of_the_inbox_frees_the_lock(world: World) -> None:
    first = world.start(COUNTER)
    world.replace_state(COUNTER, {b"n": b"1"})
    world.finish(first)
    assert world.state(COUNTER) == {b"n": b"1"}
    assert world.count("object_lock") == 0


def test_the_version_guard_drops_a_replacement_of_changed_state(world: World) -> None:
    world.replace_state(COUNTER, {b"n": b"1"})
    seen = state_version(world.state(COUNTER))
    holder = world.start(COUNTER)
    world.replace_state(COUNTER, {b"n": b"guarded"}, seen)
    world.report(holder, set_state(b"n", b"2"))
    world.finish(holder)
    assert world.state(COUNTER) == {b"n": b"2"}
    world.replace_state(COUNTER, {b"n": b"guarded"}, state_version({b"n": b"2"}))
    assert world.state(COUNTER) == {b"n": b"guarded"}


def test_the_version_of_a_state_is_the_documented_hash() -> None:
    """The known answers come from the written rule, computed by hand for one key."""
    import hashlib
    from base64 import urlsafe_b64encode

    digest = hashlib.sha256(bytes(8) + b"\x01k\x02v\x03").digest()
    assert state_version({b"k": b"v"}) == urlsafe_b64encode(digest).rstrip(b"=").decode()
    assert state_version({b"b": b"", b"a": b""}) == state_version({b"a": b"", b"b": b""})
    assert state_version({b"ab": b""}) != state_version({b"a": b"b"})


def test_a_suspended_holder_of_a_run_keeps_waiting_after_its_own_late_proposal(world: World) -> None:
    id_ = running(world)
    attempt = world.invocation(id_).attempt
    world.report(id_, run(1))
    world.suspend(id_, 1)
    from core.harness import proposal

    world.report(id_, proposal(1), attempt=attempt)
    assert isinstance(world.status(id_), Suspended)


def test_inboxed_ones_are_found_by_signals_too(world: World) -> None:
    id_ = inboxed(world)
    world.signal(id_, 17)
    assert isinstance(world.status(id_), Inboxed)
    assert [entry.ref for entry in world.journal(id_)] == [None, 17]


# ---------------------------------------------------------------- completing what somebody waits for


def test_an_awakeable_is_completed_once_and_named_signals_once_per_wait(world: World) -> None:
    id_ = running(world)
    first = Signal(world.now, id_, 17, Success(b"1"), once=True)
    assert world.tell(world.owner(id_), first) == Done()
    assert world.tell(world.owner(id_), first) == SETTLED
    named = Signal(world.now, id_, "go", Success(b"2"), once=True)
    assert world.tell(world.owner(id_), named) == Done()
    world.report(id_, Suspend(Await(names=("go",)), world.known(id_)))
    assert world.tell(world.owner(id_), named) == Done(), "the first was consumed: it waits for the next"
    world.kill(id_)
    assert world.tell(world.owner(id_), first) == COMPLETED
    nobody = InvocationId(id_[:14] + bytes(10))
    refused = world.tell(world.owner(id_), Signal(world.now, nobody, 17, VOID, once=True))
    assert isinstance(refused, Refused)
    assert refused.reason == NOT_FOUND


def test_a_promise_is_settled_from_outside_once(world: World) -> None:
    id_ = world.start(FLOW)
    world.report(id_, get_promise("go", 1))
    world.suspend(id_, 1)
    record = SettlePromise(world.now, id_, "go", Success(b'"yes"'))
    assert world.tell(world.owner(id_), record) == Done()
    assert world.started(id_), "who waits for it goes on"
    assert world.tell(world.owner(id_), record) == SETTLED
    world.finish(id_)
    assert world.tell(world.owner(id_), SettlePromise(world.now, id_, "other", Success(b""))) == COMPLETED
