"""What the tools of an agent under proof really did: two lines for each run, in a file the proof reads.

A tool calls `ran` in its body. The `end` line is written, and the tool returns, without anything in between,
so it counts as run when the line is there.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from pathlib import Path

FILE = "PROOF_EFFECTS"
DELAYS = "PROOF_DELAYS"
"""A file: seconds up to which tools take a random time in place of what they ask for, or nothing."""

LIFE_S_MAX = 3600.0

dying = False
"""Set while the process is about to be killed: from then on nothing has an effect."""


async def ran(label: str, delay_s: float = 0.05) -> None:
    """This tool runs: it begins, takes its time, and has its effect."""
    _write("begin", label)
    await asyncio.sleep(_delay_s(delay_s))
    if dying:
        await asyncio.sleep(LIFE_S_MAX)
    _write("end", label)


def _delay_s(wanted_s: float) -> float:
    most = Path(os.environ[DELAYS]).read_text(encoding="utf-8")
    return random.uniform(0, float(most)) if most else wanted_s


def _write(word: str, label: str) -> None:
    line = f"{word}\t{label}\t{time.time_ns()}\n"
    with Path(os.environ[FILE]).open("a", encoding="utf-8") as file:
        file.write(line)
