"""The checker itself: it accepts what a single thread of control did, and finds what was planted."""

import math
import random

from hypothesis import given
from hypothesis import strategies as st

from .linearizability import UNKNOWN, Operation, is_linearizable, register


def check(*operations: Operation) -> bool:
    return is_linearizable(operations, register, 0)


def write(value: int, called: float, answered: float) -> Operation:
    return Operation("write", value, value, called, answered)


def read(value: int, called: float, answered: float) -> Operation:
    return Operation("read", None, value, called, answered)


def test_a_read_may_see_a_write_that_overlaps_it_or_not() -> None:
    assert check(write(1, 0, 10), read(0, 1, 2), read(1, 3, 4))


def test_a_stale_read_is_found() -> None:
    assert not check(write(1, 0, 1), read(0, 2, 3))


def test_going_back_in_time_is_found() -> None:
    assert not check(write(1, 0, 10), read(1, 1, 2), read(0, 3, 4))


def test_a_lost_update_is_found() -> None:
    swap = Operation("swap", (0, 1), True, 0, 5)
    other = Operation("swap", (0, 2), True, 1, 6)
    assert not check(swap, other)
    assert check(swap, Operation("swap", (0, 2), False, 1, 6))


def test_what_was_never_answered_may_have_happened_late_or_never() -> None:
    lost = Operation("write", 7, UNKNOWN, 0, math.inf)
    assert check(lost, read(0, 1, 2), read(7, 3, 4))
    assert check(lost, read(0, 1, 2))
    assert not check(lost, read(7, 1, 2), read(0, 3, 4))


def one_at_a_time(chance: random.Random, count: int, clients: int) -> list[Operation]:
    """A history that happened at one instant per operation, seen by clients as intervals around it."""
    state, free_at = 0, [0.0] * clients
    history = []
    for moment in range(1, count + 1):
        client = chance.randrange(clients)
        name = chance.choice(("read", "write", "swap"))
        argument: object = None
        if name == "write":
            argument = chance.randrange(4)
        elif name == "swap":
            argument = (chance.randrange(4), chance.randrange(4))
        called = chance.uniform(free_at[client], moment)
        answered = moment + chance.uniform(0, 3)
        answer, state = register(state, Operation(name, argument, None, 0))
        history.append(Operation(name, argument, answer, called, answered))
        free_at[client] = moment
    return history


@given(st.integers(0, 10**6), st.integers(1, 60), st.integers(1, 8))
def test_every_history_of_a_real_register_is_accepted(seed: int, count: int, clients: int) -> None:
    assert is_linearizable(one_at_a_time(random.Random(seed), count, clients), register, 0)


@given(st.integers(0, 10**6), st.integers(1, 40))
def test_an_answer_that_no_order_explains_is_found(seed: int, count: int) -> None:
    """A read of a value that nobody ever wrote, planted anywhere."""
    chance = random.Random(seed)
    history = one_at_a_time(chance, count, 4)
    at = chance.uniform(0, count)
    assert not is_linearizable([*history, read(99, at, at + 1)], register, 0)
