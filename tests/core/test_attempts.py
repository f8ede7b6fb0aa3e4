"""Attempts: reports in order, late reports, run proposals, suspension, retries, the journal's bound."""

from __future__ import annotations

import pytest
from core.harness import (
    COUNTER,
    DEPLOYMENT,
    SERVICE,
    VERSION,
    World,
    error,
    failed,
    output,
    policy,
    proposal,
    run,
    set_state,
    sleep,
)
from hypothesis import example, given
from hypothesis import strategies as st

from holdfast.core.attempts import retry_delay_ms
from holdfast.core.commands import Behavior, End, Suspend
from holdfast.core.model import (
    CANCEL_SIGNAL,
    JOURNAL_ENTRIES_MAX,
    JOURNAL_MARGIN,
    VOID,
    Activity,
    Await,
    Failure,
    Invoked,
    OnMaxAttempts,
    Paused,
    RetryPolicy,
    Success,
    Suspended,
)
from holdfast.core.outcome import AbortAttempt, Acknowledge, ArmTimer, AttemptDone, StartAttempt, Tell


def test_commands_and_their_answers_share_one_journal(world: World) -> None:
    id_ = world.start(SERVICE)
    world.report(id_, run(1), proposal(1), sleep(2, world.now - 1), run(3))
    types = [entry.type for entry in world.journal(id_)]
    assert types == [0x0400, 0x0411, 0x8011, 0x040C, 0x800C, 0x0411]
    assert [t.index for t in world.all(Tell)] == [2, 4], "entries the attempt is told of"
    assert (world.invocation(id_).length, world.invocation(id_).commands) == (6, 4)


def test_the_first_stored_command_pins_deployment_and_version(world: World) -> None:
    id_ = world.start(SERVICE)
    world.report(id_, error(retry_after_ms=10))
    assert world.invocation(id_).deployment is None, "a failure stores nothing"
    world.pass_time(10)
    world.report(id_, run(1))
    assert (world.invocation(id_).deployment, world.invocation(id_).protocol_version) == (DEPLOYMENT, VERSION)


def test_the_last_output_is_the_result(world: World) -> None:
    id_ = world.start(SERVICE)
    world.report(id_, output(Success(b"draft")), output(Success(b"final")))
    world.report(id_, End())
    assert world.result(id_) == Success(b"final")
    assert world.all(AttemptDone)


def test_an_output_stored_by_an_earlier_attempt_counts(world: World) -> None:
    id_ = world.start(SERVICE)
    world.report(id_, output(Failure(418, "teapot")))
    world.report(id_, error(retry_after_ms=1))
    world.pass_time(1)
    world.report(id_, End())
    assert world.result(id_) == Failure(418, "teapot")


def test_an_end_without_output_is_a_failure(world: World) -> None:
    id_ = world.start(SERVICE)
    world.report(id_, End())
    assert failed(world.result(id_), 500)


def test_nothing_after_the_final_item_counts(world: World) -> None:
    id_ = world.start(COUNTER)
    world.report(id_, output(Success(b"1")), End(), set_state(b"k", b"v"))
    assert world.state(COUNTER) == {}


@pytest.mark.parametrize("end", ["finished", "killed", "suspended", "replaced"])
def test_a_late_report_is_ignored_whole(world: World, end: str) -> None:
    id_ = world.start(COUNTER)
    attempt = world.invocation(id_).attempt
    world.report(id_, sleep(1, world.now + 1000))
    if end == "finished":
        world.finish(id_)
    elif end == "killed":
        world.kill(id_)
    elif end == "suspended":
        world.suspend(id_, 1)
    else:
        world.report(id_, error(retry_after_ms=5))
        world.pass_time(5)
    before = world.dump()
    world.report(id_, set_state(b"k", b"late"), output(Success(b"late")), End(), attempt=attempt)
    assert world.actions == []
    assert world.dump() == before


def test_a_run_is_answered_with_its_value_or_acknowledged(world: World) -> None:
    id_ = world.start(SERVICE)
    world.report(id_, run(1), proposal(1, b"full"))
    assert world.told(id_) == [(1, Success(b"full"))]
    world.report(id_, run(2), proposal(2, b"short", ack=True))
    row, attempt = world.invocation(id_).row, world.invocation(id_).attempt
    assert world.all(Acknowledge) == [Acknowledge(row, attempt, 2)]
    assert world.told(id_) == []
    assert world.journal(id_)[-1].type == 0x8011, "the replay carries the value all the same"


def test_a_run_proposed_twice_keeps_its_first_value(world: World) -> None:
    id_ = world.start(SERVICE)
    world.report(id_, run(1), proposal(1, b"first"))
    length = world.known(id_)
    world.report(id_, proposal(1, b"second"))
    assert world.actions == []
    assert world.known(id_) == length


def test_a_suspended_invocation_wakes_on_what_it_waits_for_only(world: World) -> None:
    id_ = world.start(SERVICE)
    world.report(id_, sleep(1, world.now + 10), sleep(2, world.now + 20))
    world.suspend(id_, 2)
    assert isinstance(world.status(id_), Suspended)
    world.pass_time(10)
    assert world.actions == []
    world.pass_time(10)
    assert world.started(id_)
    assert [entry.type for entry in world.journal(id_)] == [0x0400, 0x040C, 0x040C, 0x800C, 0x800C]


def test_a_result_that_landed_before_the_suspension_starts_the_next_attempt(world: World) -> None:
    """Goal: never park on something already here. Method: the timer fires while the suspension travels."""
    id_ = world.start(SERVICE)
    world.report(id_, sleep(1, world.now + 10))
    known = world.known(id_)
    world.pass_time(10)
    world.report(id_, Suspend(Await((1,)), known))
    assert world.started(id_)
    assert world.invocation(id_).attempt == 2


def test_a_request_response_attempt_suspends_on_its_own_proposal_and_goes_on(world: World) -> None:
    id_ = world.start(SERVICE)
    known = world.known(id_)
    world.report(id_, run(1), proposal(1), Suspend(Await((1,)), known))
    assert world.started(id_)


def test_a_signal_that_was_consumed_does_not_wake_but_a_new_one_does(world: World) -> None:
    """Goal: no circle of waking, replaying and suspending on a signal that an earlier wait has taken."""
    id_ = world.start(SERVICE)
    world.signal(id_, "go", Success(b"1"))
    assert world.told(id_) == [("go", Success(b"1"))]
    waiting = Await(names=("go",))
    world.report(id_, Suspend(waiting, world.known(id_)))
    assert isinstance(world.status(id_), Suspended)
    world.signal(id_, "go", Success(b"2"))
    assert world.started(id_)


def test_a_signal_the_attempt_was_not_told_of_wakes_it(world: World) -> None:
    id_ = world.start(SERVICE)
    known = world.known(id_)
    world.signal(id_, 17, VOID)
    world.report(id_, Suspend(Await(signals=(17,)), known))
    assert world.started(id_)


def test_failures_back_off_by_the_policy_and_progress_starts_the_count_again(world: World) -> None:
    id_ = world.start(SERVICE)
    plan = RetryPolicy(initial_ms=100, factor=2.0, max_ms=300)
    for delay in (100, 200, 300, 300):
        world.report(id_, error(policy=plan))
        assert world.invocation(id_).activity is Activity.BACKING_OFF
        assert world.visible() == [AttemptDone(world.invocation(id_).row, world.invocation(id_).attempt),
                                   ArmTimer(world.now + delay)]  # fmt: skip
        world.pass_time(delay - 1)
        assert not world.is_running(id_)
        world.pass_time(1)
        assert world.started(id_)
    world.report(id_, run(1), error(policy=plan))
    assert world.invocation(id_).next_retry_at == world.now + 100
    assert world.invocation(id_).retry_count == 1


def test_the_error_may_name_the_delay(world: World) -> None:
    id_ = world.start(SERVICE)
    world.report(id_, error(retry_after_ms=12_345))
    assert world.invocation(id_).next_retry_at == world.now + 12_345


@pytest.mark.parametrize("then", list(OnMaxAttempts))
def test_the_last_attempt_is_followed_by_pause_or_kill(world: World, then: OnMaxAttempts) -> None:
    id_ = world.start(SERVICE)
    plan = policy(2, then)
    world.report(id_, error(policy=plan, retry_after_ms=1))
    world.pass_time(1)
    world.report(id_, error(503, policy=plan, retry_after_ms=1))
    if then is OnMaxAttempts.KILL:
        assert world.result(id_) == Failure(503, "it broke")
    else:
        assert world.status(id_) == Paused()
    assert world.count("timer") == 0
    assert world.all(StartAttempt) == []


def test_an_error_may_ask_for_a_pause_or_for_the_end(world: World) -> None:
    paused, ended = world.start(SERVICE), world.start(SERVICE)
    world.report(paused, error(behavior=Behavior.PAUSE))
    assert world.status(paused) == Paused()
    world.report(ended, error(422, behavior=Behavior.FAIL))
    assert world.result(ended) == Failure(422, "it broke")


def test_a_failure_is_remembered_with_its_instant_and_as_an_event(world: World) -> None:
    id_ = world.start(SERVICE)
    world.report(id_, error(503, retry_after_ms=1))
    failure = world.invocation(id_).failure
    assert failure is not None
    assert (failure.code, failure.at) == (503, world.now)
    assert world.count("event") == 1


def test_a_journal_has_a_bound_and_the_invocation_pauses_at_it(world: World) -> None:
    """Method: the length is set, since a million commands take too long."""
    id_ = world.start(SERVICE)
    world.report(id_, run(1))
    invocation = world.invocation(id_)
    attempt = invocation.attempt
    invocation.length = JOURNAL_ENTRIES_MAX - JOURNAL_MARGIN
    world.report(id_, run(2))
    assert world.status(id_) == Paused()
    assert world.all(AbortAttempt) == [AbortAttempt(invocation.row, attempt)]
    assert invocation.failure is not None
    assert invocation.failure.doc_code == "HF0001"


def test_a_full_journal_takes_no_signals_but_its_answers_and_a_cancellation(world: World) -> None:
    """Goal: no entry lands beyond the limit, where it would be another invocation's. Method: a journal with
    three open sleeps is set to just below the bound, and everything that can append tries to."""
    id_ = world.start(SERVICE)
    neighbour = world.start(SERVICE)
    world.report(id_, *(sleep(n, world.now + n) for n in (1, 2, 3)))
    world.suspend(id_, 99)
    tables = world.tables[world.owner(id_)]
    invocation = world.invocation(id_)
    invocation.length = JOURNAL_ENTRIES_MAX - JOURNAL_MARGIN - 2 * invocation.commands - 1
    tables.invocations.put(invocation)
    tables.commit()
    for _ in range(5):
        world.signal(id_, "flood")
    full = world.known(id_)
    assert full == JOURNAL_ENTRIES_MAX - JOURNAL_MARGIN - 2 * invocation.commands
    for _ in range(2 * JOURNAL_MARGIN):
        world.signal(id_, CANCEL_SIGNAL)
    world.pass_time(3)
    assert full < world.known(id_) <= JOURNAL_ENTRIES_MAX
    assert [entry.ref for entry in world.journal(id_)][-3:] == [1, 2, 3]
    assert [entry.type for entry in world.journal(neighbour)] == [0x0400]


@example(100_000.0, 70)
@example(float("nan"), 2)
@given(st.floats(), st.integers(1, 1_000_000))
def test_a_delay_is_finite_and_capped_whatever_the_policy(factor: float, failures: int) -> None:
    plan = RetryPolicy(initial_ms=500, factor=factor, max_ms=60_000)
    assert 0 <= retry_delay_ms(plan, failures, 0.999) <= 80_000


def test_jitter_lengthens_a_delay_by_a_third_at_most() -> None:
    plan = RetryPolicy(initial_ms=900, factor=1.0)
    assert retry_delay_ms(plan, 1, 0.0) == 900
    assert 1190 <= retry_delay_ms(plan, 1, 0.999) < 1200


def test_recovering_makes_an_attempt_for_everything_in_its_turn(tmp_path: object) -> None:
    """Goal: what ran runs again, what backs off keeps its time, what sleeps stays asleep."""
    from pathlib import Path

    assert isinstance(tmp_path, Path)
    world = World(2, tmp_path)
    running, backing, sleeping, done = (world.start(SERVICE) for _ in range(4))
    world.report(running, run(1), proposal(1))
    world.report(backing, error(retry_after_ms=1000))
    world.report(sleeping, sleep(1, world.now + 5000))
    world.suspend(sleeping, 1)
    world.finish(done)
    first = world.invocation(running).attempt
    world.reopen()
    assert world.started(running)
    assert world.invocation(running).attempt > first
    assert world.known(running) == 3, "counted from the journal"
    assert not world.started(backing)
    assert isinstance(world.status(backing), Invoked)
    assert isinstance(world.status(sleeping), Suspended)
    world.pass_time(1000)
    assert world.started(backing)
    world.pass_time(4000)
    assert world.started(sleeping)
    world.close()
