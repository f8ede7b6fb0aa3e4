"""Journals and invocations as a test reads them.

Values are decoded where they are JSON or nothing, and stay bytes otherwise. What an entry is called is the
wire's name of it without its suffix: `Input`, `Run`, `Sleep`, `Call`, `SetState`, `Output`, and for what came
back the same name again as a notification.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, overload

from holdfast.protocol import messages as wire
from holdfast.protocol.framing import is_notification, type_name
from holdfast.protocol.results import Failure, InvocationIdResult, StateKeys, Value
from holdfast.sdk.errors import TerminalError
from holdfast.sdk.journal_file import StoredEntry, StoredJournal


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """One entry.

    Attributes:
        index: its place in the journal; 0 is the input.
        type: `Run`, `Sleep`, `Call` ...
        is_notification: whether it came back, rather than being asked for.
        name: what the handler called it (a step's name), or what it is about: a state key, a promise, a
            called handler. Empty when there is nothing to say.
        value: the payload: input, output, argument, result, state. JSON is decoded, other bytes are as they
        are. failure: the terminal error it ended with.
        metadata: what the step said about itself (`holdfast.step(metadata=..., describe=...)`).
    """

    index: int
    type: str
    is_notification: bool
    name: str
    value: object
    failure: TerminalError | None
    metadata: Mapping[str, Any] | None = None

    def __str__(self) -> str:
        arrow = "<-" if self.is_notification else "  "
        parts = [f"{self.index:3} {arrow} {self.type}"]
        if self.name:
            parts.append(repr(self.name))
        if self.failure is not None:
            parts.append(f"failed: {self.failure}")
        elif self.value is not None:
            parts.append(f"{self.value!r:.120}")
        if self.metadata is not None:
            parts.append(f"about: {json.dumps(self.metadata)[:METADATA_CHARS_SHOWN]}")
        return " ".join(parts)


METADATA_CHARS_SHOWN = 120
_NO_METADATA: Mapping[int, Mapping[str, Any]] = {}


class Journal(Sequence[JournalEntry]):
    """The entries of one invocation, by index. Its text is a table to read."""

    def __init__(
        self, stored: StoredJournal, metadata: Mapping[int, Mapping[str, Any]] = _NO_METADATA
    ) -> None:
        self.stored = stored
        self._entries = tuple(
            _read(index, entry, metadata.get(index)) for index, entry in enumerate(stored.entries)
        )

    @overload
    def __getitem__(self, index: int) -> JournalEntry: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[JournalEntry, ...]: ...
    def __getitem__(self, index: int | slice) -> JournalEntry | tuple[JournalEntry, ...]:
        return self._entries[index]

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[JournalEntry]:
        return iter(self._entries)

    def __str__(self) -> str:
        return "\n".join(str(entry) for entry in self)

    def __repr__(self) -> str:
        return f"<Journal of {self.stored.invocation_id}\n{self}>"

    @property
    def steps(self) -> list[str]:
        """The names of the steps, in order."""
        return [entry.name for entry in self if entry.type == "Run" and not entry.is_notification]

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the file that `holdfast replay-check` reads."""
        self.stored.save(path)


@dataclass(frozen=True, slots=True)
class InvocationView:
    """An invocation as it stands.

    Attributes:
        id: as printed, `inv_...`.
        target: `Service/handler` or `Service/key/handler`.
        status: scheduled, inboxed, running, backing-off, suspended, paused or completed.
        failure: why the last attempt failed, or what it was completed with; None without one.
        retry_count: attempts that failed since the journal last grew.
        entries: length of the journal.
    """

    id: str
    target: str
    service: str
    handler: str
    key: str | None
    status: str
    failure: str | None
    retry_count: int
    entries: int


def decoded(data: bytes) -> object:
    """JSON as its value, nothing as None, other bytes as they are."""
    if not data:
        return None
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return data


def _read(index: int, entry: StoredEntry, metadata: Mapping[str, Any] | None) -> JournalEntry:
    notification = is_notification(entry.type)
    message = (
        wire.NotificationTemplate.decode(entry.body) if notification else wire.decode(entry.type, entry.body)
    )
    value, failure = _result(message)
    return JournalEntry(index, type_name(entry.type), notification, _name(message), value, failure, metadata)


def _name(message: object) -> str:
    if isinstance(message, wire.CallCommandMessage | wire.OneWayCallCommandMessage):
        parts = (message.service_name, message.key, message.handler_name)
        return "/".join(part for part in parts if part)
    if isinstance(message, wire.NotificationTemplate):
        return message.signal_name or ""
    key = getattr(message, "key", "")
    about = key.decode("utf-8", "replace") if isinstance(key, bytes) else str(key)
    label = getattr(
        message, "entry_name" if isinstance(message, wire.SendSignalCommandMessage) else "name", ""
    )
    return about or str(label)


def _result(message: object) -> tuple[object, TerminalError | None]:
    if isinstance(message, wire.CallCommandMessage | wire.OneWayCallCommandMessage):
        return decoded(message.parameter), None
    for field in ("result", "value", "completion"):
        match getattr(message, field, None):
            case Value(content):
                return decoded(content), None
            case Failure(code, text, metadata):
                return None, TerminalError(text, code, dict(metadata))
            case InvocationIdResult(text):
                return text, None
            case StateKeys(keys):
                return [key.decode("utf-8", "replace") for key in keys], None
            case _:
                pass
    return None, None
