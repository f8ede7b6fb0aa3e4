"""Whether a history of concurrent operations on one object could have happened one at a time.

The question of Herlihy and Wing, answered by the search of Wing and Gong with Lowe's memory: of all pending
operations one that began before every other answer came is taken as the next, tried on a model, and taken
back if nothing follows. What has been taken, together with the model's state, is remembered, so nothing is
tried twice. Keys do not share anything, so a history is checked key by key.

An operation without an answer may have happened at any time after its call, or never.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import TypeVar

State = TypeVar("State", bound=Hashable)
UNKNOWN = object()
"""The answer of an operation that was never answered."""


@dataclass(frozen=True)
class Operation:
    """One call of a client; times from one monotonic clock, `answered_at` infinite when it never was."""

    name: str
    argument: object
    answer: object
    called_at: float
    answered_at: float = math.inf


Model = Callable[[State, Operation], tuple[object, State]]
"""What an operation answers on a state, and the state after it."""


def register(state: int, operation: Operation) -> tuple[object, int]:
    """A register of one integer: read, write, and swap (expected, new) that answers whether it was done."""
    match operation.name, operation.argument:
        case "read", _:
            return state, state
        case "write", int(value):
            return value, value
        case "swap", (int(expected), int(new)):
            return (True, new) if state == expected else (False, state)
        case other:
            raise ValueError(f"a register has read, write and swap, not {other}")


def is_linearizable(history: Sequence[Operation], model: Model[State], initial: State) -> bool:
    """Whether some order of the operations explains every answer and contradicts no clock.

    Args:
        history: of one key, in any order.
    """
    operations = sorted(history, key=lambda operation: operation.called_at)
    answered = sum(1 << n for n, one in enumerate(operations) if one.answer is not UNKNOWN)
    seen: set[tuple[int, State]] = set()
    stack: list[tuple[int, State]] = [(0, initial)]
    while stack:
        taken, state = stack.pop()
        if taken & answered == answered:
            return True
        if (taken, state) in seen:
            continue
        seen.add((taken, state))
        for index in _candidates(operations, taken):
            answer, after = model(state, operations[index])
            if operations[index].answer is UNKNOWN or answer == operations[index].answer:
                stack.append((taken | 1 << index, after))
    return False


def _candidates(operations: Sequence[Operation], taken: int) -> list[int]:
    """Those not taken that were called before any other one not taken was answered."""
    found: list[int] = []
    deadline = math.inf
    first = (~taken & taken + 1).bit_length() - 1
    for index in range(first, len(operations)):
        if taken >> index & 1:
            continue
        one = operations[index]
        if one.called_at > deadline:
            break
        found.append(index)
        deadline = min(deadline, one.answered_at)
    return found
