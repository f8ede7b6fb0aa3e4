"""Rounds of load and faults, each followed by every check, on one data directory that is never cleaned."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from .clients import Load
from .effects import Notes
from .faults import Faults
from .laws import check_promises
from .power_cut import Disk, PowerFaults
from .world import world

CLIENTS = 6
KILLS_PER_ROUND = 50


@dataclass
class Survived:
    """Counts of one run."""

    kills: int = 0
    stops: int = 0
    rounds: int = 0
    answers: int = 0
    operations: int = 0

    def __str__(self) -> str:
        return (
            f"{self.kills} kills and {self.stops} stops survived in {self.rounds} rounds: "
            f"{self.answers} answers kept, {self.operations} operations linearizable"
        )


def torture(
    seed: int,
    kills: int,
    work_dir: Path,
    seconds_max: float = 1e9,
    say: Callable[[str], None] = print,
    disk: Disk | None = None,
) -> Survived:
    """So many kills, or as many as fit into `seconds_max`, in rounds of `KILLS_PER_ROUND`.

    Args:
        disk: the server's data is there, and instead of kills its power is cut.
    Raises:
        AssertionError: a promise was broken; names it.
        TimeoutError, RuntimeError: something hung, or did not come back.
    """
    over = Survived()
    give_up_at = time.monotonic() + seconds_max
    with world(work_dir, disk.path if disk else None) as built:
        notes = Notes(built.effects.path)
        while over.kills < kills and time.monotonic() < give_up_at:
            chance = random.Random(f"{seed}/{over.rounds}")
            load = Load(built.server, notes, CLIENTS, f"{seed}/{over.rounds}", f"r{over.rounds}")
            faults = Faults(built, chance) if disk is None else PowerFaults(built, chance, disk)
            load.start()
            goal = min(KILLS_PER_ROUND, kills - over.kills)
            while faults.kills < goal and time.monotonic() < give_up_at:
                faults.strike()
            faults.heal()
            book = load.finish()
            check_promises(built.server, book, notes.take())
            over.kills += faults.kills
            over.stops += faults.stops
            over.rounds += 1
            over.answers += book.answers
            over.operations += sum(map(len, book.history.values()))
            say(str(over))
    return over
