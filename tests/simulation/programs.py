"""What handlers are asked to do: trees of operations, drawn by chance, sent along as the invocation's input.

A handler reads its program from its input, so that every attempt at it, and every replay, does the same.

Deadlocks of the programs' own making would look like an engine that never ends, so blocking follows ranks: a
program of rank r waits only for what has a higher rank. Workflow runs come first, then objects by number;
what holds no lock takes the rank of its caller.
"""

from __future__ import annotations

from random import Random
from typing import Any, NamedTuple

Op = list[Any]
Program = list[Op]

WORKFLOWS = ("w0", "w1")
OBJECTS = ("o0", "o1", "o2")
LAZY_OBJECTS = ("l0",)
NO_LOCKS = 100
FREE = -1
PROMISES = ("p", "q")
STATE_KEYS = ("a", "b", "c")
SIGNALS = ("go", "stop")
IDEMPOTENCY_KEYS = ("i0", "i1")


class Aim(NamedTuple):
    """Whom to call: `rank` is that of the program the callee gets, and of waiting for it."""

    service: str
    handler: str
    key: str | None
    rank: int


WORKFLOW_AIMS = [Aim("W", "run", key, rank) for rank, key in enumerate(WORKFLOWS)]
ASK_AIMS = [Aim("W", "ask", key, NO_LOCKS) for key in WORKFLOWS]
OBJECT_AIMS = [Aim("O", "ex", key, 10 + n) for n, key in enumerate(OBJECTS)] + [
    Aim("L", "ex", key, 20 + n) for n, key in enumerate(LAZY_OBJECTS)
]
SHARED_AIMS = [Aim("O", "sh", key, NO_LOCKS) for key in OBJECTS]


def services(rank: int) -> list[Aim]:
    return [Aim("S", "plain", None, rank), Aim("Z", "plain", None, rank), Aim("R", "plain", None, rank)]


class Drawer:
    """Draws programs."""

    def __init__(self, chance: Random) -> None:
        self.chance = chance
        self._values = 0

    def value(self) -> str:
        """A text that no other operation carries."""
        self._values += 1
        return f"v{self._values}"

    def program(self, aim: Aim, depth: int = 0) -> Program:
        longest = (7, 4, 2)[min(depth, 2)]
        return [self.op(aim, depth) for _ in range(self.chance.randint(0, longest))]

    def op(self, aim: Aim, depth: int) -> Op:
        chance = self.chance
        kinds = list(_PLAIN)
        if aim.service in ("O", "L", "W"):
            kinds += ["get", "get", "keys"]
            if aim.handler in ("ex", "run"):
                kinds += ["set", "set", "set", "clear", "clear_all"]
        if aim.service == "W":
            kinds += ["promise", "promise", "promise", "peek", "complete"]
        if aim.rank < NO_LOCKS or depth < 2:
            kinds += ["call", "call", "call", "send", "send", "par"]
        kind = chance.choice(kinds)
        match kind:
            case "run":
                return ["run", chance.choice((0, 0, 0, 0, 1, 2)), chance.random() < 0.1]
            case "sleep":
                return ["sleep", chance.choice((0, 1, 50, 700, 4_000))]
            case "call":
                return self.call(aim.rank, depth)
            case "send":
                return self.send(aim.rank, depth)
            case "get" | "clear":
                return [kind, chance.choice(STATE_KEYS)]
            case "set":
                return ["set", chance.choice(STATE_KEYS), self.value()]
            case "promise" | "peek":
                return [kind, chance.choice(PROMISES)]
            case "complete":
                return ["complete", chance.choice(PROMISES), self.value(), chance.random() < 0.2]
            case "signal":
                return ["signal", chance.choice(SIGNALS)]
            case "attach_idempotent":
                return [kind, chance.choice(IDEMPOTENCY_KEYS), aim.rank < NO_LOCKS and chance.random() < 0.5]
            case "attach_workflow":
                free = [a for a in WORKFLOW_AIMS if a.rank > aim.rank]
                return [kind, chance.choice(free).key, chance.random() < 0.5] if free else ["sleep", 5]
            case "par":
                parts = [self.part(aim.rank, depth) for _ in range(chance.randint(1, 4))]
                return ["par", chance.choice(("first", "all", "first_succeeded", "all_succeeded")), parts]
            case "dies":
                return ["dies", chance.randint(1, 2)]
            case "fail":
                return ["fail", chance.choice((400, 500))]
            case _:
                return [kind]

    def part(self, rank: int, depth: int) -> Op:
        kind = self.chance.choice(("run", "run", "sleep", "call", "awakeable"))
        if kind == "call":
            return self.call(rank, depth)
        if kind == "run":
            return ["run", 0, self.chance.random() < 0.2]
        return ["awakeable"] if kind == "awakeable" else ["sleep", self.chance.choice((0, 30, 900))]

    def call(self, rank: int, depth: int) -> Op:
        chance = self.chance
        aim = chance.choice([a for a in OBJECT_AIMS if a.rank > rank] + services(rank) + SHARED_AIMS)
        key = None
        if aim.service in ("S", "Z") and rank < NO_LOCKS and chance.random() < 0.3:
            key, aim = chance.choice(IDEMPOTENCY_KEYS), Aim("S", "plain", None, NO_LOCKS)
        then = chance.choice(("await", "await", "await", "leave", "cancel"))
        return ["call", *aim[:3], key, self.program(aim, depth + 1), then]

    def send(self, rank: int, depth: int) -> Op:
        chance = self.chance
        aim = chance.choice([*OBJECT_AIMS, *WORKFLOW_AIMS, *services(FREE)])
        delay = chance.choice((0, 0, 0, 40, 2_500))
        then = chance.choice(("", "", "output", "cancel", "attach" if aim.rank > rank else ""))
        return ["send", *aim[:3], delay, self.program(aim, depth + 1), then]


_PLAIN = (
    ("run",) * 5 + ("sleep",) * 3
    + ("awakeable", "awakeable", "signal", "poke", "poke", "attach_idempotent", "attach_workflow")
    + ("dies", "fail")
)  # fmt: skip
