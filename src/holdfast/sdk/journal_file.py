"""A journal in a file: what is needed to replay an invocation elsewhere, against other code.

The file is JSON, so that it can be kept beside the tests and its differences read:

    {"format": 1, "service": ..., "handler": ..., "key": ... or null, "invocation_id": ...,
     "protocol_version": 7, "random_seed": ..., "state": {key: base64},
     "entries": [{"type": 1024, "body": base64}, ...]}

`entries` are commands and notifications in journal order, as on the wire (protocol, "Frame layout"). `state`
is the object's state when the journal was saved; it is what an attempt would be sent now.
"""

from __future__ import annotations

import json
import os
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeVar, cast

from holdfast.protocol.framing import is_command, is_notification
from holdfast.sdk.errors import UsageError

FORMAT: Final = 1

T = TypeVar("T", str, int, list[object], dict[str, object])


@dataclass(frozen=True, slots=True)
class StoredEntry:
    """A journal entry: its frame's type and body."""

    type: int
    body: bytes


@dataclass(frozen=True, slots=True)
class StoredJournal:
    """An invocation's journal with what its Start message needs.

    Attributes:
        key: of the object or workflow; None for plain services.
        invocation_id: as printed, `inv_...`.
        protocol_version: the one the entries are written in.
        random_seed: unsigned, 64 bits.
        state: of the object, empty for plain services.
        entries: by journal index, no gaps; the first is the input.
    """

    service: str
    handler: str
    key: str | None
    invocation_id: str
    protocol_version: int
    random_seed: int
    state: Mapping[str, bytes] = field(default_factory=dict[str, bytes])
    entries: tuple[StoredEntry, ...] = ()

    def to_json(self) -> str:
        """The file's text."""
        value = {
            "format": FORMAT,
            "service": self.service,
            "handler": self.handler,
            "key": self.key,
            "invocation_id": self.invocation_id,
            "protocol_version": self.protocol_version,
            "random_seed": self.random_seed,
            "state": {key: b64encode(value).decode() for key, value in sorted(self.state.items())},
            "entries": [
                {"type": entry.type, "body": b64encode(entry.body).decode()} for entry in self.entries
            ],
        }
        return json.dumps(value, indent=1, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str, source: str = "the journal") -> StoredJournal:
        """Read a file's text.

        Args:
            source: names the file in errors.
        Raises:
            UsageError: `journal_file`, it is not such a file; says where it goes wrong.
        """
        try:
            value: object = json.loads(text)
        except ValueError as error:
            raise _bad(source, f"it is not JSON: {error}") from None
        if not isinstance(value, dict):
            raise _bad(source, "expected an object")
        fields = cast("dict[str, object]", value)
        if fields.get("format") != FORMAT:
            raise _bad(source, f"its format is {fields.get('format')!r}, this release reads format {FORMAT}")
        key = fields.get("key")
        if key is not None and not isinstance(key, str):
            raise _bad(source, "key is neither text nor null")
        state = _get(source, fields, "state", dict)
        entries = _get(source, fields, "entries", list)
        return cls(
            service=_get(source, fields, "service", str),
            handler=_get(source, fields, "handler", str),
            key=key,
            invocation_id=_get(source, fields, "invocation_id", str),
            protocol_version=_get(source, fields, "protocol_version", int),
            random_seed=_get(source, fields, "random_seed", int),
            state={name: _bytes(source, f"state {name!r}", data) for name, data in state.items()},
            entries=tuple(_entry(source, index, entry) for index, entry in enumerate(entries)),
        )

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the file. Raises OSError."""
        Path(path).write_text(self.to_json(), encoding="utf-8")

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> StoredJournal:
        """Read a file that `save` wrote.

        Raises:
            OSError: it cannot be read.
            UsageError: `journal_file`, it is not such a file.
        """
        try:
            text = Path(path).read_text(encoding="utf-8")
        except UnicodeDecodeError:
            raise _bad(os.fspath(path), "it is not UTF-8 text") from None
        return cls.from_json(text, os.fspath(path))


def _bad(source: str, what: str) -> UsageError:
    return UsageError("journal_file", f"{source} is not a stored journal: {what}")


def _get(source: str, fields: dict[str, object], name: str, kind: type[T]) -> T:
    value = fields.get(name)
    if not isinstance(value, kind) or isinstance(value, bool):
        raise _bad(source, f"{name} is {value!r:.80}, expected {kind.__name__}")
    return value


def _bytes(source: str, where: str, value: object) -> bytes:
    if not isinstance(value, str):
        raise _bad(source, f"{where} is {value!r:.80}, expected base64 text")
    try:
        return b64decode(value, validate=True)
    except ValueError as error:
        raise _bad(source, f"{where} is not base64: {error}") from None


def _entry(source: str, index: int, value: object) -> StoredEntry:
    fields = cast("dict[str, object]", value) if isinstance(value, dict) else {}
    type_ = _get(source, fields, "type", int)
    if not (is_command(type_) or is_notification(type_)):
        raise _bad(source, f"entry {index} has type {type_:#06x}, which is no command or notification")
    return StoredEntry(type_, _bytes(source, f"entry {index}", fields.get("body")))
