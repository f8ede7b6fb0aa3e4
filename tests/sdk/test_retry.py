"""A step's retry policy: delays grow up to a bound, and end when attempts or time are used up."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast import Retry


def test_delays_double_up_to_the_bound() -> None:
    retry = Retry(initial_interval=0.1, max_interval=timedelta(seconds=1), factor=2)
    assert [retry.next_delay_ms(n, 0) for n in range(1, 7)] == [100, 200, 400, 800, 1000, 1000]


def test_attempts_are_counted_with_the_first() -> None:
    retry = Retry(max_attempts=3)
    assert [retry.next_delay_ms(n, 0) is None for n in (1, 2, 3, 4)] == [False, False, True, True]


def test_time_is_counted_from_the_first_attempt() -> None:
    retry = Retry(max_duration=timedelta(seconds=2))
    assert retry.next_delay_ms(1, 1_999) is not None
    assert retry.next_delay_ms(1, 2_000) is None


def test_no_delay_and_no_growth() -> None:
    assert Retry(initial_interval=0).next_delay_ms(50, 0) == 0
    assert Retry(initial_interval=1, factor=1).next_delay_ms(10**9, 0) == 1000


@given(st.floats(1, 1e6), st.integers(1, 10_000), st.integers(0, 10_000), st.integers(1, 10**9))
def test_delays_stay_within_their_bounds(factor: float, initial: int, more: int, failed: int) -> None:
    """Goal: no attempt count overflows; the delay never leaves [initial, max] and never shrinks."""
    retry = Retry(initial_interval=initial / 1000, max_interval=(initial + more) / 1000, factor=factor)
    delay, following = retry.next_delay_ms(failed, 0), retry.next_delay_ms(failed + 1, 0)
    assert delay is not None
    assert following is not None
    assert initial <= delay <= following <= initial + more


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"max_attempts": 0}, ValueError),
        ({"max_attempts": True}, TypeError),
        ({"factor": 0.9}, ValueError),
        ({"factor": "2"}, TypeError),
        ({"initial_interval": -1}, ValueError),
        ({"initial_interval": 20}, ValueError),
        ({"max_interval": float("inf")}, ValueError),
        ({"max_duration": "1h"}, TypeError),
    ],
)
def test_values_outside_are_refused(wrong: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error, match=next(iter(wrong))):
        Retry(**wrong)
