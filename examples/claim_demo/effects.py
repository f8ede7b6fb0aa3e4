"""The effects log: one line for everything the agent's code really did.

A journal says what the server remembers; this file says what the processes executed, written by the code
itself at the moment it happened. The demo compares the two. A line is a JSON object:

    time_s      epoch seconds
    pid         the program that wrote it: the leader of its session, which is the process the demo started
                (a server with workers runs the agent in a child of that process)
    invocation  invocation id
    event       "attempt"   the handler was entered, from its first line
                "started"   a step's body began to run
                "finished"  a step's body returned
                "replayed"  the handler got the step's result from the journal; the body did not run
    step        the step's name, unique within the invocation; empty for "attempt"
    journal     the name under which the step is in the journal

One `write` of less than a page to a file opened for appending is atomic, so lines of two processes never
mix, and what was written before a kill -9 is in the file after it.
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

Event = Literal["attempt", "started", "finished", "replayed"]


@dataclass(frozen=True)
class Effect:
    """One line of the log; the fields are explained in the module's text."""

    time_s: float
    pid: int
    invocation: str
    event: Event
    step: str
    journal: str


class EffectLog:
    """Appends to the log, and reads it back."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, invocation: str, event: Event, step: str = "", journal: str = "") -> None:
        """Write one line; when this returns, a kill -9 cannot take it back."""
        effect = Effect(time.time(), os.getsid(0), invocation, event, step, journal or step)
        descriptor = os.open(self.path, os.O_APPEND | os.O_CREAT | os.O_WRONLY, 0o644)
        try:
            os.write(descriptor, (json.dumps(asdict(effect)) + "\n").encode())
        finally:
            os.close(descriptor)

    def read(self) -> list[Effect]:
        """All lines so far, oldest first."""
        if not self.path.exists():
            return []
        return [Effect(**json.loads(line)) for line in self.path.read_text(encoding="utf-8").splitlines()]
