"""The partition's tables as core sees them: read what all earlier records left, write for the commit.

Storage implements these over SQLite; tests use the same implementation in memory. A write is visible to
every later read at once and durable when the partition commits. Values given to a table are not changed
afterwards by either side, except `Invocation`, which core changes and puts again.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from holdfast.core.messages import Message
from holdfast.core.model import (
    AttemptEnd,
    Invocation,
    InvocationId,
    Notification,
    Refs,
    Result,
    Row,
    Waiter,
)


@dataclass(slots=True)
class Entry:
    """One stored journal entry. `ref` is a notification's completion id or signal; `callee` the id that a
    call or send started; `completion_ids` those a command will be answered with, when asked for."""

    index: int
    type: int
    raw: bytes
    ref: int | str | None
    callee: InvocationId | None
    at: int
    completion_ids: tuple[int, ...] = ()


class InvocationTable(Protocol):
    def get(self, row: Row) -> Invocation | None: ...
    def find(self, id_: InvocationId) -> Invocation | None:
        """The invocation with this id, whatever its status."""

    def put(self, invocation: Invocation) -> None:
        """Store the invocation as it now is."""

    def delete(self, invocation: Invocation) -> None: ...
    def invoked(self) -> Iterable[Invocation]:
        """All with status INVOKED, by row, each with exact `length` and `commands`. Used once, at opening."""
        ...


class JournalTable(Protocol):
    def append_input(self, row: Row, raw: bytes, at: int) -> None:
        """Store entry 0."""

    def append_command(
        self,
        row: Row,
        index: int,
        type_: int,
        raw: bytes,
        at: int,
        ref: int | None = None,
        callee: InvocationId | None = None,
    ) -> None: ...
    def append_notification(self, row: Row, index: int, notification: Notification, at: int) -> None: ...
    def append_event(
        self, row: Row, after_index: int, at: int, type_: str, detail: dict[str, object]
    ) -> None:
        """Store a journal event: what an operator should know about an attempt; never replayed."""

    def refs(self, row: Row) -> Refs: ...
    def output(self, row: Row) -> Result | None:
        """The last Output's result, None without one."""

    def run_index(self, row: Row, length: int, completion_id: int) -> int | None:
        """Where the run command with this completion id stands among the first `length` entries; None when
        there is none. Quick for the newest."""
        ...

    def open_calls(self, row: Row) -> list[InvocationId]:
        """Callees of calls (not sends) without a result yet, in order."""
        ...

    def entries(self, row: Row) -> list[Entry]:
        """The whole journal in order, `completion_ids` filled."""
        ...

    def copy(self, row: Row, index: int, entry: Entry, at: int) -> None:
        """Store another invocation's entry under this row."""

    def delete(self, row: Row) -> None:
        """Forget entries and events."""


class StepMetadataTable(Protocol):
    """What services said about steps, by their completion ids: a JSON object each."""

    def get(self, row: Row, completion_id: int) -> tuple[int, bytes] | None:
        """(index of the run command, metadata)."""
        ...

    def put(self, row: Row, completion_id: int, index: int, metadata: bytes) -> None: ...
    def delete(self, row: Row) -> None:
        """Forget an invocation's."""


class AttemptTable(Protocol):
    """How attempts ended, for views."""

    def append(self, end: AttemptEnd) -> None: ...
    def delete(self, row: Row) -> None:
        """Forget those of an invocation."""


class StateTable(Protocol):
    def get(self, object_: str, key: bytes) -> bytes | None: ...
    def keys(self, object_: str) -> tuple[bytes, ...]:
        """Sorted."""
        ...

    def all(self, object_: str) -> dict[bytes, bytes]: ...
    def set(self, object_: str, key: bytes, value: bytes) -> None: ...
    def clear(self, object_: str, key: bytes) -> None: ...
    def clear_all(self, object_: str) -> None: ...


@dataclass(slots=True)
class Mutation:
    """An operator's replacement of an object's state, waiting in the inbox."""

    state: tuple[tuple[bytes, bytes], ...]
    version: str | None


class ObjectTable(Protocol):
    """Locks and inboxes of objects' exclusive handlers."""

    def holder(self, object_: str) -> Row | None: ...
    def lock(self, object_: str, row: Row) -> None: ...
    def unlock(self, object_: str) -> None: ...
    def enqueue(self, object_: str, waiting: Row | Mutation) -> int:
        """Append to the inbox; the entry's sequence number, which grows over the whole partition."""
        ...

    def dequeue(self, object_: str) -> Row | Mutation | None:
        """Take the oldest out."""

    def remove(self, object_: str, sequence: int) -> None:
        """Take one out of the middle: it was cancelled or killed while it waited."""


class PromiseTable(Protocol):
    def get(self, object_: str, key: str) -> Result | None: ...
    def complete(self, object_: str, key: str, result: Result) -> None: ...
    def add_listener(self, object_: str, key: str, row: Row, completion_id: int) -> None: ...
    def take_listeners(self, object_: str, key: str) -> list[tuple[Row, int]]:
        """Remove and return them in order of arrival."""
        ...

    def delete(self, object_: str) -> None:
        """Forget all promises and listeners of a workflow key."""


class WaiterTable(Protocol):
    """Invocations that attached to others, beyond the one caller an invocation row holds itself."""

    def add(self, row: Row, waiter: Waiter) -> None: ...
    def take(self, row: Row) -> list[Waiter]: ...


class TimerTable(Protocol):
    def put(self, fire_at: int, kind: int, row: Row, completion_id: int) -> None: ...
    def take(self, fire_at: int, kind: int, row: Row, completion_id: int) -> bool:
        """Delete it; false when it was not there (cancelled, or fired before)."""
        ...


class PostTable(Protocol):
    """Outbox rows and sequence numbers per pair of partitions."""

    def push(self, destination: int, message: Message) -> None:
        """Append under the pair's next number."""

    def drop(self, destination: int, upto: int) -> None:
        """Forget delivered messages."""

    def received(self, source: int) -> int:
        """The last number taken from `source`; 0 before the first."""
        ...

    def set_received(self, source: int, sequence: int) -> None: ...


class Tables(Protocol):
    partition: int

    @property
    def invocations(self) -> InvocationTable: ...
    @property
    def journal(self) -> JournalTable: ...
    @property
    def step_metadata(self) -> StepMetadataTable: ...
    @property
    def attempts(self) -> AttemptTable: ...
    @property
    def state(self) -> StateTable: ...
    @property
    def objects(self) -> ObjectTable: ...
    @property
    def promises(self) -> PromiseTable: ...
    @property
    def waiters(self) -> WaiterTable: ...
    @property
    def timers(self) -> TimerTable: ...
    @property
    def post(self) -> PostTable: ...
    def partition_of(self, id_: InvocationId) -> int:
        """The partition that owns an invocation id."""
        ...
