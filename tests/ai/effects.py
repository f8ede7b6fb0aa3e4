"""What the tools of an agent under proof really did: two lines for each run, in a file the proof reads.

A tool calls `ran` in its body. The `end` line is written, and the tool returns, without anything in between,
so it counts as run when the line is there. A tool that should run beside others waits for their beginning: in
one that had to wait for their end, it would be the last to begin.
"""

from __future__ import annotations

import asyncio
import os
import random
import threading
import time
from collections.abc import Callable, Collection
from pathlib import Path

FILE = "PROOF_EFFECTS"
DELAYS = "PROOF_DELAYS"
"""A file: seconds up to which tools take a random time in place of what they ask for, or nothing."""

PAUSE_S = 0.05
"""What a tool takes at least, so that the command of its step has left before it has its effect."""

BESIDE_S_MAX = 5.0
"""How long a tool waits for those that should run beside it, before it goes on without them."""

POLL_S = 0.005

dying = False
"""Set while the process is about to be killed: from then on nothing has an effect."""

_lock = threading.Lock()
_on_its_way = False
"""Whether a tool had its effect and its result has not been sent: no other has its own until then, so that
one of them can be killed without the other."""


async def ran(label: str, beside: Collection[str] = ()) -> None:
    """This tool runs: it begins, takes its time, and has its effect.

    Args:
        beside: labels of tools that were asked for at the same time.
    """
    _write("begin", label)
    most_s = _random_delay_s_max()
    if most_s is not None:
        await asyncio.sleep(random.uniform(0, most_s))
    else:
        give_up_at = time.monotonic() + BESIDE_S_MAX
        await _until(lambda: _begun() >= set(beside) or time.monotonic() > give_up_at)
        await asyncio.sleep(PAUSE_S)
        await _until(_has_turn)
    _write("end", label)


async def _until(condition: Callable[[], bool]) -> None:
    # Asked again and again, since tools run on several loops, and in several lives.
    while not condition():  # noqa: ASYNC110
        await asyncio.sleep(POLL_S)


def result_sent() -> None:
    """The next tool may have its effect."""
    global _on_its_way
    _on_its_way = False


def _has_turn() -> bool:
    global _on_its_way
    with _lock:
        if dying or _on_its_way:
            return False
        _on_its_way = True
        return True


def _random_delay_s_max() -> float | None:
    said = Path(os.environ[DELAYS]).read_text(encoding="utf-8")
    return float(said) if said else None


def _begun() -> set[str]:
    lines = (line.split("\t") for line in Path(os.environ[FILE]).read_text(encoding="utf-8").splitlines())
    return {label for word, label, _ in lines if word == "begin"}


def _write(word: str, label: str) -> None:
    line = f"{word}\t{label}\t{time.time_ns()}\n"
    with Path(os.environ[FILE]).open("a", encoding="utf-8") as file:
        file.write(line)
