"""Several workers: fresh processes that accept from one listening socket.

One socket, bound before any worker starts: a port that is taken is noticed at once, a worker that ends takes
no connection with it that it has not accepted, and whoever is idle accepts the next one. Workers are spawned,
not forked, because threads and connections that a module makes when it is imported do not survive a fork.
"""

from __future__ import annotations

import logging
import logging.config
import multiprocessing
import os
import signal
import socket
import time
from collections.abc import Callable
from multiprocessing.connection import wait
from multiprocessing.context import SpawnProcess
from typing import Any, Final

from holdfast.sdk.endpoint.app import App
from holdfast.serving.site import ServingLimits
from holdfast.serving.worker import run_worker

SETTLED_S: Final = 5.0
"""A worker that ends sooner would end again: nothing is gained by another one."""
KILL_AFTER_S: Final = 5.0
"""Behind the grace."""

log = logging.getLogger("holdfast.serving")

Load = Callable[[str], App]
"""Gives the app of a target, in the process that runs it; a function of a module."""


def run_processes(
    target: str,
    load: Load,
    listening: socket.socket,
    limits: ServingLimits,
    *,
    workers: int,
    grace_s: float,
    logging_config: dict[str, Any],
) -> bool:
    """Run until SIGTERM or SIGINT; workers that end by themselves are replaced.

    Returns:
        False when a worker ended by itself soon after it was started.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = os.pipe()
    told: list[int] = []

    def tell(number: int, _: object) -> None:
        told.append(number)
        os.write(theirs, b"\0")

    before = {number: signal.signal(number, tell) for number in (signal.SIGTERM, signal.SIGINT)}
    running: dict[int, tuple[SpawnProcess, float]] = {}

    def start() -> None:
        process = context.Process(
            target=_worker, args=(target, load, listening, limits, grace_s, logging_config), name="worker"
        )
        process.start()
        running[process.sentinel] = process, time.monotonic()

    try:
        for _ in range(workers):
            start()
        while not told:
            for ready in wait([ours, *running]):
                if isinstance(ready, int) and ready in running:
                    process, started_s = running.pop(ready)
                    process.join()
                    if told:
                        break
                    log.error("a worker ended by itself, with code %s", process.exitcode)
                    if time.monotonic() - started_s < SETTLED_S:
                        return False
                    start()
        return True
    finally:
        _end([process for process, _ in running.values()], told, grace_s)
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(ours)
        os.close(theirs)


def _end(processes: list[SpawnProcess], told: list[int], grace_s: float) -> None:
    """Tell the workers once, and once more when we are told again; then kill what is left."""
    for process in processes:
        process.terminate()
    passed_on, deadline_s = len(told), time.monotonic() + grace_s + KILL_AFTER_S
    left = processes
    while left and time.monotonic() < deadline_s:
        if len(told) > max(passed_on, 1):
            passed_on = len(told)
            for process in left:
                process.terminate()
        left[0].join(0.1)
        left = [process for process in left if process.is_alive()]
    for process in left:
        process.kill()
        process.join()


def _worker(
    target: str,
    load: Load,
    listening: socket.socket,
    limits: ServingLimits,
    grace_s: float,
    logging_config: dict[str, Any],
) -> None:
    # Ctrl-C reaches every process of a terminal; the parent passes on what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    logging.config.dictConfig(logging_config)
    run_worker(load(target), listening, limits, grace_s)
