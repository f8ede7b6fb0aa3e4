"""The JSON of invocations, attempts and journal entries: one definition for the answers and their document.

Plain dataclasses: msgspec writes them, FastAPI reads them for the OpenAPI document. Instants are RFC 3339
texts in UTC with milliseconds.
"""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Literal

import msgspec

PAYLOAD_DATA_BYTES_MAX = 16 * 1024
SECONDS_KEPT_MAX = 4096

Status = Literal[
    "pending",
    "scheduled",
    "ready",
    "running",
    "suspended",
    "backing-off",
    "paused",
    "succeeded",
    "failed",
]
Outcome = Literal["running", "suspended", "failed", "completed", "paused", "aborted"]
EntryState = Literal["pending", "done", "failed"]
EntryType = Literal[
    "run",
    "sleep",
    "call",
    "send",
    "awakeable",
    "promise_get",
    "promise_peek",
    "promise_complete",
    "state_get",
    "state_set",
    "state_clear",
    "state_clear_all",
    "state_keys",
    "attach",
    "output_get",
    "awakeable_complete",
    "signal_wait",
    "signal_send",
    "input",
    "output",
    "unknown",
]
Encoding = Literal["json", "text", "base64"]


@dataclass(slots=True)
class Failed:
    """How an invocation ended that failed. `code` is like an HTTP status."""

    code: int
    message: str


@dataclass(slots=True)
class LastFailure:
    """Why the last attempt failed. `doc_code` is an entry of the list of error codes, such as `RT0007`;
    `entry_index` is the journal entry it happened in, where that is known."""

    code: int
    message: str
    doc_code: str | None
    entry_index: int | None


@dataclass(slots=True)
class Parent:
    """The invocation that called. `entry_index`, its journal entry, is looked up for single ones only."""

    id: str
    target: str | None
    entry_index: int | None


@dataclass(slots=True)
class Usage:
    """What the model steps of an invocation have used so far."""

    model_calls: int
    tokens_in: int
    tokens_out: int


@dataclass(slots=True)
class Summary:
    """An invocation in a few words.

    `started_at` is when its first attempt began, `scheduled_at` when a delayed one is to begin; `retry_count`
    are the attempts that failed since the last progress; `journal_length` counts commands and notifications.
    """

    id: str
    target: str
    service: str
    handler: str
    key: str | None
    kind: Literal["service", "virtual_object", "workflow"]
    status: Status
    failure: Failed | None
    created_at: str
    started_at: str | None
    modified_at: str
    completed_at: str | None
    scheduled_at: str | None
    next_retry_at: str | None
    deployment_id: str | None
    revision: int | None
    retry_count: int
    last_failure: LastFailure | None
    parent: Parent | None
    idempotency_key: str | None
    journal_length: int
    usage: Usage | None


@dataclass(slots=True)
class InvocationPage:
    """Newest first. `next`, given as `before`, continues; null: there are no more."""

    invocations: list[Summary]
    next: str | None


@dataclass(slots=True)
class Payload:
    """At most 16 KiB of a value. `data` is the JSON value itself, text, or base64 as `encoding` says; `cut`
    when `bytes`, the size of the whole, is more than that."""

    bytes: int
    encoding: Encoding
    data: Any
    cut: bool


@dataclass(slots=True)
class AttemptError:
    """Why an attempt failed; `entry_index` is the journal entry it happened in, where that is known."""

    code: int
    message: str
    doc_code: str | None
    stacktrace: str | None
    entry_index: int | None


@dataclass(slots=True)
class Attempt:
    """One attempt at running the handler, numbered from 1."""

    number: int
    started_at: str
    ended_at: str | None
    outcome: Outcome
    deployment_id: str | None
    error: AttemptError | None


@dataclass(slots=True)
class EntryFailure:
    """A terminal failure as the result of a command."""

    code: int
    message: str
    metadata: dict[str, str]


@dataclass(slots=True)
class Callee:
    """The invocation that a command is about."""

    id: str | None
    target: str | None


@dataclass(slots=True)
class Retry:
    """An attempt that failed in this entry."""

    at: str
    message: str
    code: int
    stacktrace: str | None


@dataclass(slots=True)
class Entry:
    """A command of the journal with its answer folded in, or a signal.

    `index` is the journal's. Awakeables and signals have no command there: what the handler waits for, and
    the latest answer to it, has an index of its own from 2^20 on, the same as long as the invocation lives.
    `metadata` is the JSON object that the service said of a step, `retries` attempts that failed in it.
    """

    index: int
    type: EntryType
    name: str | None
    started_at: str
    completed_at: str | None = None
    state: EntryState = "pending"
    input: Payload | None = None
    value: Payload | None = None
    failure: EntryFailure | None = None
    callee: Callee | None = None
    wake_at: str | None = None
    awakeable_id: str | None = None
    promise: str | None = None
    signal: str | None = None
    metadata: Any = None
    retries: list[Retry] = field(default_factory=list[Retry])


@dataclass(slots=True)
class EntriesEvent:
    """What is new or has changed of an invocation's attempts and entries."""

    id: str
    attempts: list[Attempt]
    entries: list[Entry]


@dataclass(slots=True)
class GoneEvent:
    """An invocation was purged, or its retention has ended."""

    id: str


@dataclass(slots=True)
class Timeline:
    """An invocation with its journal. `input` is null when the journal is no longer retained. `next`, given
    as `after`, continues; null: there is no more at the moment."""

    invocation: Summary
    input: Payload | None
    output: Payload | None
    attempts: list[Attempt]
    entries: list[Entry]
    next: int | None


def to_json(value: object) -> bytes:
    """The bytes of an answer."""
    return msgspec.json.encode(value)


def instant(at_ms: int) -> str:
    """`2026-11-22T18:05:08.249Z`. An instant no calendar has is written as the last one that it has."""
    seconds, ms = divmod(at_ms, 1000)
    return f"{_second(seconds)}.{ms:03d}Z"


def maybe_instant(at_ms: int | None) -> str | None:
    return None if at_ms is None else instant(at_ms)


@lru_cache(maxsize=SECONDS_KEPT_MAX)
def _second(seconds: int) -> str:
    try:
        at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
    except OverflowError:
        return "9999-12-31T23:59:59"
    return f"{at:%Y-%m-%dT%H:%M:%S}"


def payload(content: bytes) -> Payload:
    """The part of a value that is shown."""
    size = len(content)
    if size <= PAYLOAD_DATA_BYTES_MAX:
        if not content:
            return Payload(0, "text", "", False)
        try:
            msgspec.json.decode(content)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            pass
        else:
            # Not through Python's numbers: what is shown has the digits that were written.
            return Payload(size, "json", msgspec.Raw(content), False)
        try:
            return Payload(size, "text", content.decode(), False)
        except UnicodeDecodeError:
            pass
    else:
        head = content[:PAYLOAD_DATA_BYTES_MAX]
        try:
            return Payload(size, "text", head.decode(), True)
        except UnicodeDecodeError as error:
            if error.start > PAYLOAD_DATA_BYTES_MAX - 4 and error.reason == "unexpected end of data":
                return Payload(size, "text", head[: error.start].decode(), True)
    shown = content[: PAYLOAD_DATA_BYTES_MAX * 3 // 4]
    return Payload(size, "base64", b64encode(shown).decode(), len(shown) < size)
