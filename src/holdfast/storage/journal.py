"""The journal table: entries as on the wire, in order, and the events of attempts beside them."""

from __future__ import annotations

import json
from typing import NamedTuple, cast

from holdfast.core.model import InvocationId, Notification, NotificationKind, Refs, Result, Row
from holdfast.core.tables import Entry
from holdfast.protocol.framing import MessageType
from holdfast.protocol.messages import decode
from holdfast.protocol.notifications import NotificationTemplate
from holdfast.protocol.results import Failure
from holdfast.storage.blobs import Blobs, Holder, head_of
from holdfast.storage.buffer import Buffer, Upserts
from holdfast.storage.database import Database, Value
from holdfast.storage.keys import JOURNAL_SPAN
from holdfast.storage.notifications import decode_output, encode_notification

EVENTS_PER_INVOCATION_MAX = 100
_FIRST_NOTIFICATION = 0x8000
_INPUT = MessageType.INPUT_COMMAND.value
_RUN = MessageType.RUN_COMMAND.value
_COLUMNS = ("key", "type", "ref", "callee", "at", "body")


class _Event(NamedTuple):
    row: Row
    after_index: int
    at: int
    type: str
    detail: str


class Journal:
    """Implements core's JournalTable."""

    def __init__(self, database: Database, blobs: Blobs) -> None:
        self._database = database
        self._blobs = blobs
        self._inline_max = blobs.inline_bytes_max
        self._entries: Buffer[int, tuple[Value, ...]] = Buffer(
            database, "journal", _COLUMNS, ("key",), lambda _, row: row, lambda key: (key,)
        )
        self._pending = self._entries.pending
        self._deleted: list[Row] = []
        self._events: list[_Event] = []
        self._event_number = _next_number(database)
        self._event_rows = Upserts(
            database, "event", ("number", "row", "after_index", "at", "type", "detail")
        )

    # ------------------------------------------------------------ writes

    def append_input(self, row: Row, raw: bytes, at: int) -> None:
        key = row * JOURNAL_SPAN
        body = raw if len(raw) <= self._inline_max else self._refer(key, raw)
        self._pending[key] = (key, _INPUT, None, None, at, body)

    def append_command(
        self,
        row: Row,
        index: int,
        type_: int,
        raw: bytes,
        at: int,
        ref: int | None = None,
        callee: InvocationId | None = None,
    ) -> None:
        key = row * JOURNAL_SPAN + index
        body = raw if len(raw) <= self._inline_max else self._refer(key, raw)
        self._pending[key] = (key, type_, ref, callee, at, body)

    def append_notification(self, row: Row, index: int, notification: Notification, at: int) -> None:
        key = row * JOURNAL_SPAN + index
        raw = encode_notification(notification)
        body = raw if len(raw) <= self._inline_max else self._refer(key, raw)
        self._pending[key] = (key, int(notification.kind), notification.ref, None, at, body)

    def append_event(
        self, row: Row, after_index: int, at: int, type_: str, detail: dict[str, object]
    ) -> None:
        self._events.append(_Event(row, after_index, at, type_, json.dumps(detail)))

    def copy(self, row: Row, index: int, entry: Entry, at: int) -> None:
        key = row * JOURNAL_SPAN + index
        body = entry.raw if len(entry.raw) <= self._inline_max else self._refer(key, entry.raw)
        self._pending[key] = (key, entry.type, entry.ref, entry.callee, at, body)

    def delete(self, row: Row) -> None:
        self._deleted.append(row)
        if self._blobs.any_of(Holder.JOURNAL):
            self._blobs.drop_range(Holder.JOURNAL, row * JOURNAL_SPAN, (row + 1) * JOURNAL_SPAN)

    def _refer(self, key: int, body: bytes) -> str:
        return self._blobs.put_message(Holder.JOURNAL, key, body)

    # ------------------------------------------------------------ reads

    def refs(self, row: Row) -> Refs:
        self._entries.flush()
        refs = Refs()
        first, last = row * JOURNAL_SPAN, (row + 1) * JOURNAL_SPAN
        for key, type_, ref, body in self._database.rows(
            "SELECT key, type, ref, body FROM journal WHERE key >= ? AND key < ? AND type >= 0x8000 "
            "ORDER BY key",
            (first, last),
        ):
            failed = self._failed(body)
            if type_ == NotificationKind.SIGNAL:
                refs.signals[ref] = (key - first, not failed)
            else:
                refs.completions[ref] = not failed
        return refs

    def output(self, row: Row) -> Result | None:
        self._entries.flush()
        found = self._database.first(
            "SELECT body FROM journal WHERE key >= ? AND key < ? AND type = ? ORDER BY key DESC LIMIT 1",
            (row * JOURNAL_SPAN, (row + 1) * JOURNAL_SPAN, MessageType.OUTPUT_COMMAND.value),
        )
        return None if found is None else decode_output(self._blobs.value(found[0]))

    def run_index(self, row: Row, length: int, completion_id: int) -> int | None:
        first = row * JOURNAL_SPAN
        index, pending = length, self._pending
        while index > 0 and (entry := pending.get(first + index - 1)) is not None:
            index -= 1
            if entry[1] == _RUN and entry[2] == completion_id:
                return index
        found = self._database.first(
            "SELECT key FROM journal WHERE key >= ? AND key < ? AND type = ? AND ref = ? "
            "ORDER BY key DESC LIMIT 1",
            (first, first + index, _RUN, completion_id),
        )
        return None if found is None else cast(int, found[0]) - first

    def open_calls(self, row: Row) -> list[InvocationId]:
        self._entries.flush()
        first, last = row * JOURNAL_SPAN, (row + 1) * JOURNAL_SPAN
        calls = self._database.rows(
            "SELECT callee, ref FROM journal WHERE key >= ? AND key < ? AND type = ? ORDER BY key",
            (first, last, MessageType.CALL_COMMAND.value),
        )
        if not calls:
            return []
        completions = self.refs(row).completions
        return [InvocationId(callee) for callee, ref in calls if ref not in completions]

    def entries(self, row: Row) -> list[Entry]:
        self._entries.flush()
        first, last = row * JOURNAL_SPAN, (row + 1) * JOURNAL_SPAN
        entries: list[Entry] = []
        for key, type_, ref, callee, at, stored in self._database.rows(
            f"SELECT {', '.join(_COLUMNS)} FROM journal WHERE key >= ? AND key < ? ORDER BY key",
            (first, last),
        ):
            body = self._blobs.value(stored)
            entries.append(Entry(key - first, type_, body, ref, callee, at, _completion_ids(type_, body)))
        return entries

    def frames(self, row: Row) -> list[tuple[int, bytes]]:
        """(type, body) of every entry in order: what an attempt replays. Call between commits only."""
        rows = self._database.rows(
            "SELECT type, body FROM journal WHERE key >= ? AND key < ? ORDER BY key",
            (row * JOURNAL_SPAN, (row + 1) * JOURNAL_SPAN),
        )
        if self._blobs.any_of(Holder.JOURNAL):
            return [(type_, self._blobs.value(body)) for type_, body in rows]
        return rows

    def _failed(self, body: bytes | str) -> bool:
        """Whether a stored notification carries a failure. A referred one is only read where what stands
        before its content leaves that open."""
        if isinstance(body, str):
            head = head_of(body)
            return (not head or b"\x32" in head) and _failed(self._blobs.whole(body))
        return _failed(body)

    @property
    def changed_keys(self) -> tuple[int, ...]:
        """Keys of the entries stored since the last commit."""
        return tuple(self._pending)

    # ------------------------------------------------------------ commit

    def flush(self) -> None:
        self._entries.flush()
        database = self._database
        if self._events:
            database.begin()
            number = self._event_number
            self._event_rows.write([(number + i, *event) for i, event in enumerate(self._events)])
            for row in {event.row for event in self._events}:
                database.execute(
                    "DELETE FROM event WHERE row = ?1 AND number <= (SELECT number FROM event WHERE row = ?1 "
                    "ORDER BY number DESC LIMIT 1 OFFSET ?2)",
                    (row, EVENTS_PER_INVOCATION_MAX),
                )
        if self._deleted:
            database.begin()
            database.executemany(
                "DELETE FROM journal WHERE key >= ? AND key < ?",
                [(row * JOURNAL_SPAN, (row + 1) * JOURNAL_SPAN) for row in self._deleted],
            )
            database.executemany("DELETE FROM event WHERE row = ?", [(row,) for row in self._deleted])

    def committed(self) -> None:
        self._entries.committed()
        self._event_number += len(self._events)
        self._events.clear()
        self._deleted.clear()


def _next_number(database: Database) -> int:
    found = database.first("SELECT max(number) FROM event")
    return 1 if found is None or found[0] is None else cast(int, found[0]) + 1


def _failed(body: bytes) -> bool:
    """Whether a notification's body carries a failure. The id field comes first and its length varies, so
    the result's tag is found by decoding; only bodies without the tag byte are spared that."""
    return b"\x32" in body and isinstance(NotificationTemplate.decode(body).result, Failure)


def _completion_ids(type_: int, body: bytes) -> tuple[int, ...]:
    if type_ >= _FIRST_NOTIFICATION:
        return ()
    message = decode(type_, body)
    ids = (
        getattr(message, "invocation_id_notification_idx", 0),
        getattr(message, "result_completion_id", 0),
    )
    return tuple(id_ for id_ in ids if id_)
