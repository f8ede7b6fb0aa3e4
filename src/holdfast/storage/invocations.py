"""The invocation table: rows to objects and back, and the cache of live ones.

Core changes an `Invocation` in place, so within the process there is one object per row while it matters:
those in their turn (INVOKED) stay, anything else is dropped after the commit and read again when needed. A
suspended invocation therefore costs disk, not memory.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, cast

from holdfast.core.model import (
    FROM_INGRESS,
    INVOKED,
    PAUSED,
    AttemptFailure,
    Completed,
    Failure,
    Inboxed,
    Invocation,
    InvocationId,
    Invoked,
    NotificationKind,
    Origin,
    OriginKind,
    Result,
    Retention,
    Row,
    Scheduled,
    Status,
    Success,
    Suspended,
    Target,
    TargetKind,
    Waiter,
)
from holdfast.storage.awaiting_json import decode_await, encode_await
from holdfast.storage.blobs import Blobs, Holder
from holdfast.storage.buffer import Buffer, Upserts
from holdfast.storage.database import Database, Value
from holdfast.storage.keys import JOURNAL_SPAN, row_in_id
from holdfast.storage.meta import Meta
from holdfast.storage.schema import INVOCATION_COLUMNS

ROWS_RESERVED = 1 << 16
"""Row numbers are handed out in memory; the file only keeps a limit they stay below, raised in this step."""

SCHEDULED, INBOXED, INVOKED_CODE, SUSPENDED, PAUSED_CODE, COMPLETED = range(6)

_STEP_METADATA_FLAG = 2
ATTEMPTS_FLAG = 4
"""Beside 1, has attached, in the column `flags`."""

_RESULT_VALUE = INVOCATION_COLUMNS.index("result_value")
_SELECT = f"SELECT {', '.join(INVOCATION_COLUMNS)} FROM invocation"
_NO_DATA: tuple[Value, ...] = (None, None, None, None, None)
# A look-up here is a third of what asking the enum costs.
_TARGET_KINDS = {kind.value: kind for kind in TargetKind}
_ORIGIN_KINDS = {kind.value: kind for kind in OriginKind}
_NOTIFICATION_KINDS = {kind.value: kind for kind in NotificationKind}


_PLAIN_COLUMNS = (
    "row", "id", "service", "handler", "key", "kind", "status", "status_number", "awaiting",
    "created_at", "modified_at", "completion_ms", "journal_ms", "deployment", "protocol_version",
    "length", "commands", "progress_at", "running_at", "flags", "attempt", "completed_at", "result_value",
)  # fmt: skip
_PLAIN_ZEROS = ("origin_kind", "retry_count", "journal_purged", "pausing")
"""Together what `encode_plain` says of a row; the other columns are NULL. Binding and copying a value costs
more than most rows have to say: half the columns are a quarter less of all that storing a row takes."""


class Invocations:
    """Implements core's InvocationTable."""

    def __init__(self, database: Database, meta: Meta, blobs: Blobs) -> None:
        self._database = database
        self._blobs = blobs
        self._meta = meta
        self._live: dict[Row, Invocation] = {}
        self._touched: list[Invocation] = []
        self._dirty: dict[Row, Invocation] = {}
        self._deleted: dict[Row, Invocation] = {}
        self._upserts = Upserts(database, "invocation", INVOCATION_COLUMNS)
        self._plain_upserts = Upserts(database, "invocation", _PLAIN_COLUMNS, _PLAIN_ZEROS)
        self._aliases: Buffer[bytes, Row] = Buffer(
            database,
            "invocation_alias",
            ("id", "row"),
            ("id",),
            lambda id_, row: (id_, row),
            lambda id_: (id_,),
        )
        self.row_limit = meta.get("row_limit", 1)

    def get(self, row: Row) -> Invocation | None:
        invocation = self._live.get(row)
        if invocation is not None or row in self._deleted:
            return invocation
        found = self._database.first(_SELECT + " WHERE row = ?", (row,))
        if found is None:
            return None
        if isinstance(found[_RESULT_VALUE], str):
            value = self._blobs.value(found[_RESULT_VALUE])
            found = (*found[:_RESULT_VALUE], value, *found[_RESULT_VALUE + 1 :])
        invocation = decode_invocation(found)
        self._live[row] = invocation
        self._touched.append(invocation)
        return invocation

    def find(self, id_: InvocationId) -> Invocation | None:
        row = row_in_id(id_)
        if 0 < row < self.row_limit:
            invocation = self.get(row)
            if invocation is not None and invocation.id == id_:
                return invocation
        if id_ in self._aliases.pending:
            alias = self._aliases.pending[id_]
        else:
            found = self._database.first("SELECT row FROM invocation_alias WHERE id = ?", (id_,))
            alias = None if found is None else Row(cast(int, found[0]))
        return None if alias is None else self.get(alias)

    def put(self, invocation: Invocation) -> None:
        row = invocation.row
        if row in self._dirty:
            return
        if row not in self._live:
            self._live[row] = invocation
            if row >= self.row_limit:
                self.row_limit = row + ROWS_RESERVED
                self._meta.set("row_limit", self.row_limit)
            if row_in_id(invocation.id) != row:
                self._aliases.pending[invocation.id] = row
        self._dirty[row] = invocation
        self._touched.append(invocation)

    def delete(self, invocation: Invocation) -> None:
        row = invocation.row
        self._live.pop(row, None)
        self._dirty.pop(row, None)
        self._deleted[row] = invocation
        if self._blobs.any_of(Holder.RESULT):
            self._blobs.drop(Holder.RESULT, row)
        if row_in_id(invocation.id) != row:
            self._aliases.pending[invocation.id] = None

    def invoked(self) -> Iterable[Invocation]:
        rows = [row for (row,) in self._database.rows("SELECT row FROM invocation WHERE status = 2")]
        for row in sorted(rows):
            invocation = self.get(row)
            if invocation is None:
                continue
            invocation.length, invocation.commands = self._journal_size(row)
            yield invocation

    def _journal_size(self, row: Row) -> tuple[int, int]:
        found = self._database.first(
            "SELECT count(*), total(type < 0x8000) FROM journal WHERE key >= ? AND key < ?",
            (row * JOURNAL_SPAN, (row + 1) * JOURNAL_SPAN),
        )
        if found is None:
            return 0, 0
        return int(cast(int, found[0])), int(cast(float, found[1]))

    def expired(self, first: int, upto: int, at: int) -> list[Row]:
        """Committed rows in [first, upto) with something past its retention. Call between commits only."""
        return [
            Row(row)
            for (row,) in self._database.rows(
                "SELECT row FROM invocation WHERE row >= ?1 AND row < ?2 AND status = 5 AND ("
                "completed_at + completion_ms <= ?3 OR "
                "(NOT journal_purged AND completed_at + journal_ms <= ?3))",
                (first, upto, at),
            )
        ]

    def first_row_from(self, row: int) -> int | None:
        """The lowest stored row number that is at least `row`. Call between commits only."""
        found = self._database.first("SELECT min(row) FROM invocation WHERE row >= ?", (row,))
        return None if found is None else _maybe_int(found[0])

    @property
    def changed_rows(self) -> tuple[Row, ...]:
        """Rows written or deleted since the last commit."""
        return (*self._dirty, *self._deleted) if self._deleted else tuple(self._dirty)

    @property
    def forgotten(self) -> Iterable[Invocation]:
        """Those deleted since the last commit."""
        return self._deleted.values()

    @property
    def live_count(self) -> int:
        """Invocations held in memory."""
        return len(self._live)

    def flush(self) -> None:
        self._aliases.flush()
        if self._dirty:
            self._database.begin()
            plain: list[tuple[Value, ...]] = []
            others: list[tuple[Value, ...]] = []
            inline_max = self._blobs.inline_bytes_max
            for invocation in self._dirty.values():
                encoded = encode_plain(invocation)
                if encoded is not None:
                    if (value := encoded[-1]) is not None and len(cast(bytes, value)) > inline_max:
                        encoded = (*encoded[:-1], self._refer(invocation.row, value))
                    plain.append(encoded)
                else:
                    encoded = encode_invocation(invocation)
                    if (value := encoded[_RESULT_VALUE]) is not None and len(cast(bytes, value)) > inline_max:
                        reference = self._refer(invocation.row, value)
                        encoded = (*encoded[:_RESULT_VALUE], reference, *encoded[_RESULT_VALUE + 1 :])
                    others.append(encoded)
            if plain:
                self._plain_upserts.write(plain)
            if others:
                self._upserts.write(others)
        if self._deleted:
            self._database.begin()
            self._database.executemany(
                "DELETE FROM invocation WHERE row = ?", [(row,) for row in self._deleted]
            )

    def _refer(self, row: Row, value: Value) -> str:
        # A result is final: nothing smaller takes its place, so only deleting the row gives it up.
        return self._blobs.put(Holder.RESULT, row, cast(bytes, value))

    def committed(self) -> None:
        self._aliases.committed()
        live = self._live
        for invocation in self._touched:
            if invocation.status is not INVOKED:
                live.pop(invocation.row, None)
        self._touched.clear()
        self._dirty.clear()
        self._deleted.clear()


def encode_plain(i: Invocation) -> tuple[Value, ...] | None:
    """The row, in the order of _PLAIN_COLUMNS, of an invocation that has nothing to say in any other column:
    called from the ingress without more than a body, and nothing has gone wrong. None for all others."""
    if (
        i.origin is not FROM_INGRESS
        or i.waiter is not None
        or i.idempotency_key is not None
        or i.retry_count
        or i.failure is not None
        or i.next_retry_at is not None
        or i.start_at is not None
        or i.scheduled_at is not None
        or i.inboxed_at is not None
        or i.scope is not None
        or i.limit_key is not None
        or i.trace_parent is not None
        or i.journal_purged
        or i.pausing
    ):
        return None
    status = i.status
    number = awaiting = at = value = None
    if status is INVOKED:
        code = INVOKED_CODE
    elif isinstance(status, Completed):
        result = status.result
        if not isinstance(result, Success):
            return None
        code, at, value = COMPLETED, status.at, result.value
    elif isinstance(status, Suspended):
        code, number, awaiting = SUSPENDED, status.known, encode_await(status.awaiting)
    else:
        return None
    service, handler, key, kind = i.target
    completion_ms, journal_ms = i.retention
    return (
        i.row, i.id, service, handler, key, kind, code, number, awaiting,
        i.created_at, i.modified_at, completion_ms, journal_ms, i.deployment, i.protocol_version,
        i.length, i.commands, i.progress_at, i.running_at,
        _flags(i) if i.has_attempts or i.has_step_metadata else i.has_attached, i.attempt, at, value,
    )  # fmt: skip


def encode_invocation(i: Invocation) -> tuple[Value, ...]:
    """The row, in the order of INVOCATION_COLUMNS."""
    status = i.status
    number: int | None = None
    awaiting: str | None = None
    completion = _NO_DATA
    if status is INVOKED or isinstance(status, Invoked):
        code = INVOKED_CODE
    elif isinstance(status, Completed):
        code = COMPLETED
        completion = (status.at, *encode_result(status.result))
    elif isinstance(status, Suspended):
        code, number, awaiting = SUSPENDED, status.known, encode_await(status.awaiting)
    elif isinstance(status, Scheduled):
        code, number = SCHEDULED, status.start_at
    elif isinstance(status, Inboxed):
        code, number = INBOXED, status.sequence
    else:
        code = PAUSED_CODE
    target, retention, origin, waiter = i.target, i.retention, i.origin, i.waiter
    return (
        i.row, i.id, target.service, target.handler, target.key, target.kind, code, number, awaiting,
        i.created_at, i.modified_at, retention.completion_ms, retention.journal_ms,
        origin.kind, origin.id, origin.target,
        None if waiter is None else waiter.id,
        None if waiter is None else waiter.completion_id,
        None if waiter is None else waiter.kind,
        i.idempotency_key, i.deployment, i.protocol_version, i.length, i.commands, i.retry_count,
        i.next_retry_at, None if i.failure is None else encode_failure(i.failure), i.progress_at,
        i.scheduled_at, i.start_at, i.inboxed_at, i.running_at, i.journal_purged,
        _flags(i) if i.has_step_metadata or i.has_attempts else i.has_attached,
        i.scope, i.limit_key, i.trace_parent, int(i.pausing), i.attempt, *completion,
    )  # fmt: skip


def _flags(i: Invocation) -> int:
    flags = int(i.has_attached)
    if i.has_step_metadata:
        flags |= _STEP_METADATA_FLAG
    if i.has_attempts:
        flags |= ATTEMPTS_FLAG
    return flags


def decode_invocation(stored: tuple[Any, ...]) -> Invocation:
    """The object; attempt fields are those of an invocation that nothing runs for.

    `stored` is in the order of INVOCATION_COLUMNS, of the types the schema gives them. Every resume reads
    one, so the columns are unpacked in one go.
    """
    (
        row, id_, service, handler, key, kind, code, number, awaiting, created_at, modified_at,
        completion_ms, journal_ms, origin_kind, origin_id, origin_target,
        waiter_id, waiter_completion, waiter_kind, idempotency_key, deployment, protocol_version,
        length, commands, retry_count, next_retry_at, failure, progress_at, scheduled_at,
        start_at, inboxed_at, running_at, journal_purged, flags, scope, limit_key,
        trace_parent, pausing, attempt, completed_at, result_value, result_code, result_message,
        result_metadata,
    ) = stored  # fmt: skip
    status: Status
    if code == SUSPENDED:
        status = Suspended(decode_await(awaiting), number)
    elif code == INVOKED_CODE:
        status = INVOKED
    elif code == COMPLETED:
        result = decode_result(result_value, result_code, result_message, result_metadata)
        status = Completed(result, completed_at)
    elif code == SCHEDULED:
        status = Scheduled(number)
    elif code == INBOXED:
        status = Inboxed(number)
    else:
        status = PAUSED
    waiter = None
    if waiter_id is not None:
        waiter = Waiter(InvocationId(waiter_id), waiter_completion, _NOTIFICATION_KINDS[waiter_kind])
    return Invocation(
        Row(row),
        InvocationId(id_),
        Target(service, handler, key, _TARGET_KINDS[kind]),
        status,
        created_at,
        modified_at,
        Retention(completion_ms, journal_ms),
        FROM_INGRESS
        if not origin_kind and origin_id is None and origin_target is None
        else Origin(_ORIGIN_KINDS[origin_kind], origin_id, origin_target),
        waiter,
        idempotency_key,
        deployment,
        protocol_version,
        length,
        commands,
        retry_count,
        next_retry_at,
        None if failure is None else decode_failure(failure),
        progress_at,
        scheduled_at,
        start_at,
        inboxed_at,
        running_at,
        bool(journal_purged),
        flags & 1 == 1,
        flags & _STEP_METADATA_FLAG != 0,
        flags & ATTEMPTS_FLAG != 0,
        scope,
        limit_key,
        trace_parent,
        bool(pausing),
        attempt,
    )


def encode_result(result: Result) -> tuple[Value, Value, Value, Value]:
    """(value, code, message, metadata): a success has only the first, a failure never has it."""
    if isinstance(result, Success):
        return result.value, None, None, None
    metadata = json.dumps(result.metadata) if result.metadata else None
    return None, result.code, result.message, metadata


def decode_result(value: Value, code: Value, message: Value, metadata: Value) -> Result:
    """The inverse of `encode_result`."""
    if code is None:
        return Success(cast(bytes, value) or b"")
    pairs = tuple((str(k), str(v)) for k, v in json.loads(cast(str, metadata))) if metadata else ()
    return Failure(_int(code), cast(str, message), pairs)


def encode_failure(failure: AttemptFailure) -> str:
    return json.dumps(
        [
            failure.code,
            failure.message,
            failure.doc_code,
            failure.stacktrace,
            failure.command_index,
            failure.command_name,
            failure.command_type,
            failure.at,
        ]
    )


def decode_failure(text: str) -> AttemptFailure:
    return AttemptFailure(*json.loads(text))


def _int(value: Value) -> int:
    return cast(int, value)


def _maybe_int(value: Value) -> int | None:
    return cast("int | None", value)
