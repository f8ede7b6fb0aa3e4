"""Waits for the disk: on the event loop while the disk is quick, in a thread when it is not.

One job at a time: `COMMIT`. Handing it to a thread and its result back costs more processor time than a quick
disk needs to answer (two futexes, an eventfd, the interpreter's lock twice; 75 us of 320 for ten steps), and
requests that arrive meanwhile only make the next batch larger. A slow disk must not hold up the loop, so the
time of each commit made here is watched: when their moving average passes `INLINE_COMMIT_S_MAX`, the next
`THREADED_COMMITS` go to the thread, and then one tries the disk again. Commits that are known to take long
(`is_slow`: a checkpoint is due) always go there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from queue import SimpleQueue
from threading import Thread
from time import perf_counter

from holdfast.storage.database import StorageError

INLINE_COMMIT_S_MAX = 0.002
THREADED_COMMITS = 256
_NEW_WEIGHT = 1 / 8
_STALL = 3
"""No commit counts for more than this many times the limit; four slow ones in a row pass it."""

Job = Callable[[], None]
Done = Callable[[StorageError | None], None]


class Committer:
    """Runs jobs in order; `close` waits for the running one."""

    def __init__(self, loop: asyncio.AbstractEventLoop, name: str, is_slow: Callable[[], bool]) -> None:
        self._loop = loop
        self._is_slow = is_slow
        self._average_s = 0.0
        self._threaded_left = 0
        self._jobs: SimpleQueue[tuple[Job, Done] | None] = SimpleQueue()
        self._thread = Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def submit(self, job: Job, done: Done) -> None:
        """Run `job`, then `done` on the loop with None or the StorageError it raised. Both may have happened
        when this returns."""
        if self._threaded_left:
            self._threaded_left -= 1
            self._jobs.put((job, done))
        elif self._is_slow():
            self._jobs.put((job, done))
        else:
            begun = perf_counter()
            error = _outcome(job)
            # A single stall, as when another process takes the processor, says nothing about the disk.
            lasted_s = min(perf_counter() - begun, INLINE_COMMIT_S_MAX * _STALL)
            self._average_s += (lasted_s - self._average_s) * _NEW_WEIGHT
            if self._average_s > INLINE_COMMIT_S_MAX:
                # On the edge, so that the one that tries the disk again decides.
                self._average_s = INLINE_COMMIT_S_MAX
                self._threaded_left = THREADED_COMMITS
            done(error)

    def _run(self) -> None:
        while (item := self._jobs.get()) is not None:
            job, done = item
            self._loop.call_soon_threadsafe(done, _outcome(job))

    def close(self) -> None:
        self._jobs.put(None)
        self._thread.join()


def _outcome(job: Job) -> StorageError | None:
    try:
        job()
    except StorageError as error:
        return error
    return None
