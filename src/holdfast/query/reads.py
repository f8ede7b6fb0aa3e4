"""The server's own reads of the partitions' files: prepared statements, one snapshot each, off the loop.

The admin interface's lists and timelines are made of these rather than of SQL that somebody typed: nothing is
parsed, and a few threads of their own keep them quick while long queries run.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from holdfast.core.model import Row
from holdfast.query.connection import Connection
from holdfast.query.errors import QueryError
from holdfast.query.runner import LiveAttempt

READS_RUNNING_MAX = 2
READS_WAITING_MAX = 512
SECONDS_MAX = 5.0

Place = tuple[int, Row]
"""Partition and row: where an invocation is."""

T = TypeVar("T")


class Reads:
    """Reads over one server's partitions.

    Args:
        files: the partitions' files, by number; they exist before the first read.
        live: the attempts in memory, of these places or (None) all; called on the event loop.
    """

    def __init__(
        self,
        files: Sequence[Path],
        live: Callable[[Collection[Place] | None], Iterable[LiveAttempt]],
        seconds_max: float = SECONDS_MAX,
    ) -> None:
        self._files = tuple(files)
        self._live = live
        self._seconds_max = seconds_max
        self._threads = ThreadPoolExecutor(READS_RUNNING_MAX, thread_name_prefix="read")
        self._idle: list[Connection] = []
        self._open = 0

    @property
    def partitions(self) -> int:
        """How many files there are."""
        return len(self._files)

    async def run(self, job: Callable[[Connection], T], places: Collection[Place] | None = None) -> T:
        """What `job` makes of one snapshot, in a thread; it uses the connection's `select` only.

        The attempts of `places` (None: of all) are in the connection's table `live`, as of before the
        snapshot: an attempt that has ended since shows for a moment, until the commit that ended it is read.

        Raises:
            QueryError: 429 too many at once; 500 too slow, or a file that cannot be read.
        """
        if self._open >= READS_RUNNING_MAX + READS_WAITING_MAX:
            raise QueryError(429, "too many requests at once; try again later")
        self._open += 1
        try:
            attempts = [
                (
                    a.id,
                    int(a.in_flight),
                    a.retry_count,
                    a.last_start_at,
                    a.next_retry_at,
                    a.deployment_id,
                    a.server,
                    a.awaiting_json,
                )
                for a in self._live(places)
            ]
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._threads, self._run, job, attempts)
        finally:
            self._open -= 1

    def close(self) -> None:
        """Wait for running reads and close the files."""
        self._threads.shutdown(cancel_futures=True)
        while self._idle:
            self._idle.pop().close()

    def _run(self, job: Callable[[Connection], T], attempts: Sequence[tuple[object, ...]]) -> T:
        try:
            connection = self._idle.pop()
        except IndexError:
            connection = Connection(self._files, own_statements=True)
        try:
            with connection.reading({"live": attempts}, seconds_max=self._seconds_max):  # type: ignore[dict-item]
                return job(connection)
        finally:
            self._idle.append(connection)
