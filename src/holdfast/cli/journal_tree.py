"""An invocation as people think of it, made of the rows the server has of it.

A journal is a list of commands (what the handler asked for) and notifications (what came back, in the order
it came). Here each command has its answer beside it, a call the invocation it started below it if asked for,
and failed attempts stand where they happened: after the last entry that was journaled before.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import cast

from holdfast.cli import exit_codes
from holdfast.cli.admin_client import Admin, AdminError, Json, Row, quoted
from holdfast.protocol.step_metadata import Usage, usage_of

ENTRIES_MAX = 10_000
"""Of one journal; the first ones."""

INVOCATIONS_MAX = 500
"""Unfolded in one tree; further calls stay folded."""

CANCEL_SIGNAL = 1
STEP_METADATA = "holdfast_step_metadata"


@dataclass(slots=True)
class Failed:
    """An attempt that failed `times` times in the same way, the first time at `at_ms`."""

    at_ms: int
    message: str
    times: int = 1


@dataclass(slots=True)
class Entry:
    """A command with what came of it, or a signal that came by itself.

    Attributes:
        kind: `Run`, `Call`, `Sleep` ...; `Signal` for a signal.
        answered_ms: epoch; None: not yet, or there is nothing to wait for (`waits`).
        result: payload; failure: "[code] message".
        detail: what it is about, where it has no name: a key, a target.
        called: the invocation it started, unfolded.
        metadata: what the service said about a step.
    """

    index: int
    kind: str
    name: str
    at_ms: int
    waits: bool = False
    answered_ms: int | None = None
    result: bytes | None = None
    failure: str | None = None
    detail: str = ""
    wakes_ms: int | None = None
    bytes_: int = 0
    called_id: str | None = None
    called: Described | None = None
    metadata: dict[str, Json] | None = None


@dataclass(slots=True)
class Described:
    """One invocation."""

    row: Row
    created_ms: int
    entries: list[Entry | Failed] = field(default_factory=list["Entry | Failed"])
    cut: bool = False
    usage: Usage | None = None


def described(admin: Admin, id_: str, depth: int) -> Described:
    """Ask the server.

    Args:
        depth: levels of called invocations to unfold.
    Raises:
        AdminError: no answer, or no such invocation.
    """
    found = _Reader(admin).read(id_, depth)
    if found is None:
        raise AdminError(
            f"the server at {admin.url} has no invocation {id_}, or keeps it no longer",
            exit_codes.REFUSED,
            404,
        )
    return found


class _Reader:
    def __init__(self, admin: Admin) -> None:
        self._admin = admin
        self._left = INVOCATIONS_MAX

    def read(self, id_: str, depth: int) -> Described | None:
        self._left -= 1
        of = f"WHERE id = {quoted(id_)}"
        rows = self._admin.query(f"SELECT * FROM sys_invocation {of}")
        if not rows:
            return None
        journal = self._admin.query(
            "SELECT index, entry_type, name, completed, invoked_id, invoked_target, sleep_wakeup_at, "
            f"promise_name, raw_length, entry_json, appended_at FROM sys_journal {of} "
            f"ORDER BY index LIMIT {ENTRIES_MAX}"
        )
        events = self._admin.query(
            "SELECT after_journal_entry_index, appended_at, event_type, event_json "
            f"FROM sys_journal_events {of} ORDER BY appended_at"
        )
        found = tree(rows[0], journal, events, self._step_metadata(of))
        found.cut = len(journal) == ENTRIES_MAX
        if depth > 0:
            for entry in found.entries:
                if isinstance(entry, Entry) and entry.called_id is not None and self._left > 0:
                    entry.called = self.read(entry.called_id, depth - 1)
        return found

    def _step_metadata(self, of: str) -> list[Row]:
        try:
            return self._admin.query(
                f"SELECT entry_index, metadata FROM {STEP_METADATA} {of} LIMIT {ENTRIES_MAX}"
            )
        except AdminError as error:
            if STEP_METADATA in str(error):
                return []  # a server that has no such table
            raise


def tree(row: Row, journal: list[Row], events: list[Row], step_metadata: Sequence[Row] = ()) -> Described:
    """The rows put together.

    Args:
        row: of sys_invocation. journal: of sys_journal, by index. events: of sys_journal_events, by time.
        step_metadata: of holdfast_step_metadata, in any order.
    """
    said = {_integer(line.get("entry_index")): _parsed(line.get("metadata")) for line in step_metadata}
    found = Described(row, epoch_ms(row.get("created_at")) or 0)
    waiting: dict[int, Entry] = {}
    failures = list(_failures(events))
    for line in journal:
        index = _integer(line.get("index"))
        while failures and failures[0][0] < index:
            found.entries.append(failures.pop(0)[1])
        side, _, kind = str(line["entry_type"]).partition(": ")
        if side == "Command":
            entry = _command(line, kind)
            entry.metadata = said.get(index)
            fields = _fields(line, "Command", kind)
            completion = fields.get("result_completion_id", fields.get("completion_id"))
            if isinstance(completion, int):
                entry.waits = True
                waiting[completion] = entry
            found.entries.append(entry)
        else:
            _notification(line, kind, waiting, found.entries)
    found.entries += [failed for _, failed in failures]
    found.usage = usage_of(said.values())
    return found


def _command(line: Row, kind: str) -> Entry:
    fields = _fields(line, "Command", kind)
    entry = Entry(
        _integer(line.get("index")),
        kind,
        str(line.get("name") or ""),
        epoch_ms(line.get("appended_at")) or 0,
        detail=str(line.get("invoked_target") or line.get("promise_name") or fields.get("key") or ""),
        wakes_ms=epoch_ms(line.get("sleep_wakeup_at")),
        bytes_=_integer(line.get("raw_length")),
    )
    if line.get("invoked_id"):
        entry.called_id = str(line["invoked_id"])
    match kind:
        case "Input":
            entry.result = _bytes(fields.get("payload"))
        case "SendSignal" | "CompleteAwakeable":
            entry.detail = str(fields.get("id") or fields.get("target_invocation_id") or "")
            _take_result(entry, fields.get("result"))
        case "SetState":
            entry.result = _bytes(fields.get("value"))
        case "CompletePromise":
            _take_result(entry, fields.get("value"))
        case _:
            _take_result(entry, fields.get("result"))
    return entry


def _notification(line: Row, kind: str, waiting: dict[int, Entry], entries: list[Entry | Failed]) -> None:
    at_ms = epoch_ms(line.get("appended_at")) or 0
    whole = _fields(line, "Notification")
    completion = whole.get("Completion")
    if isinstance(completion, dict):
        inner = completion.get(kind)
        fields = inner if isinstance(inner, dict) else {}
        entry = waiting.get(_integer(fields.get("completion_id"), -1))
        if entry is not None:
            entry.answered_ms = at_ms
            _take_result(entry, fields.get("result"))
        return
    signal = whole.get("Signal")
    if not isinstance(signal, dict):
        return  # too large to be given as JSON
    id_ = signal.get("id")
    which = id_ if isinstance(id_, dict) else {}
    name = "cancel" if which.get("Index") == CANCEL_SIGNAL else str(which.get("Name", which.get("Index", "")))
    entry = Entry(_integer(line.get("index")), "Signal", name, at_ms, bytes_=_integer(line.get("raw_length")))
    _take_result(entry, signal.get("result"))
    entries.append(entry)


def _failures(events: list[Row]) -> Iterator[tuple[int, Failed]]:
    """(index of the entry it comes after, failure); the same one again and again is one."""
    last: tuple[int, Failed] | None = None
    for event in events:
        detail = _parsed(event.get("event_json"))
        if event.get("event_type") != "TransientError":
            continue
        after = _integer(event.get("after_journal_entry_index"))
        message = f"[{detail.get('error_code', '')}] {detail.get('error_message', '')}"
        if last is not None and last[0] == after and last[1].message == message:
            last[1].times += 1
            continue
        if last is not None:
            yield last
        last = (after, Failed(epoch_ms(event.get("appended_at")) or 0, message))
    if last is not None:
        yield last


def _take_result(entry: Entry, result: Json) -> None:
    if not isinstance(result, dict):
        return
    if "Success" in result:
        entry.result = _bytes(result["Success"])
    elif isinstance(failure := result.get("Failure"), dict):
        entry.failure = f"[{failure.get('code')}] {failure.get('message')}"


def _fields(line: Row, *path: str) -> dict[str, Json]:
    found: Json = _parsed(line.get("entry_json"))
    for part in path:
        found = found.get(part) if isinstance(found, dict) else None
    return found if isinstance(found, dict) else {}


def _parsed(text: Json) -> dict[str, Json]:
    if not isinstance(text, str):
        return {}
    try:
        value = cast("Json", json.loads(text))
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _bytes(value: Json) -> bytes | None:
    if not isinstance(value, list):
        return None
    return bytes(item for item in value if isinstance(item, int) and 0 <= item <= 255)


def _integer(value: Json, default: int = 0) -> int:
    return value if isinstance(value, int) else default


def epoch_ms(value: Json) -> int | None:
    """Of an instant as the server writes it, `2026-01-31T12:00:00.123Z`."""
    if not isinstance(value, str):
        return None
    try:
        return round(datetime.fromisoformat(value).timestamp() * 1000)
    except ValueError:
        return None
