"""Durable promises of workflow keys, and who listens to them."""

from __future__ import annotations

from typing import cast

from holdfast.core.model import Result, Row
from holdfast.storage.blobs import Blobs, Holder, name_of
from holdfast.storage.buffer import Buffer
from holdfast.storage.database import Database, Value
from holdfast.storage.invocations import decode_result, encode_result

_Promise = tuple[str, str]
_Listener = tuple[str, str, int]


class Promises:
    """Implements core's PromiseTable."""

    def __init__(self, database: Database, blobs: Blobs) -> None:
        self._database = database
        self._blobs = blobs
        self._promises: Buffer[_Promise, Result] = Buffer(
            database,
            "promise",
            ("object", "key", "value", "code", "message", "metadata"),
            ("object", "key"),
            self._encode,
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
        if found is None:
            return None
        value, *rest = found
        return decode_result(self._blobs.whole(value) if isinstance(value, str) else value, *rest)

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
            if self._blobs.any_of(Holder.PROMISE):
                self._blobs.drop(Holder.PROMISE, name_of(object_, key.encode()))
        for key, sequence in self._database.rows(
            "SELECT key, sequence FROM promise_listener WHERE object = ?", (object_,)
        ):
            self._listeners.pending[object_, key, sequence] = None

    def _encode(self, at: _Promise, result: Result) -> tuple[Value, ...]:
        value, *rest = encode_result(result)
        if isinstance(value, bytes) and len(value) > self._blobs.inline_bytes_max:
            object_, key = at
            value = self._blobs.put(Holder.PROMISE, name_of(object_, key.encode()), value)
        return (*at, value, *rest)

    def flush(self) -> None:
        self._promises.flush()
        self._listeners.flush()

    def committed(self) -> None:
        self._promises.committed()
        self._listeners.committed()
