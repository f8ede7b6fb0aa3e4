"""An invocation's journal as a timeline: which rows are read, and how they come together.

A journal is a list of commands and of notifications, in the order they were stored. A page is the commands
after an index with their answers, however late those came, and the answers after that index to commands
before it: so `after` fetches the next page and, later, what has changed since.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any, cast

import msgspec

from holdfast.admin.attempt_list import read_attempts
from holdfast.admin.entries import (
    answer,
    answer_bytes,
    awaited_signals,
    command_entry,
    signal_entry,
    signal_entry_index,
    value_bytes,
)
from holdfast.admin.invocation_list import HAS_STEP_METADATA, Found
from holdfast.admin.invocation_shapes import Attempt, Entry, Payload, Retry, Timeline, payload
from holdfast.protocol.framing import MessageType
from holdfast.protocol.state_commands import input_content
from holdfast.query.connection import Connection
from holdfast.query.reads import Place
from holdfast.storage.blobs import whole_sql
from holdfast.storage.keys import JOURNAL_SPAN

COMMANDS_PER_PAGE = 2_000
DESCRIBED_PER_PAGE = 250
"""The same of an invocation with metadata, up to 64 KiB for each step."""
PAGE_BYTES_MAX = 16 * 1024 * 1024
"""Of stored entries; a page with large ones ends early."""

_RUN = MessageType.RUN_COMMAND.value
_SIGNAL = MessageType.SIGNAL_NOTIFICATION.value
_CALL_ID = MessageType.CALL_INVOCATION_ID_COMPLETION.value
_FIRST_NOTIFICATION = 0x8000
_COLUMNS = "key, type, ref, callee, at, "
"""And the body, see `_body`."""

_Stored = tuple[int, int, Any, bytes | None, int, bytes]


def read_timeline(connection: Connection, found: Found, after: int) -> Timeline:
    """The page of entries after index `after` (-1: from the start)."""
    attempts = read_attempts(connection, found)
    entries, following = read_entries(connection, found, after, attempts)
    given = None if found.stored.journal_purged else _input(connection, found.place)
    return Timeline(found.summary, given, _output(connection, found), attempts, entries, following)


def read_entries(
    connection: Connection,
    found: Found,
    after: int,
    attempts: Sequence[Attempt],
    also: Collection[int] = (),
) -> tuple[list[Entry], int | None]:
    """Entries new or changed after an index, and the index that the next page comes after.

    Args:
        attempts: those of them that failed in an entry are among its retries.
        also: indexes of commands that are wanted whatever `after`.
    """
    page = _Page(connection, found, after)
    entries, following = page.read(also)
    add_retries(entries, attempts)
    return entries, following


def add_retries(entries: Iterable[Entry], attempts: Iterable[Attempt]) -> None:
    by_index = {entry.index: entry for entry in entries}
    for attempt in attempts:
        error = attempt.error
        entry = None if error is None or error.entry_index is None else by_index.get(error.entry_index)
        if entry is not None and error is not None:
            at = attempt.ended_at or attempt.started_at
            entry.retries.append(Retry(at, error.message, error.code, error.stacktrace))


def read_whole(connection: Connection, found: Found, index: int) -> tuple[bytes | None, bytes | None] | None:
    """Input and value of the entry at an index, uncut; None when there is no such entry."""
    partition, row = found.place
    table, body_sql, first = f"p{partition}.journal", _body(partition), row * JOURNAL_SPAN
    last = first + JOURNAL_SPAN - 1
    if index >= JOURNAL_SPAN:
        signals = connection.select(
            f"SELECT ref, {body_sql} FROM {table} WHERE key BETWEEN ? AND ? AND type = {_SIGNAL} "
            "ORDER BY key DESC",
            (first, last),
        )
        for ref, body in signals:
            if signal_entry_index(ref) == index:
                return None, answer_bytes(body)
        return None
    rows = connection.select(f"SELECT type, ref, {body_sql} FROM {table} WHERE key = ?", (first + index,))
    for type_, ref, body in list(rows) if index >= 0 else ():
        if type_ >= _FIRST_NOTIFICATION:
            return None, answer_bytes(body)
        given, value = value_bytes(type_, body)
        if ref is not None:
            answers = connection.select(
                f"SELECT {body_sql} FROM {table} WHERE key BETWEEN ? AND ? AND type >= 0x8000 "
                f"AND type != {_SIGNAL} AND type != {_CALL_ID} AND ref = ? LIMIT 1",
                (first + index + 1, last, ref),
            )
            for (answered,) in list(answers):
                value = answer_bytes(answered)
        return given, value
    return None


class _Page:
    """One page being put together."""

    def __init__(self, connection: Connection, found: Found, after: int) -> None:
        partition, row = found.place
        self._connection = connection
        self._found = found
        self._table = f"p{partition}.journal"
        self._body = _body(partition)
        self._columns = _COLUMNS + self._body
        self._first = row * JOURNAL_SPAN
        self._last = self._first + JOURNAL_SPAN - 1
        self._after = after
        self._bytes = 0
        self._entries: dict[int, Entry] = {}
        self._open: dict[int, Entry] = {}
        """Commands without an answer yet, by what the answer will refer to."""
        self._answers: dict[int, _Stored] = {}
        """Answers to commands before the page."""
        self._signals: list[_Stored] = []
        self._steps: dict[int, Entry] = {}
        """Runs of an invocation whose service said something of steps, by completion id."""
        described = found.stored.flags & HAS_STEP_METADATA
        self._commands_max = DESCRIBED_PER_PAGE if described else COMMANDS_PER_PAGE

    def read(self, also: Collection[int]) -> tuple[list[Entry], int | None]:
        following = self._walk()
        if self._answers:
            self._look_back()
        wanted = [self._first + index for index in also if index not in self._entries]
        if wanted:
            self._add_commands(wanted)
        if self._open and (following is not None or wanted):
            self._look_ahead(min(also) if wanted else following or 0)
        if self._steps:
            self._describe()
        self._add_signals()
        return sorted(self._entries.values(), key=lambda e: e.index), following

    def _walk(self) -> int | None:
        commands = 0
        rows = self._connection.select(
            f"SELECT {self._columns} FROM {self._table} WHERE key BETWEEN ? AND ? ORDER BY key",
            (self._first + self._after + 1, self._last),
        )
        for stored in rows:
            key, type_, ref, _, at, body = stored
            index: int = key - self._first
            if type_ < _FIRST_NOTIFICATION:
                self._add_command(stored)
                commands += 1
            elif type_ == _SIGNAL:
                self._signals.append(stored)
            elif type_ != _CALL_ID:
                waiting = self._open.pop(ref, None)
                if waiting is None:
                    self._answers[ref] = stored
                else:
                    answer(waiting, body, at)
            self._bytes += len(body)
            if commands >= self._commands_max or self._bytes >= PAGE_BYTES_MAX:
                return index
        return None

    def _add_command(self, stored: _Stored) -> Entry:
        key, type_, ref, callee, at, body = stored
        entry = command_entry(key - self._first, type_, body, callee, at)
        self._entries[entry.index] = entry
        if entry.state == "pending" and ref is not None:
            self._open[ref] = entry
        if type_ == _RUN and ref is not None and self._found.stored.flags & HAS_STEP_METADATA:
            self._steps[ref] = entry
        return entry

    def _add_commands(self, keys: Collection[int]) -> None:
        for stored in self._connection.select(
            f"SELECT {self._columns} FROM {self._table} WHERE key IN (SELECT value FROM json_each(?)) "
            "AND type < 0x8000",
            (_listed(keys),),
        ):
            self._add_command(cast("_Stored", stored))

    def _describe(self) -> None:
        """What the service said of the page's steps, as it is stored."""
        partition, first = self._found.place[0], self._first
        for key, metadata in self._connection.select(
            f"SELECT key, metadata FROM p{partition}.step_metadata "
            "WHERE key IN (SELECT value FROM json_each(?))",
            (_listed([first + ref for ref in self._steps]),),
        ):
            self._steps[key - first].metadata = msgspec.Raw(metadata.encode())

    def _look_ahead(self, index: int) -> None:
        """Answers that came after an index."""
        rows = self._connection.select(
            f"SELECT ref, at, {self._body} FROM {self._table} WHERE key BETWEEN ? AND ? AND type >= 0x8000 "
            f"AND type != {_SIGNAL} AND type != {_CALL_ID} AND ref IN (SELECT value FROM json_each(?))",
            (self._first + index + 1, self._last, _listed(self._open)),
        )
        for ref, at, body in rows:
            answer(self._open[ref], body, at)

    def _look_back(self) -> None:
        """Commands before the page that were answered in it."""
        rows = self._connection.select(
            f"SELECT {self._columns} FROM {self._table} WHERE key BETWEEN ? AND ? AND type < 0x8000 "
            "AND ref IN (SELECT value FROM json_each(?))",
            (self._first, self._first + self._after, _listed(self._answers)),
        )
        for stored in rows:
            _, _, _, _, answered_at, body = self._answers[stored[2]]
            entry = self._add_command(cast("_Stored", stored))
            if entry.state == "pending":
                answer(entry, body, answered_at)

    def _add_signals(self) -> None:
        """What signals brought, and what is waited for. The latest under a number or name stands where the
        wait for it stood; earlier ones, and cancellations, where they are in the journal."""
        s, id_ = self._found.stored, self._found.stored.id
        awaited = [] if s.completed_at is not None else awaited_signals(s.awaiting)
        latest = {ref: key - self._first for key, _, ref, *_ in self._signals}
        for key, _, ref, _, at, body in self._signals:
            index = key - self._first
            consumed = ref in awaited and (s.known is None or index < s.known)
            own = latest[ref] != index or ref == 1 or (isinstance(ref, str) and consumed)
            entry = signal_entry(id_, ref, self._before(index), index if own else None)
            answer(entry, body, at)
            self._entries[entry.index] = entry
        for ref in awaited:
            index = signal_entry_index(ref)
            if index not in self._entries and not (isinstance(ref, int) and self._came(ref)):
                self._entries[index] = signal_entry(id_, ref, self._before(s.known or JOURNAL_SPAN))

    def _came(self, signal: int) -> bool:
        """Whether a signal that is waited for came before this page: an awakeable is completed once."""
        sql = (
            f"SELECT 1 FROM {self._table} WHERE key BETWEEN ? AND ? AND type = {_SIGNAL} AND ref = ? LIMIT 1"
        )
        return bool(list(self._connection.select(sql, (self._first, self._last, signal))))

    def _before(self, index: int) -> int:
        """When the entry before an index was stored: since then, at the latest, it was waited for."""
        for (at,) in list(
            self._connection.select(
                f"SELECT at FROM {self._table} WHERE key BETWEEN ? AND ? ORDER BY key DESC LIMIT 1",
                (self._first, self._first + min(index, JOURNAL_SPAN) - 1),
            )
        ):
            return int(at)
        return self._found.stored.created_at


def _body(partition: int) -> str:
    return whole_sql("body", f"p{partition}")


def _listed(refs: Collection[int]) -> str:
    return msgspec.json.encode(list(refs)).decode()


def _input(connection: Connection, place: Place) -> Payload | None:
    partition, row = place
    sql = f"SELECT {_body(partition)} FROM p{partition}.journal WHERE key = ?"
    for (body,) in list(connection.select(sql, (row * JOURNAL_SPAN,))):
        return payload(input_content(body))
    return None


def _output(connection: Connection, found: Found) -> Payload | None:
    if not found.stored.has_value:
        return None
    partition, row = found.place
    value_sql = whole_sql("result_value", f"p{partition}")
    sql = f"SELECT {value_sql} FROM p{partition}.invocation WHERE row = ?"
    for (value,) in list(connection.select(sql, (row,))):
        return payload(value)
    return None
