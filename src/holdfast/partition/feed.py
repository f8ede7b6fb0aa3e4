"""The change feed: which invocations and journal entries the latest commits touched, for those who watch.

A partition tells its feed after each commit, and only while somebody watches or has lately: then it hands
over the row numbers and journal keys its write buffers held, as they are, and wakes readers that have nothing
to do. Everything else (what changed, what it looks like now) is the readers' work, a few times a second. Only
of what a commit forgot the feed says whose it was: nobody can read that any more.

One sequence number per commit of any partition, counted from when the server started; `epoch` tells one
server process from the next. What readers have not taken yet is kept up to `CHANGES_KEPT_MAX`; who falls
further behind has missed something and is told so.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from itertools import islice
from typing import NamedTuple, Protocol

from holdfast.core.model import InvocationId, Row, Target

READERS_MAX = 256
CHANGES_KEPT_MAX = 200_000
"""Row numbers, journal keys and names of the forgotten, of all commits kept together."""
LINGER_S = 30.0
"""How long changes are kept after the last reader has gone: it may come back and go on."""


class Gone(NamedTuple):
    """An invocation that was purged, or whose retention has ended."""

    row: Row
    id: InvocationId
    target: Target


class Changes(NamedTuple):
    """What one commit touched. `rows` are of invocations that were written or forgotten, `keys` of journal
    entries that were stored (see `storage.keys`), `gone` are those forgotten."""

    sequence: int
    partition: int
    rows: tuple[Row, ...]
    keys: tuple[int, ...]
    gone: tuple[Gone, ...]

    @property
    def size(self) -> int:
        """Its share of `CHANGES_KEPT_MAX`."""
        return len(self.rows) + len(self.keys) + len(self.gone)


class OnChanges(Protocol):
    """What a partition calls after a commit."""

    def __call__(
        self, partition: int, rows: tuple[Row, ...], keys: tuple[int, ...], gone: tuple[Gone, ...] = ()
    ) -> None: ...


class Publisher(Protocol):
    """A partition, as the feed sees it. It publishes while `on_changes` is set."""

    on_changes: OnChanges | None


class TooManyReaders(Exception):
    """`READERS_MAX` are there already."""


class FeedReader:
    """One reader: a position in the feed, and a way to wait for more. Made by `ChangeFeed.open`."""

    def __init__(self, feed: ChangeFeed, position: int) -> None:
        self._feed = feed
        self._woken = asyncio.Event()
        self._stopped = asyncio.Event()
        self.position = position

    @property
    def stopped(self) -> bool:
        """Whether the reader is to end: its client has gone, or the server is closing."""
        return self._stopped.is_set()

    def stop(self) -> None:
        self._stopped.set()
        self._woken.set()

    def wake(self) -> None:
        self._woken.set()

    async def wait(self, timeout_s: float) -> bool:
        """Until there is something to take (true), or `timeout_s` or `stop` (false)."""
        if self._feed.sequence == self.position and not self.stopped:
            self._woken.clear()
            self._feed.idle.add(self)
            try:
                async with asyncio.timeout(timeout_s):
                    await self._woken.wait()
            except TimeoutError:
                return False
            finally:
                self._feed.idle.discard(self)
        return not self.stopped

    async def pause(self, seconds: float) -> None:
        """Let changes gather; ends early when stopped."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopped.wait()

    def take(self) -> list[Changes] | None:
        """Everything after the position, which moves to the end; None: some of it is no longer kept."""
        taken = self._feed.since(self.position)
        self.position = self._feed.sequence
        return taken


class ChangeFeed:
    """The feed of all partitions of a server. Used on the event loop.

    Attributes:
        epoch: a word of this process, in no relation to others.
        sequence: the number of the latest commit that was told of.
        idle: readers to be woken by the next one.
    """

    def __init__(self, partitions: Sequence[Publisher], loop: asyncio.AbstractEventLoop) -> None:
        self.epoch = secrets.token_hex(6)
        self.sequence = 0
        self.idle: set[FeedReader] = set()
        self._partitions = partitions
        self._loop = loop
        self._kept: deque[Changes] = deque()
        self._kept_changes = 0
        self._from = 0
        """Positions before this one have missed something."""
        self._readers: set[FeedReader] = set()
        self._active = False
        self._closed = False
        self._lingering: asyncio.TimerHandle | None = None

    @property
    def readers(self) -> int:
        """How many read."""
        return len(self._readers)

    def open(self, epoch: str | None = None, position: int = -1) -> tuple[FeedReader, bool]:
        """A new reader, and whether it goes on where (epoch, position) was; else it begins with the next
        commit. `close_reader` ends it.

        Raises:
            TooManyReaders: try again later, or elsewhere.
        """
        if len(self._readers) >= READERS_MAX:
            raise TooManyReaders
        if self._lingering is not None:
            self._lingering.cancel()
            self._lingering = None
        if not self._active:
            self._activate()
        resumed = epoch == self.epoch and self._from <= position <= self.sequence
        reader = FeedReader(self, position if resumed else self.sequence)
        self._readers.add(reader)
        if self._closed:
            reader.stop()
        return reader, resumed

    def close_reader(self, reader: FeedReader) -> None:
        reader.stop()
        self._readers.discard(reader)
        if not self._readers and self._active and not self._closed and self._lingering is None:
            self._lingering = self._loop.call_later(LINGER_S, self._deactivate)

    def close(self) -> None:
        """The server stops: every reader ends, now and in future."""
        self._closed = True
        if self._lingering is not None:
            self._lingering.cancel()
            self._lingering = None
        self._deactivate()
        for reader in tuple(self._readers):
            reader.stop()

    def publish(
        self, partition: int, rows: tuple[Row, ...], keys: tuple[int, ...], gone: tuple[Gone, ...] = ()
    ) -> None:
        """A commit of a partition touched these."""
        sequence = self.sequence = self.sequence + 1
        changes = Changes(sequence, partition, rows, keys, gone)
        self._kept.append(changes)
        self._kept_changes += changes.size
        while self._kept_changes > CHANGES_KEPT_MAX:
            oldest = self._kept.popleft()
            self._kept_changes -= oldest.size
            self._from = oldest.sequence
        if self.idle:
            for reader in self.idle:
                reader.wake()

    def since(self, position: int) -> list[Changes] | None:
        """The commits after a position, None when some are no longer kept."""
        if position < self._from:
            return None
        newest_first = list(islice(reversed(self._kept), self.sequence - position))
        return newest_first[::-1]

    def _activate(self) -> None:
        """Nobody was told of what happened meanwhile: older positions have missed it."""
        self._active = not self._closed
        self.sequence += 1
        self._from = self.sequence
        if self._active:
            for partition in self._partitions:
                partition.on_changes = self.publish

    def _deactivate(self) -> None:
        self._lingering = None
        self._active = False
        for partition in self._partitions:
            partition.on_changes = None
        self._kept.clear()
        self._kept_changes = 0
