"""What ingress, admin and timers see of the partitions: one engine that finds the owner of an id.

Callbacks run on the event loop, never from inside the call that registered them, and only after what they
report is durable. Every submitted record is answered exactly once: with core's answer, or with `Refused`
503 `unavailable` when the partition cannot commit (disk full, shutting down).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from holdfast.catalog.model import Handler
from holdfast.core.commands import StartRequest
from holdfast.core.model import FROM_INGRESS, InvocationId, Origin, Row
from holdfast.core.outcome import Accepted, Answer, Finished, Found, Refused
from holdfast.core.records import Record


class Watch(Protocol):
    """A wish to be told when an invocation finishes."""

    def cancel(self) -> None:
        """Never call back. Harmless when called twice or after the callback."""


class Engine(Protocol):
    @property
    def overloaded(self) -> bool:
        """Whether new work should be refused with 429: queues are near their bound."""
        ...

    def now_ms(self) -> int:
        """The wall clock, milliseconds since the epoch."""
        ...

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
    ) -> StartRequest:
        """A complete request with its id minted or derived. `headers` become the journal's Input headers."""
        ...

    def start(
        self,
        request: StartRequest,
        on_answer: Callable[[Accepted | Refused], None],
        on_finished: Callable[[Finished], None] | None = None,
    ) -> Watch:
        """Accept an invocation. `on_finished` follows `on_answer` when the invocation ends; it is not called
        when `on_answer` already carried a completion."""
        ...

    def attach(
        self,
        id_: InvocationId,
        on_answer: Callable[[Found | Refused], None],
        on_finished: Callable[[Finished], None] | None = None,
    ) -> Watch:
        """Look an invocation up and, unless it has completed, wait for its end."""
        ...

    def submit(
        self, id_: InvocationId, record: Record, on_answer: Callable[[Answer | None], None] | None = None
    ) -> None:
        """Hand a record to the partition that owns `id_`."""

    async def ask(self, id_: InvocationId, record: Record) -> Answer | None:
        """`submit`, awaited."""

    def owner_of_key(self, key: str) -> InvocationId:
        """Some id in the partition that owns an object or workflow key: the address for ReplaceState."""
        ...

    def mint(self, like: InvocationId) -> tuple[InvocationId, Row]:
        """A fresh random id and row in the partition that owns `like` (restart as new)."""
        ...
