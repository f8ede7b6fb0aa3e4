"""One operating system process, its log file and its end.

The hard part is never leaving one behind: every process is started in a session of its own, remembered
in a table, and whatever is still in the table when the interpreter exits is killed by id. SIGTERM is made
an interrupt for that, since Python would otherwise end without running anything.
"""

import atexit
import contextlib
import os
import random
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

POLL_INTERVAL_S = 0.02
STOP_DEADLINE_S = 10.0
LOG_TAIL_BYTES = 6000
PORT_RANGE = (15000, 32000)
PORT_PROBES_MAX = 100

_port_source = random.SystemRandom()

_running: dict[int, "Process"] = {}


def free_port() -> int:
    """A TCP port that was free on every interface a moment ago.

    Taken from below the range the kernel hands to outgoing connections: any of those could take the port
    between this probe and the server's own bind.
    """
    for _ in range(PORT_PROBES_MAX):
        port = _port_source.randint(*PORT_RANGE)
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            with contextlib.suppress(OSError):
                probe.bind(("::", port))
                return port
    raise RuntimeError(f"no free port in {PORT_RANGE} after {PORT_PROBES_MAX} probes")


def wait_until(
    condition: Callable[[], T | None],
    what: str,
    deadline_s: float = 15.0,
    interval_s: float = POLL_INTERVAL_S,
) -> T:
    """The first truthy value of `condition`, asked every `interval_s`.

    Raises:
        TimeoutError: nothing truthy within `deadline_s`; the message says `what` was awaited.
    """
    give_up_at = time.monotonic() + deadline_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > give_up_at:
            raise TimeoutError(f"{what}: not within {deadline_s:.0f} s (last answer: {value!r})")
        time.sleep(interval_s)


class Process:
    """A child process whose output goes to `log_path`.

    Args:
        name: for messages and for the log.
        command: program and arguments.
        log_path: appended to, so that a restart keeps the story.
        env: added to this process's environment.
    """

    def __init__(self, name: str, command: Sequence[str], log_path: Path, env: Mapping[str, str]) -> None:
        self.name = name
        self.log_path = log_path
        self.command = tuple(command)
        self._env = {**os.environ, **env}
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        if self._child is None:
            raise RuntimeError(f"{self.name} is not running; start it first")
        return self._child.pid

    @property
    def alive(self) -> bool:
        return self._child is not None and self._child.poll() is None

    def start(self) -> None:
        _exit_on_sigterm()
        with self.log_path.open("ab") as log:
            self._child = subprocess.Popen(
                self.command,
                env=self._env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        _running[self._child.pid] = self

    def wait_healthy(self, healthy: Callable[[], bool], deadline_s: float = 30.0) -> None:
        """Return once `healthy` says so.

        Raises:
            RuntimeError: the process ended first, or the deadline passed; carries the end of its log.
        """

        def probe() -> bool:
            if not self.alive:
                raise RuntimeError(f"{self.name} ended before it was healthy\n{self.log_tail()}")
            return healthy()

        try:
            wait_until(probe, f"{self.name} healthy", deadline_s)
        except TimeoutError as error:
            raise RuntimeError(f"{error}\n{self.log_tail()}") from error

    def stop(self) -> None:
        """End it as an operator would: SIGTERM, and SIGKILL when it takes too long."""
        self._end(signal.SIGTERM)

    def kill9(self) -> None:
        """End it as a power cut would, as far as one process can tell."""
        self._end(signal.SIGKILL)

    def log_tail(self) -> str:
        if not self.log_path.exists():
            return "(no log)"
        return self.log_path.read_bytes()[-LOG_TAIL_BYTES:].decode(errors="replace")

    def _end(self, how: signal.Signals) -> None:
        child, self._child = self._child, None
        if child is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(child.pid, how)
        try:
            child.wait(STOP_DEADLINE_S)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait(STOP_DEADLINE_S)
        # What it started itself shares its session; none of it may outlive it.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, signal.SIGKILL)
        _running.pop(child.pid, None)


def _exit_on_sigterm() -> None:
    """Let SIGTERM unwind; a handler somebody else installed stays.

    As KeyboardInterrupt, because a test runner takes SystemExit for one more failed test.
    """
    in_main = threading.current_thread() is threading.main_thread()
    if in_main and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, signal.default_int_handler)


def _end_all() -> None:
    for process in list(_running.values()):
        process.kill9()


atexit.register(_end_all)
