"""Carries outboxes to their destinations, within one process.

Reads what is waiting after a commit, hands it to the destination as one Deliver record, and on its answer
(durable there) tells the source to drop it. One batch per pair is on its way at a time; what comes meanwhile
goes with the next. After a restart everything undelivered is sent again: the receiver knows what it has.
"""

from __future__ import annotations

from holdfast.core.messages import StartInvocation
from holdfast.core.model import Row
from holdfast.core.outcome import Answer, Received, Refused
from holdfast.core.records import Deliver, Delivered
from holdfast.partition.loop import PartitionLoop
from holdfast.partition.placement import Minter
from holdfast.timers.clock import Clock

MESSAGES_PER_BATCH_MAX = 1_000


class PostOffice:
    """The outboxes of one partition."""

    def __init__(
        self, source: PartitionLoop, partitions: list[PartitionLoop], minters: list[Minter], clock: Clock
    ) -> None:
        self._source = source
        self._partitions = partitions
        self._minters = minters
        self._clock = clock
        self._on_the_way: set[int] = set()
        self._again: set[int] = set()

    def start(self) -> None:
        """Send what an earlier process left."""
        for destination in self._source.tables.post.destinations():
            self.ship(destination)

    def ship(self, destination: int) -> None:
        """Something for `destination` has been committed."""
        if destination in self._on_the_way:
            self._again.add(destination)
            return
        self._on_the_way.add(destination)
        self._source.when_settled(lambda: self._send(destination, 0))

    def _send(self, destination: int, after: int) -> None:
        waiting = self._source.tables.post.waiting(destination, after, MESSAGES_PER_BATCH_MAX)
        if not waiting:
            self._on_the_way.discard(destination)
            if destination in self._again:
                self._again.discard(destination)
                self.ship(destination)
            return
        minter = self._minters[destination]
        rows = tuple(minter.row() if isinstance(m, StartInvocation) else Row(0) for _, m in waiting)
        record = Deliver(
            self._clock.now_ms(),
            self._source.index,
            waiting[0][0],
            tuple(message for _, message in waiting),
            rows,
        )
        self._partitions[destination].submit(record, lambda answer: self._arrived(destination, answer))

    def _arrived(self, destination: int, answer: Answer | None) -> None:
        if not isinstance(answer, Received):
            self._on_the_way.discard(destination)  # the destination stopped; a restart sends it again
            return
        upto = answer.sequence
        self._source.submit(
            Delivered(self._clock.now_ms(), destination, upto),
            # Refused: the source has stopped, its file may be closed, and a restart sends the rest.
            lambda refused: None if isinstance(refused, Refused) else self._send(destination, upto),
        )
