"""A thread that waits for the disk, so that the event loop need not.

One job at a time: `COMMIT`. Its result comes back on the loop. A plain thread with a queue costs half of an
executor's future per commit, and this runs thousands of times a second.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from queue import SimpleQueue
from threading import Thread

from holdfast.storage.database import StorageError

Job = Callable[[], None]
Done = Callable[[StorageError | None], None]


class Committer:
    """Runs jobs in its own thread, in order; `close` waits for the running one."""

    def __init__(self, loop: asyncio.AbstractEventLoop, name: str) -> None:
        self._loop = loop
        self._jobs: SimpleQueue[tuple[Job, Done] | None] = SimpleQueue()
        self._thread = Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def submit(self, job: Job, done: Done) -> None:
        """Run `job`, then `done` on the loop with None or the StorageError it raised."""
        self._jobs.put((job, done))

    def _run(self) -> None:
        while (item := self._jobs.get()) is not None:
            job, done = item
            error: StorageError | None = None
            try:
                job()
            except StorageError as raised:
                error = raised
            self._loop.call_soon_threadsafe(done, error)

    def close(self) -> None:
        self._jobs.put(None)
        self._thread.join()
