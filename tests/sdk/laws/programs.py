"""Generated programs: trees of steps, waits and asyncio's own ways to combine them.

A node is a tuple, its operation's name first, so that a failing program prints as what it is. Everything is
drawn from one `random.Random`: the same seed and size give the same program.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import TypeAlias

Node: TypeAlias = "tuple[object, ...]"

SIZE_MIN, SIZE_MAX = 1, 14
NAMES = ("a", "b")


@dataclass
class Program:
    """A tree and what the server must know of it.

    Attributes:
        awakeables: at most so many are created.
    """

    root: Node
    awakeables: int = 0


class Generator:
    """Draws one program."""

    def __init__(self, rng: Random) -> None:
        self.rng = rng
        self.nodes = 0
        self.awakeables = 0
        self.times = 1
        """How often what is being drawn may run, loops taken together."""

    def program(self, size: int) -> Program:
        return Program(self.node(size), self.awakeables)

    def node(self, size: int) -> Node:
        if size <= 1:
            return self.leaf()
        rng = self.rng
        size -= 1
        kind = rng.choices(COMBINATIONS, WEIGHTS)[0]
        if kind in ("seq", "gather", "gather_settled", "group"):
            return (kind, *self.several(size))
        if kind == "wait":
            how = rng.choice(("FIRST_COMPLETED", "FIRST_EXCEPTION", "ALL_COMPLETED"))
            timeout = rng.choice((None, None, 1, 3))
            then = rng.choice(("cancel", "await", "leave"))
            return (kind, how, timeout, then, *self.several(size))
        if kind == "drain":
            return (kind, *self.several(size))
        if kind == "as_completed":
            return (kind, rng.randint(1, 3), rng.random() < 0.5, *self.several(size))
        if kind in ("timeout", "wait_for"):
            return (kind, rng.choice((0, 1, 2, 5)), self.node(size))
        if kind == "loop":
            count = rng.randint(2, 3)
            self.times *= count
            body = self.node(min(size, 4))
            self.times //= count
            return (kind, count, body)
        if kind == "background":
            first, second = self.two(size)
            return (kind, rng.choice(("cancel", "await", "leave", "cancel_twice")), first, second)
        if kind in ("attempt", "finally", "swallow", "left_open"):
            first, second = self.two(size)
            return (kind, first, second)
        if kind == "futures":
            return (kind, rng.choice(("wait", "gather", "reverse", "cancel")), *self.futures(size))
        return (kind, self.node(size))

    def several(self, size: int) -> list[Node]:
        count = self.rng.randint(1, min(4, size)) if size > 1 else 1
        sizes = [1] * count
        for _ in range(size - count):
            sizes[self.rng.randrange(count)] += 1
        return [self.node(one) for one in sizes]

    def two(self, size: int) -> tuple[Node, Node]:
        left = self.rng.randint(1, max(1, size - 1))
        return self.node(left), self.node(max(1, size - left))

    def futures(self, size: int) -> list[Node]:
        return [self.leaf(FUTURES) for _ in range(self.rng.randint(1, min(4, size)))]

    def leaf(self, kinds: dict[str, float] | None = None) -> Node:
        rng = self.rng
        kinds = LEAVES if kinds is None else kinds
        kind = rng.choices(list(kinds), list(kinds.values()))[0]
        self.nodes += 1
        number = self.nodes
        if kind in ("run", "run_fails", "call", "send", "call_cancelled", "attach", "put"):
            return (kind, number)
        if kind == "run_flaky":
            return (kind, number, rng.randint(1, 2), rng.random() < 0.5)
        if kind in ("sleep", "ctx_sleep"):
            return (kind, rng.choice((0, 1, 1, 2, 4)))
        if kind == "get":
            return (kind, rng.choice((*NAMES, "kept")))
        if kind in ("set", "clear", "promise", "peek", "resolve", "signal"):
            return (kind, rng.choice(NAMES))
        if kind in ("awakeable", "awakeable_cancelled"):
            self.awakeables += self.times
            return (kind,)
        if kind in ("take", "wait_event"):
            # Waiting for another task for ever is a deadlock: allowed, but not what most programs should be.
            return ("timeout", 1, (kind,)) if rng.random() < 0.7 else (kind,)
        if kind == "yield":
            return (kind, rng.randint(1, 4))
        return (kind,)


COMBINED = {
    "seq": 6.0, "gather": 4, "gather_settled": 2, "group": 4, "wait": 3, "drain": 2, "as_completed": 2,
    "timeout": 3, "wait_for": 2, "loop": 1.5, "background": 3, "attempt": 3, "finally": 3, "swallow": 1,
    "left_open": 0.7, "futures": 3, "shield": 1, "locked": 1,
}  # fmt: skip
COMBINATIONS, WEIGHTS = list(COMBINED), list(COMBINED.values())

LEAVES = {
    "run": 6.0, "run_fails": 1.5, "run_flaky": 0.7, "sleep": 2, "ctx_sleep": 1.5, "call": 4, "send": 1,
    "call_cancelled": 0.5, "attach": 0.5, "get": 1.5, "set": 1, "clear": 0.4, "clear_all": 0.2, "keys": 0.5,
    "awakeable": 1.2, "promise": 1, "peek": 0.5, "resolve": 0.7, "signal": 1, "random": 0.5, "clock": 0.5,
    "put": 1, "take": 0.8, "set_event": 0.6, "wait_event": 0.5, "yield": 1, "raise": 0.6,
}  # fmt: skip

FUTURES = {
    "run": 3.0, "run_fails": 1, "call": 2, "ctx_sleep": 1, "awakeable": 1, "signal": 1, "promise": 1,
    "get": 1,
}  # fmt: skip


def program(seed: int, size: int | None = None) -> Program:
    """The program of a seed; a smaller size gives a simpler one, not the same one cut."""
    rng = Random(seed)
    drawn = rng.randint(SIZE_MIN, SIZE_MAX)
    return Generator(rng).program(drawn if size is None else size)
