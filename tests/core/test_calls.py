"""Calls, sends, attaching, output: one invocation and another, on the same partition and across."""

from __future__ import annotations

from core.harness import (
    COUNTER,
    SERVICE,
    World,
    attach,
    call,
    error,
    failed,
    get_output,
    output,
    send,
    send_signal,
)

from holdfast.core.commands import End
from holdfast.core.model import (
    CANCEL_SIGNAL,
    VOID,
    Await,
    Completed,
    Failure,
    Scheduled,
    StartedId,
    Success,
)
from holdfast.core.outcome import Tell
from holdfast.protocol.ids import encode_invocation_id


def test_a_call_is_announced_with_its_id_and_answered_with_its_result(world: World) -> None:
    caller = world.start(SERVICE)
    callee = world.call(caller, SERVICE)
    assert world.told(caller) == [(1, StartedId(encode_invocation_id(callee)))]
    assert world.is_running(callee)
    world.finish(callee, b"42")
    assert world.told(caller) == [(2, Success(b"42"))]


def test_a_suspended_caller_wakes_when_its_call_ends(world: World) -> None:
    caller = world.start(SERVICE)
    callee = world.call(caller, COUNTER)
    world.suspend(caller, 2)
    world.report(callee, output(Failure(418, "no")), End())
    assert world.started(caller)
    assert [entry.ref for entry in world.journal(caller)[2:]] == [1, 2]


def test_a_chain_of_calls_unwinds_within_the_last_report(world: World) -> None:
    chain = [world.start(SERVICE)]
    for _ in range(8):
        chain.append(world.call(chain[-1], SERVICE))
        world.suspend(chain[-2], 2)
    for callee, caller in zip(chain[:0:-1], chain[-2::-1], strict=True):
        world.finish(callee)
        assert world.started(caller)


def test_two_callers_of_one_idempotent_callee_both_get_its_result(world: World) -> None:
    id_ = world.derived_id(SERVICE, "same")
    callers = [world.start(SERVICE) for _ in range(3)]
    for caller in callers:
        world.report(caller, call(world.request(SERVICE, id_=id_, by=caller), 2))
    world.finish(id_, b"v")
    assert {t.notification.ref for t in world.all(Tell)} == {2}
    assert len(world.all(Tell)) == 3
    assert world.count("waiter") == 0
    late = world.start(SERVICE)
    world.report(late, call(world.request(SERVICE, id_=id_, by=late), 2))
    assert world.told(late)[-1] == (2, Success(b"v"))


def test_a_send_starts_its_callee_and_brings_no_result(world: World) -> None:
    caller = world.start(SERVICE)
    request = world.request(COUNTER, by=caller)
    world.report(caller, send(request))
    assert world.told(caller) == [(1, StartedId(encode_invocation_id(request.id)))]
    world.finish(request.id)
    assert world.told(caller) == []


def test_a_delayed_send_outlives_its_caller(world: World) -> None:
    caller = world.start(SERVICE)
    request = world.request(SERVICE, by=caller, start_at=world.now + 1000)
    world.report(caller, send(request))
    assert world.status(request.id) == Scheduled(world.now + 1000)
    world.finish(caller)
    world.pass_time(1000)
    assert world.started(request.id)


def test_attaching_gives_the_result_now_or_when_it_ends(world: World) -> None:
    target, early = world.start(SERVICE), world.start(SERVICE)
    world.report(early, attach(target, 1))
    assert world.told(early) == []
    world.finish(target, b"r")
    assert world.told(early) == [(1, Success(b"r"))]
    late = world.start(SERVICE)
    world.report(late, attach(target, 1))
    assert world.told(late) == [(1, Success(b"r"))]


def test_output_is_void_while_the_target_runs(world: World) -> None:
    target, asker = world.start(SERVICE), world.start(SERVICE)
    world.report(asker, get_output(target, 1))
    assert world.told(asker) == [(1, VOID)]
    world.finish(target, b"r")
    world.report(asker, get_output(target, 2))
    assert world.told(asker) == [(2, Success(b"r"))]


def test_unknown_and_forgotten_targets_are_not_found(world: World) -> None:
    asker = world.start(SERVICE)
    nobody = world.derived_id(SERVICE, "nobody")
    world.report(asker, attach(nobody, 1), get_output(nobody, 2))
    told = world.told(asker)
    assert sorted(ref for ref, _ in told) == [1, 2]
    assert all(failed(result, 404) for _, result in told)


def test_signals_between_invocations_arrive_and_those_to_nobody_vanish(world: World) -> None:
    sender, receiver = world.start(SERVICE), world.start(SERVICE)
    world.suspend(receiver, signals=(17,))
    world.report(sender, send_signal(receiver, 17, Success(b"x")))
    assert world.started(receiver)
    world.finish(receiver)
    before = world.dump()[f"{world.owner(receiver)}/journal"]
    world.signal(receiver, 17)
    world.signal(world.derived_id(SERVICE, "nobody"), 17)
    assert world.dump()[f"{world.owner(receiver)}/journal"] == before
    assert world.actions == []


def test_cancelling_by_signal_reaches_a_callee_that_has_not_started(world: World) -> None:
    """As SDKs do: the cancelled caller sends signal 1 to its callees."""
    holder = world.start(COUNTER)
    caller = world.start(SERVICE)
    callee = world.call(caller, COUNTER)
    world.report(caller, send_signal(callee, CANCEL_SIGNAL))
    assert failed(world.result(callee), 409)
    (_, result) = world.told(caller)[-1]
    assert failed(result, 409)
    world.finish(holder)
    assert world.count("object_lock") == 0


def test_an_answer_to_a_caller_that_is_gone_is_dropped(world: World) -> None:
    caller = world.start(SERVICE)
    callee = world.call(caller, SERVICE)
    world.finish(caller)
    world.finish(callee)
    assert isinstance(world.status(callee), Completed)
    assert len(world.journal(caller)) == 4


def test_a_result_that_comes_while_the_caller_backs_off_is_in_its_next_replay(world: World) -> None:
    caller = world.start(SERVICE)
    callee = world.call(caller, SERVICE)
    world.report(caller, error(retry_after_ms=100))
    world.finish(callee)
    assert not world.started(caller)
    world.pass_time(100)
    assert world.started(caller)
    assert world.journal(caller)[-1].ref == 2


def test_calling_oneself_through_a_shared_chain_does_not_deadlock_the_state_machine(world: World) -> None:
    """An exclusive handler that calls its own key waits for ever by design; a kill resolves it."""
    first = world.start(COUNTER)
    inner = world.call(first, COUNTER)
    world.suspend(first, 2)
    world.kill(first)
    assert failed(world.result(first), 409)
    assert failed(world.result(inner), 409)
    assert world.count("object_lock") == world.count("inbox") == 0


def test_awaiting_a_call_and_a_cancellation_wakes_on_either(world: World) -> None:
    from holdfast.core.commands import Suspend

    for by_signal in (True, False):
        caller = world.start(SERVICE)
        callee = world.call(caller, SERVICE)
        world.report(caller, Suspend(Await((2,), (CANCEL_SIGNAL,)), world.known(caller)))
        if by_signal:
            world.cancel(caller)
        else:
            world.finish(callee)
        assert world.started(caller)
