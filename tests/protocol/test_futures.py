"""Await trees: as deep as agreed and no deeper, without recursion, without quadratic copying."""

import pytest
from hypothesis import given

from holdfast.protocol.errors import AwaitTreeTooDeep, FrameTooLarge, MalformedMessage
from holdfast.protocol.futures import FUTURE_DEPTH_MAX, CombinatorType, Future
from holdfast.protocol.wire import put_chunk
from protocol.strategies import futures


def tower(levels: int) -> Future:
    """One completion under a stack of nodes, `levels` in all."""
    future = Future((1,))
    for _ in range(levels - 1):
        future = Future(nested_futures=(future,), combinator_type=CombinatorType.ALL_COMPLETED)
    return future


def depth_of(future: Future) -> int:
    depth = 1
    while future.nested_futures:
        (future,) = future.nested_futures
        depth += 1
    return depth


@given(futures)
def test_any_tree_survives(future: Future) -> None:
    assert Future.decode(future.encode()) == future


def test_the_deepest_tree_is_read_and_written() -> None:
    body = tower(FUTURE_DEPTH_MAX).encode()
    decoded = Future.decode(body)
    assert depth_of(decoded) == FUTURE_DEPTH_MAX
    assert decoded.encode() == body


def test_one_level_more_is_refused_on_both_sides() -> None:
    with pytest.raises(AwaitTreeTooDeep) as refusal:
        tower(FUTURE_DEPTH_MAX + 1).encode()
    assert refusal.value.code == "RT0025"
    body = put_chunk(4, tower(FUTURE_DEPTH_MAX).encode())
    with pytest.raises(AwaitTreeTooDeep, match="deeper than 1000 levels"):
        Future.decode(body)


def test_a_very_deep_tree_is_refused_early() -> None:
    body = b""
    for _ in range(20_000):
        body = put_chunk(4, body)
    with pytest.raises(AwaitTreeTooDeep):
        Future.decode(body)


def test_a_child_cannot_reach_past_its_parent() -> None:
    with pytest.raises(MalformedMessage, match="announces 9 bytes, but only 1 are left"):
        Future.decode(b"\x22\x03\x22\x09\x00" + bytes(20))


def test_a_wide_tree_has_a_bound_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("holdfast.protocol.futures.FIELDS_MAX", 50)
    with pytest.raises(FrameTooLarge, match="more than 50 parts"):
        Future.decode(b"\x22\x00" * 51)


def test_an_unfamiliar_combinator_wakes_early() -> None:
    assert Future.decode(b"\x28\x09").combinator_type is CombinatorType.UNKNOWN
    assert Future.decode(b"\x0a\x01\x01\x12\x01\x01\x28\x09").combinator_type is CombinatorType.UNKNOWN


def test_waiting_for_nothing_is_noticed_at_any_depth() -> None:
    assert Future(nested_futures=(Future(), Future(nested_futures=(Future(),)))).is_leafless()
    assert not tower(FUTURE_DEPTH_MAX).is_leafless()
    assert not Future(waiting_named_signals=("",)).is_leafless()
