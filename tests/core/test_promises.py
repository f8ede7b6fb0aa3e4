"""Durable promises: completed once, awaited by any number."""

from __future__ import annotations

from core.harness import (
    FLOW,
    FLOW_SHARED,
    World,
    complete_promise,
    failed,
    get_promise,
    peek_promise,
)

from holdfast.core.model import VOID, Failure, Success


def test_a_promise_wakes_everybody_who_waits_for_it(world: World) -> None:
    main, shared, completer = world.start(FLOW), world.start(FLOW_SHARED), world.start(FLOW_SHARED)
    world.report(main, get_promise("p", 1))
    world.report(shared, get_promise("p", 1), get_promise("p", 2))
    world.suspend(main, 1)
    world.suspend(shared, 2)
    world.report(completer, complete_promise("p", Success(b"v"), 1))
    assert world.told(completer) == [(1, VOID)]
    assert world.started(main)
    assert world.started(shared)
    assert [entry.ref for entry in world.journal(shared)[3:]] == [1, 2]
    assert world.count("promise_listener") == 0


def test_a_completed_promise_answers_at_once_and_cannot_be_completed_again(world: World) -> None:
    id_ = world.start(FLOW)
    world.report(id_, complete_promise("p", Failure(418, "no"), 1), get_promise("p", 2))
    assert world.told(id_) == [(1, VOID), (2, Failure(418, "no"))]
    world.report(id_, complete_promise("p", Success(b"late"), 3), peek_promise("p", 4))
    (_, second), (_, peeked) = world.told(id_)
    assert failed(second, 409)
    assert peeked == Failure(418, "no")


def test_peeking_at_an_open_promise_gives_void(world: World) -> None:
    id_ = world.start(FLOW)
    world.report(id_, peek_promise("p", 1))
    assert world.told(id_) == [(1, VOID)]


def test_an_empty_value_is_a_value(world: World) -> None:
    id_ = world.start(FLOW)
    world.report(id_, complete_promise("p", Success(b""), 1), peek_promise("p", 2), get_promise("p", 3))
    assert world.told(id_) == [(1, VOID), (2, Success(b"")), (3, Success(b""))]


def test_listeners_that_are_gone_are_skipped(world: World) -> None:
    gone, waiting, completer = (world.start(FLOW_SHARED) for _ in range(3))
    world.report(gone, get_promise("p", 1))
    world.report(waiting, get_promise("p", 1))
    world.kill(gone)
    world.report(completer, complete_promise("p", Success(b"v"), 1))
    assert world.told(waiting) == [(1, Success(b"v"))]
    assert failed(world.result(gone), 409)


def test_promises_of_other_keys_are_other_promises(world: World) -> None:
    one, other = world.start(FLOW), world.start(FLOW._replace(key="w2"))
    world.report(one, complete_promise("p", Success(b"v"), 1))
    world.report(other, peek_promise("p", 1))
    assert world.told(other) == [(1, VOID)]
