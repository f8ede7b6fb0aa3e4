"""Child processes that can be killed and started again, and that never outlive the demo.

Every child leads a process group of its own, so that a kill reaches whatever it started, and ctrl-C in the
terminal reaches only the demo, which then ends its children itself. Their output goes to files in the working
folder.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from examples.claim_demo.server_view import DemoError, until

LOG_TAIL_LINES = 15
STOP_TIMEOUT_S = 10


def free_port() -> int:
    """A port on loopback that nobody listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def listens(port: int) -> bool:
    """Whether somebody does, on loopback."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@dataclass
class Child:
    """One program of the demo.

    Attributes:
        pids: one entry per start, the newest last.
        orphan_port: where a process listens that it starts outside of its group, and that has to end by
            itself when this one is gone; 0: there is none.
    """

    name: str
    command: Sequence[str]
    folder: Path
    environment: Mapping[str, str]
    log: Path
    orphan_port: int = 0
    pids: list[int] = field(default_factory=list[int])
    _process: subprocess.Popen[bytes] | None = None

    def start(self) -> int:
        """Start it, or start it again with the same command. Returns the pid."""
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                self.command,
                cwd=self.folder,
                env={**os.environ, **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.pids.append(self._process.pid)
        return self._process.pid

    def alive(self) -> bool:
        """Whether the newest start is still running."""
        return self._process is not None and self._process.poll() is None

    def check_alive(self) -> None:
        """Raises DemoError when the newest start has ended."""
        if not self.alive():
            raise DemoError(f"{self.name} ended by itself; its last lines are below")

    def kill(self) -> None:
        """kill -9, the whole group; returns when it is gone. Nothing happens if it is gone already.

        Raises:
            DemoError: what it left behind does not end.
        """
        self.strike()
        if self._process is not None:
            self._process.wait(STOP_TIMEOUT_S)
        if self._process is not None and self.orphan_port:
            until(f"what {self.name} left behind to end", lambda: not listens(self.orphan_port) or None)

    def strike(self) -> None:
        """kill -9, the whole group, without waiting for the end."""
        if self.alive() and self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def output(self) -> str:
        """Everything it wrote, in all its lives."""
        return self.log.read_text(encoding="utf-8", errors="replace") if self.log.exists() else ""

    def tail(self) -> str:
        """The last lines it wrote."""
        return "\n".join(self.output().splitlines()[-LOG_TAIL_LINES:])


class Children:
    """The programs of one run; leaving the `with` block ends all of them, however it is left."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._children: list[Child] = []

    def __enter__(self) -> Children:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # SIGKILL rather than a polite stop: it is quick, it is sure, and surviving it is what this is about.
        # All of them first, then the waiting, so that an impatient second ctrl-C leaves nobody alive.
        for child in self._children:
            child.strike()
        for child in self._children:
            child.kill()

    def add(self, name: str, command: Sequence[str], folder: Path, **environment: str) -> Child:
        """A program that will run in `folder` with these additions to the environment; not started yet."""
        scratch = {"TMPDIR": str(self.folder)}  # so that what it leaves there goes away with the rest
        child = Child(
            name, command, folder, scratch | environment, self.folder / f"{name.replace(' ', '-')}.log"
        )
        self._children.append(child)
        return child

    def tails(self) -> str:
        """The last lines of every program, for a report about what went wrong."""
        return "\n".join(f"--- {child.name} ---\n{child.tail()}" for child in self._children)
