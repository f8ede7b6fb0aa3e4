"""Durable promises of workflow keys, and who listens to them."""

from __future__ import annotations

from typing import cast

from holdfast.core.model import Result, Row
from holdfast.storage.buffer import Buffer
from holdfast.storage.database import Database
from holdfast.storage.invocations import decode_result, encode_result

_Promise = tuple[str, str]
_Listener = tuple[str, str, int]


class Promises:
    """Implements core's PromiseTable."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._promises: Buffer[_Promise, Result] = Buffer(
            database,
            "promise",
            ("object", "key", "value", "code", "message", "metadata"),
            ("object", "key"),
            lambda key, result: (*key, *encode_result(result)),
            lambda key: key,
        )
        self._listeners: Buffer[_Listener, tuple[Row, int]] = Buffer(
            database,
            "promise_listener",
            ("object", "key", "sequence", "row", "completion_id"),
            ("object", "key", "sequence"),
            lambda key, listener: (*key, *listener),
            lambda key: key,
        )
        found = database.first("SELECT max(sequence) FROM promise_listener")
        self._sequence = 0 if found is None or found[0] is None else cast(int, found[0])

    def get(self, object_: str, key: str) -> Result | None:
        pending = self._promises.pending
        if (object_, key) in pending:
            return pending[object_, key]
        found = self._database.first(
            "SELECT value, code, message, metadata FROM promise WHERE object = ? AND key = ?", (object_, key)
        )
        return None if found is None else decode_result(*found)

    def complete(self, object_: str, key: str, result: Result) -> None:
        self._promises.pending[object_, key] = result

    def add_listener(self, object_: str, key: str, row: Row, completion_id: int) -> None:
        self._sequence += 1
        self._listeners.pending[object_, key, self._sequence] = (row, completion_id)

    def take_listeners(self, object_: str, key: str) -> list[tuple[Row, int]]:
        self._listeners.flush()
        found = self._database.rows(
            "SELECT sequence, row, completion_id FROM promise_listener WHERE object = ? AND key = ? "
            "ORDER BY sequence",
            (object_, key),
        )
        for sequence, _, _ in found:
            self._listeners.pending[object_, key, sequence] = None
        return [(row, completion_id) for _, row, completion_id in found]

    def delete(self, object_: str) -> None:
        self._promises.flush()
        self._listeners.flush()
        for (key,) in self._database.rows("SELECT key FROM promise WHERE object = ?", (object_,)):
            self._promises.pending[object_, key] = None
        for key, sequence in self._database.rows(
            "SELECT key, sequence FROM promise_listener WHERE object = ?", (object_,)
        ):
            self._listeners.pending[object_, key, sequence] = None

    def flush(self) -> None:
        self._promises.flush()
        self._listeners.flush()

    def committed(self) -> None:
        self._promises.committed()
        self._listeners.committed()
