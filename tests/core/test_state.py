"""State of objects: written by commands, read lazily, shared by handlers of a key."""

from __future__ import annotations

from core.harness import (
    COUNTER,
    COUNTER_SHARED,
    World,
    clear_all_state,
    clear_state,
    get_lazy,
    get_lazy_keys,
    set_state,
)

from holdfast.core.model import VOID, StateKeys, Success


def test_a_handler_reads_what_it_wrote(world: World) -> None:
    id_ = world.start(COUNTER)
    world.report(id_, get_lazy(b"n", 1), set_state(b"n", b"1"), get_lazy(b"n", 2))
    assert world.told(id_) == [(1, VOID), (2, Success(b"1"))]
    world.report(id_, set_state(b"n", b""), get_lazy(b"n", 3), clear_state(b"n"), get_lazy(b"n", 4))
    assert world.told(id_) == [(3, Success(b"")), (4, VOID)]


def test_keys_come_sorted_and_clearing_all_leaves_none(world: World) -> None:
    id_ = world.start(COUNTER)
    world.report(id_, *(set_state(key, b"v") for key in (b"b", b"\xff", b"a")), get_lazy_keys(1))
    assert world.told(id_) == [(1, StateKeys((b"a", b"b", b"\xff")))]
    world.report(id_, clear_all_state(), get_lazy_keys(2))
    assert world.told(id_) == [(2, StateKeys(()))]
    assert world.count("state") == 0


def test_state_outlives_the_invocation_and_is_shared_within_its_key_only(world: World) -> None:
    id_ = world.start(COUNTER)
    world.report(id_, set_state(b"n", b"1"))
    world.finish(id_)
    reader, other = world.start(COUNTER_SHARED), world.start(COUNTER._replace(key="other"))
    world.report(reader, get_lazy(b"n", 1))
    assert world.told(reader) == [(1, Success(b"1"))]
    world.report(other, get_lazy(b"n", 1))
    assert world.told(other) == [(1, VOID)]


def test_state_of_a_killed_attempt_stays_as_it_was_stored(world: World) -> None:
    id_ = world.start(COUNTER)
    world.report(id_, set_state(b"n", b"1"))
    world.kill(id_)
    assert world.state(COUNTER) == {b"n": b"1"}
