"""Invocations in a few words: lists of them, newest first, and single ones.

The rows of a partition are numbered in the order in which they came, so a page is a walk down from the
cursor, which ends early after `ROWS_SCANNED_MAX` rows: a filter that matches little gives short pages, not
slow ones. Statuses are decided by the same expression as those of `sys_invocation`.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, cast

import msgspec

from holdfast.admin.errors import invalid_parameter
from holdfast.admin.invocation_shapes import (
    Failed,
    InvocationPage,
    LastFailure,
    Parent,
    Status,
    Summary,
    Usage,
    instant,
    maybe_instant,
)
from holdfast.core.model import OriginKind, Row, TargetKind
from holdfast.protocol.ids import encode_invocation_id
from holdfast.query.connection import Connection
from holdfast.query.reads import Place
from holdfast.query.tables import LIVE_JOIN, TABLES
from holdfast.storage.keys import JOURNAL_SPAN

ROWS_SCANNED_MAX = 100_000
IDS_MAX = 100

STATUSES: dict[Status, int] = {
    "scheduled": 0,
    "pending": 1,
    "ready": 2,
    "running": 2,
    "backing-off": 2,
    "suspended": 3,
    "paused": 4,
    "succeeded": 5,
    "failed": 5,
}
"""What is stored of each."""
HAS_STEP_METADATA, HAS_ATTEMPTS = 2, 4
"""Bits of the column `flags`."""
_INVOKED, _PAUSED, _COMPLETED = 2, 4, 5
_IN_TURN: frozenset[Status] = frozenset(("ready", "running", "backing-off"))
_ENDED: frozenset[Status] = frozenset(("succeeded", "failed"))
_KINDS = {
    TargetKind.SERVICE: "service",
    TargetKind.OBJECT_EXCLUSIVE: "virtual_object",
    TargetKind.OBJECT_SHARED: "virtual_object",
    TargetKind.WORKFLOW_RUN: "workflow",
    TargetKind.WORKFLOW_SHARED: "workflow",
}
_VIEW = TABLES["sys_invocation"].columns
_STATUS = _VIEW["status"].sql


class Stored(NamedTuple):
    """What a partition and the attempts in memory know of an invocation; `status` is that of
    `sys_invocation`, `status_code` the stored one."""

    row: Row
    id: bytes
    service: str
    handler: str
    key: str | None
    kind: int
    status: str
    status_code: int
    created_at: int
    running_at: int | None
    modified_at: int
    completed_at: int | None
    start_at: int | None
    next_retry_at: int | None
    deployment: str | None
    retry_count: int
    failure: str | None
    origin_kind: int
    origin_id: bytes | None
    origin_target: str | None
    idempotency_key: str | None
    journal_length: int
    result_code: int | None
    result_message: str | None
    journal_purged: int
    attempt: int
    known: int | None
    awaiting: str | None
    attempt_started_at: int | None
    has_value: int
    flags: int


_SELECT = f"""
SELECT i.row, i.id, i.service, i.handler, i.key, i.kind, {_STATUS}, i.status, i.created_at, i.running_at,
    i.modified_at, i.completed_at, i.start_at, {_VIEW["next_retry_at"].sql},
    COALESCE(l.deployment, i.deployment), COALESCE(l.retry_count, i.retry_count), i.failure,
    i.origin_kind, i.origin_id, i.origin_target, i.idempotency_key, {_VIEW["journal_size"].sql},
    i.result_code, i.result_message, i.journal_purged, i.attempt, i.status_number,
    COALESCE(i.awaiting, l.awaiting), CASE WHEN l.in_flight THEN l.last_start_at END,
    i.result_value IS NOT NULL, i.flags
FROM {{p}}.invocation i{LIVE_JOIN}
"""


def _tokens(name: str) -> str:
    is_number = f"json_type(metadata, '$.{name}') = 'integer'"
    return f"coalesce(sum(CASE WHEN {is_number} THEN max(metadata ->> '$.{name}', 0) END), 0)"


_MODEL_CALLS = "count(CASE WHEN metadata ->> '$.kind' = 'model' THEN 1 END)"
_USAGE = (
    f"SELECT calls + tokens_in + tokens_out > 0, calls, tokens_in, tokens_out FROM (SELECT {_MODEL_CALLS} AS "
    f"calls, {_tokens('tokens_in')} AS tokens_in, {_tokens('tokens_out')} AS tokens_out "
    "FROM {p}.step_metadata WHERE key BETWEEN ? AND ? AND json_valid(metadata))"
)


class Targeted(Protocol):
    """What says whom it calls."""

    @property
    def service(self) -> str: ...
    @property
    def handler(self) -> str: ...
    @property
    def key(self) -> str | None: ...


@dataclass(frozen=True, slots=True)
class Filters:
    """Which invocations; an empty one means any."""

    statuses: frozenset[Status] = frozenset()
    service: str | None = None
    handler: str | None = None
    key: str | None = None

    def matches(self, summary: Summary) -> bool:
        """Whether a summary is of one of these."""
        return (not self.statuses or summary.status in self.statuses) and self.matches_target(summary)

    def matches_target(self, one: Targeted) -> bool:
        """The same, whatever the status."""
        return (
            (self.service is None or one.service == self.service)
            and (self.handler is None or one.handler == self.handler)
            and (self.key is None or one.key == self.key)
        )


@dataclass(slots=True)
class Found:
    """An invocation and where it is; the raw id and the row say what the summary cannot."""

    place: Place
    stored: Stored
    summary: Summary


@dataclass(slots=True)
class Cursor:
    """By partition, the row before which the next page begins; 0: nothing is left there."""

    rows: list[int] = field(default_factory=list[int])

    def encode(self) -> str:
        return ".".join(f"{row:x}" for row in self.rows)

    @classmethod
    def decode(cls, text: str | None, partitions: int) -> Cursor:
        """Raises RequestError, 400, for what no page said."""
        if text is None:
            return cls([1 << 62] * partitions)
        try:
            rows = [int(part, 16) for part in text.split(".")]
        except ValueError:
            rows = []
        if len(rows) != partitions or not all(0 <= row <= 1 << 62 for row in rows):
            raise invalid_parameter("before", "expected the 'next' of an earlier page")
        return cls(rows)


def parse_statuses(text: str | None) -> frozenset[Status]:
    """The words of a comma-separated list.

    Raises:
        RequestError: 400, a word that is no status.
    """
    words = frozenset(word.strip() for word in (text or "").split(",") if word.strip())
    unknown = sorted(words - STATUSES.keys())
    if unknown:
        raise invalid_parameter("status", f"{unknown[0]!r} is none of {', '.join(STATUSES)}")
    return cast("frozenset[Status]", words)


def read_page(
    connection: Connection, filters: Filters, ids: Sequence[str] | None, limit: int, cursor: Cursor
) -> tuple[list[Found], str | None]:
    """Up to `limit` invocations from the cursor on, newest first, and the next cursor."""
    if ids is not None:
        named = [f for f in read_ids(connection, ids) if filters.matches(f.summary)]
        return sorted(named, key=_newest_first)[:limit], None
    where, values = conditions(filters)
    floors = [_floor(connection, n, before, filters) for n, before in enumerate(cursor.rows)]
    walks: list[Iterator[Found]] = []
    for partition, (before, floor) in enumerate(zip(cursor.rows, floors, strict=True)):
        if before > 0:
            sql = f"{_SELECT} WHERE i.row < ? AND i.row >= ?{where} ORDER BY i.row DESC LIMIT ?"
            rows = connection.select(_of(partition, sql), (before, floor, *values, limit))
            walks.append(_found(connection, partition, rows))
    page: list[Found] = []
    for found in heapq.merge(*walks, key=_newest_first):
        page.append(found)
        cursor.rows[found.place[0]] = found.stored.row
        if len(page) == limit:
            return page, cursor.encode()
    cursor.rows = floors
    return page, cursor.encode() if any(floors) else None


def read_ids(connection: Connection, ids: Iterable[str]) -> list[Found]:
    """The invocations with these ids, in no order; unknown ones are left out."""
    wanted = set(ids)
    places = [(p, Row(row)) for p, rows in connection.rows_of(wanted).items() for row in rows]
    return [found for found in read_places(connection, places) if found.summary.id in wanted]


def read_places(
    connection: Connection, places: Iterable[Place], where: str = "", values: Sequence[Any] = ()
) -> list[Found]:
    """What is at these places, in no order; what has been forgotten is left out.

    Args:
        where: a further condition, beginning with AND, and its `values`.
    """
    by_partition: dict[int, list[int]] = {}
    for partition, row in places:
        by_partition.setdefault(partition, []).append(row)
    found: list[Found] = []
    for partition, rows in by_partition.items():
        listed = msgspec.json.encode(rows).decode()
        sql = f"{_SELECT} WHERE i.row IN (SELECT value FROM json_each(?)){where}"
        stored = connection.select(_of(partition, sql), (listed, *values))
        found += _found(connection, partition, stored)
    return found


def add_parent_entry(connection: Connection, found: Found) -> None:
    """Look up in which entry of its journal the caller called. Takes longer the longer that journal is."""
    parent, caller, partitions = found.summary.parent, found.stored.origin_id, connection.partitions
    if parent is None or caller is None:
        return
    partition = int.from_bytes(caller[:8], "big") * partitions >> 64
    for row in connection.rows_of([parent.id]).get(partition, ()):
        rows = connection.select(
            f"SELECT j.key FROM p{partition}.journal j JOIN p{partition}.invocation i ON i.row = ?1 "
            "WHERE i.id = ?2 AND j.key BETWEEN ?3 AND ?4 AND j.callee = ?5 LIMIT 1",
            (row, caller, row * JOURNAL_SPAN, (row + 1) * JOURNAL_SPAN - 1, found.stored.id),
        )
        for (key,) in rows:
            parent.entry_index = key - row * JOURNAL_SPAN


def entry_of_command(connection: Connection, place: Place, command: int | None) -> int | None:
    """The journal index of the n-th command, None for one that is not stored."""
    if command is None or command < 0:
        return None
    partition, row = place
    for (key,) in connection.select(
        f"SELECT key FROM p{partition}.journal WHERE key BETWEEN ? AND ? AND type < 0x8000 "
        "ORDER BY key LIMIT 1 OFFSET ?",
        (row * JOURNAL_SPAN, (row + 1) * JOURNAL_SPAN - 1, command),
    ):
        return int(key) - row * JOURNAL_SPAN
    return None


def page_of(found: Sequence[Found], following: str | None) -> InvocationPage:
    return InvocationPage([f.summary for f in found], following)


# ---------------------------------------------------------------- statements


def _of(partition: int, sql: str) -> str:
    return sql.replace("{p}", f"p{partition}")


def _newest_first(found: Found) -> tuple[int, int]:
    return -found.stored.created_at, -found.stored.row


def conditions(filters: Filters) -> tuple[str, list[Any]]:
    """The filters in SQL, each with AND before it, and their values."""
    where, values = "", list[Any]()
    for column in ("service", "handler", "key"):
        wanted = getattr(filters, column)
        if wanted is not None:
            where += f" AND i.{column} = ?"
            values.append(wanted)
    statuses = filters.statuses
    if statuses:
        codes = sorted({STATUSES[status] for status in statuses})
        # In these words the index of what is in its turn is used.
        where += " AND i.status = 2" if codes == [_INVOKED] else f" AND i.status IN ({str(codes)[1:-1]})"
        partly = statuses & _IN_TURN
        if partly and partly != _IN_TURN:
            where += f" AND (i.status != 2 OR {_STATUS} IN ({', '.join('?' * len(partly))}))"
            values += sorted(partly)
        ended = statuses & _ENDED
        if len(ended) == 1:
            is_ = "IS NULL" if "succeeded" in ended else "IS NOT NULL"
            where += f" AND (i.status != 5 OR i.result_code {is_})"
    return where, values


def _floor(connection: Connection, partition: int, before: int, filters: Filters) -> int:
    """Down to which row this page looks. 0 is the end; a gap in the numbers is skipped."""
    if filters.statuses and filters.statuses <= _IN_TURN:
        return 0  # found by an index
    if before <= 0:
        return 0
    sql = f"SELECT max(row) FROM p{partition}.invocation WHERE row < ?"
    ((newest,),) = connection.select(sql, (before,))
    return 0 if newest is None else max(newest + 1 - ROWS_SCANNED_MAX, 0)


def _found(connection: Connection, partition: int, rows: Iterable[tuple[Any, ...]]) -> Iterator[Found]:
    for row in list(rows):  # read to its end: an open statement would keep its snapshot
        stored = Stored(*row)
        yield Found((partition, stored.row), stored, _summary(connection, partition, stored))


def _summary(connection: Connection, partition: int, s: Stored) -> Summary:
    failed, status = None, cast("Status", s.status)
    if s.status_code == _COMPLETED:
        if s.result_code is None:
            status = "succeeded"
        else:
            status, failed = "failed", Failed(s.result_code, s.result_message or "")
    last_failure = None
    if s.failure is not None and s.status_code in (_INVOKED, _PAUSED):
        code, message, doc_code, _, command, *_ = msgspec.json.decode(s.failure)
        entry = entry_of_command(connection, (partition, s.row), command)
        last_failure = LastFailure(code, message, doc_code or None, entry)
    parent = None
    if s.origin_kind == OriginKind.SERVICE and s.origin_id is not None:
        parent = Parent(encode_invocation_id(s.origin_id), s.origin_target, None)
    at = f"{s.service}/{s.handler}" if s.key is None else f"{s.service}/{s.key}/{s.handler}"
    return Summary(
        encode_invocation_id(s.id),
        at,
        s.service,
        s.handler,
        s.key,
        _KIND_WORDS[s.kind],
        status,
        failed,
        instant(s.created_at),
        maybe_instant(s.running_at),
        instant(s.modified_at),
        maybe_instant(s.completed_at),
        maybe_instant(s.start_at),
        maybe_instant(s.next_retry_at),
        s.deployment,
        None,
        s.retry_count,
        last_failure,
        parent,
        s.idempotency_key,
        s.journal_length,
        _usage(connection, partition, s.row) if s.flags & HAS_STEP_METADATA else None,
    )


def _usage(connection: Connection, partition: int, row: int) -> Usage | None:
    """As `protocol.step_metadata.usage_of`, in SQL: the messages beside the numbers stay where they are."""
    sql = _USAGE.replace("{p}", f"p{partition}")
    ((seen, calls, tokens_in, tokens_out),) = connection.select(
        sql, (row * JOURNAL_SPAN, (row + 1) * JOURNAL_SPAN - 1)
    )
    return Usage(calls, tokens_in, tokens_out) if seen else None


_KIND_WORDS: Mapping[int, Any] = {kind.value: word for kind, word in _KINDS.items()}
