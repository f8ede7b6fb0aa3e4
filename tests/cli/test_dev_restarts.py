"""What a row of ends costs, and what is said: nothing at first, longer pauses up to a bound, a way out."""

from __future__ import annotations

import signal
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from holdfast.cli.dev_restarts import PAUSE_MAX_S, STEADY_AFTER_S, Restarts

ADMIN = "http://localhost:9070"


def test_the_first_end_costs_no_pause_and_is_named() -> None:
    for code, how in ((3, "ended with code 3"), (-signal.SIGSEGV, "was ended by SIGSEGV")):
        pause_s, text = Restarts(ADMIN).after(code, 0.1)
        assert pause_s == 0
        assert how in text
        assert text.endswith("starting it again")


def test_an_end_by_a_signal_without_a_name_is_told_too() -> None:
    assert "was ended by signal 50" in Restarts(ADMIN).after(-50, 0.1)[1]


def test_a_row_of_ends_backs_off_up_to_a_bound_and_says_how_to_go_on() -> None:
    restarts = Restarts(ADMIN)
    told = [restarts.after(-11, 0.1) for _ in range(2000)]
    pauses = [pause_s for pause_s, _ in told]
    assert pauses[:4] == [0, 0.5, 1, 2]
    assert all(earlier <= later for earlier, later in pairwise(pauses))
    assert pauses[-1] == PAUSE_MAX_S
    assert "2nd time in a row; starting it again in 0.5 s, or at once when a file changes" in told[1][1]
    assert f"holdfast invocations kill ID --admin {ADMIN}" in told[2][1]
    assert "the 11th time" in told[10][1]
    assert "the 23rd time" in told[22][1]


@given(row=st.integers(1, 40))
def test_a_long_life_or_a_change_begins_anew(row: int) -> None:
    for begin in ("long life", "change"):
        restarts = Restarts(ADMIN)
        for _ in range(row):
            restarts.after(1, 0.1)
        if begin == "change":
            restarts.forget()
        assert restarts.after(1, STEADY_AFTER_S if begin == "long life" else 0.1)[0] == 0
        assert restarts.after(1, 0.1)[0] == 0.5
