"""All partitions of this process behind one door: finds owners, mints ids, remembers who waits.

See `partition.api.Engine` for what ingress and admin may rely on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final, cast

from holdfast.catalog.model import Handler
from holdfast.core.commands import StartRequest
from holdfast.core.model import FROM_INGRESS, InvocationId, Origin, Row, Target, TargetKind
from holdfast.core.outcome import Accepted, Answer, Finished, Found, Refused
from holdfast.core.records import Lookup, Record, Start
from holdfast.partition.loop import RECORDS_QUEUED_MAX, UNAVAILABLE, PartitionLoop
from holdfast.partition.placement import Minter, idempotent_id, some_id_of_key, workflow_id
from holdfast.protocol.ids import keyed_partition_key
from holdfast.protocol.state_commands import encode_input
from holdfast.timers.clock import Clock

_NO_ROW = Row(0)
_WORKFLOW_RUN: Final = TargetKind.WORKFLOW_RUN  # a plain name: see `core.attempts`
_ACCEPTED_OR_FOUND = (Accepted, Found)


class _Watch:
    """A caller of `start` or `attach`: answered, then perhaps told of the end."""

    __slots__ = ("_cancelled", "_on_answer", "_on_finished", "_partition", "_row")

    def __init__(
        self,
        partition: PartitionLoop,
        on_answer: Callable[[Accepted | Refused], None] | Callable[[Found | Refused], None],
        on_finished: Callable[[Finished], None] | None,
    ) -> None:
        self._partition = partition
        self._on_answer = cast("Callable[[Answer | None], None]", on_answer)
        self._on_finished = on_finished
        self._row: Row | None = None
        self._cancelled = False

    def answered(self, answer: Answer | None) -> None:
        if self._cancelled:
            return
        if (
            self._on_finished is not None
            and isinstance(answer, _ACCEPTED_OR_FOUND)
            and answer.completed is None
        ):
            self._row = answer.row
            self._partition.watch(answer.row, self._on_finished)
        self._on_answer(answer)

    def cancel(self) -> None:
        self._cancelled = True
        if self._row is not None and self._on_finished is not None:
            self._partition.unwatch(self._row, self._on_finished)
            self._row = None


class LocalEngine:
    """The engine of one process that owns every partition."""

    def __init__(
        self,
        partitions: list[PartitionLoop],
        minters: list[Minter],
        clock: Clock,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self.partitions = partitions
        self._minters = minters
        self._clock = clock
        self._loop = loop
        self._turn = 0

    @property
    def overloaded(self) -> bool:
        # A plain loop: a generator costs more than the question, which every request asks.
        for partition in self.partitions:  # noqa: SIM110
            if partition.backlog > RECORDS_QUEUED_MAX:
                return True
        return False

    def now_ms(self) -> int:
        return self._clock.now_ms()

    def owner(self, id_: InvocationId) -> PartitionLoop:
        """The partition that owns an id."""
        partitions = self.partitions
        return partitions[0] if len(partitions) == 1 else partitions[partitions[0].tables.partition_of(id_)]

    def make_request(
        self,
        handler: Handler,
        key: str | None,
        headers: Sequence[tuple[str, str]],
        body: bytes,
        *,
        idempotency_key: str | None = None,
        start_at: int = 0,
        origin: Origin = FROM_INGRESS,
        scope: str | None = None,
        limit_key: str | None = None,
        trace_parent: str | None = None,
        caller: int | None = None,
    ) -> StartRequest:
        """See the protocol. `caller` is the partition of a calling handler: a callee that is free to live
        anywhere then lives there, and one whose owner is another gets its row on arrival."""
        target = handler.target if key is None else Target(handler.service, handler.name, key, handler.kind)
        fresh = False
        row = _NO_ROW
        if handler.kind is _WORKFLOW_RUN:
            id_ = workflow_id(handler.service, key or "")
        elif idempotency_key is not None:
            id_ = idempotent_id(handler.service, key, handler.name, idempotency_key)
        else:
            fresh = True
            id_, row = self._mint(key, caller)
        if row == 0:
            owner = self.owner(id_).index
            if caller is None or caller == owner:
                row = self._minters[owner].row()
        return StartRequest(
            id_,
            row,
            fresh,
            target,
            encode_input(headers, body),
            handler.retention(idempotent=idempotency_key is not None),
            idempotency_key,
            start_at,
            origin,
            scope,
            limit_key,
            trace_parent,
        )

    def _mint(self, key: str | None, caller: int | None) -> tuple[InvocationId, Row]:
        minters = self._minters
        if key is None:
            if caller is None:
                caller = self._turn
                self._turn = (caller + 1) % len(minters)
            return minters[caller].anywhere()
        if len(minters) == 1:
            return minters[0].for_key(key)
        owner = self.owner(some_id_of_key(key)).index
        if caller is None or caller == owner:
            return minters[owner].for_key(key)
        return minters[owner].foreign(keyed_partition_key(key)), Row(0)

    def start(
        self,
        request: StartRequest,
        on_answer: Callable[[Accepted | Refused], None],
        on_finished: Callable[[Finished], None] | None = None,
    ) -> _Watch:
        partition = self.owner(request.id)
        watch = _Watch(partition, on_answer, on_finished)
        if partition.degraded:
            self._loop.call_soon(watch.answered, UNAVAILABLE)
        else:
            partition.submit(Start(self._clock.now_ms(), request), watch.answered)
        return watch

    def attach(
        self,
        id_: InvocationId,
        on_answer: Callable[[Found | Refused], None],
        on_finished: Callable[[Finished], None] | None = None,
    ) -> _Watch:
        partition = self.owner(id_)
        watch = _Watch(partition, on_answer, on_finished)
        partition.submit(Lookup(self._clock.now_ms(), id_), watch.answered)
        return watch

    def submit(
        self, id_: InvocationId, record: Record, on_answer: Callable[[Answer | None], None] | None = None
    ) -> None:
        self.owner(id_).submit(record, on_answer)

    async def ask(self, id_: InvocationId, record: Record) -> Answer | None:
        answered: asyncio.Future[Answer | None] = self._loop.create_future()

        def answer(value: Answer | None) -> None:
            if not answered.done():
                answered.set_result(value)

        self.submit(id_, record, answer)
        return await answered

    def owner_of_key(self, key: str) -> InvocationId:
        return some_id_of_key(key)

    def mint(self, like: InvocationId) -> tuple[InvocationId, Row]:
        return self._minters[self.owner(like).index].like(like)
