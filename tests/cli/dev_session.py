"""`holdfast dev` as somebody at a terminal has it: started in a folder, read, interrupted."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from harness import free_port, wait_until

HOLDFAST = str(Path(sys.executable).parent / "holdfast")
DEADLINE_S = 60.0


class DevSession:
    """One run of the command. Ports stay the same when it is started again."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.folder = folder
        self.choose_ports()
        self._arguments = arguments
        self._process: subprocess.Popen[str] | None = None
        self.lines: list[str] = []

    def choose_ports(self) -> None:
        """Other ones, for the next start."""
        self.ingress, self.admin, self.service = free_port(), free_port(), free_port()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait(DEADLINE_S)
        if error is not None:
            error.add_note("\n".join(self.lines[-40:]))

    def start(self) -> None:
        self.lines.clear()
        ports: Sequence[str] = (
            *("--port", str(self.ingress)),
            *("--admin-port", str(self.admin)),
            *("--service-port", str(self.service)),
        )
        self._process = subprocess.Popen(
            [HOLDFAST, "dev", *self._arguments, *ports],
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            start_new_session=True,
        )
        threading.Thread(target=self._read, args=[self._process], daemon=True).start()

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            self.lines.append(line.rstrip("\n"))

    @property
    def said(self) -> str:
        return "\n".join(self.lines)

    @property
    def service_pids(self) -> list[int]:
        """Of the service's processes as they were told, oldest first."""
        return [int(pid) for pid in re.findall(r"in process (\d+)", self.said)]

    def until_said(self, words: str, times: int = 1) -> None:
        wait_until(lambda: self.said.count(words) >= times or None, f"{words!r} to be said", DEADLINE_S)

    def until_ready(self) -> None:
        self.until_said("ctrl-C stops everything")

    def curl(self, line: str) -> str:
        """What a line of the terminal prints."""
        assert line.startswith("curl "), line
        quiet = line.replace("curl ", "curl -sS --fail-with-body -m 50 ", 1)
        done = subprocess.run(
            ["sh", "-c", quiet], capture_output=True, text=True, timeout=DEADLINE_S, check=False
        )
        assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
        return done.stdout

    def interrupt(self) -> int:
        """Ctrl-C; the exit code."""
        return self._end(signal.SIGINT)

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def _end(self, number: signal.Signals) -> int:
        assert self._process is not None
        os.killpg(self._process.pid, number)
        return self._process.wait(DEADLINE_S)
