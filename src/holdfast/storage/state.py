"""The state table: keys and values of objects and workflows.

Exclusive handlers are sent their object's whole state at every attempt, so whole states are cached, bounded
by bytes; a state that was never asked for whole is read key by key.
"""

from __future__ import annotations

from collections import OrderedDict

from holdfast.storage.blobs import Blobs, Holder, name_of
from holdfast.storage.buffer import Buffer
from holdfast.storage.database import Database, Value

CACHED_STATE_BYTES_MAX = 32 * 1024 * 1024
_ENTRY_OVERHEAD_BYTES = 200


class State:
    """Implements core's StateTable."""

    def __init__(self, database: Database, blobs: Blobs) -> None:
        self._database = database
        self._blobs = blobs
        self._buffer: Buffer[tuple[str, bytes], bytes] = Buffer(
            database,
            "state",
            ("object", "key", "value"),
            ("object", "key"),
            self._encode,
            lambda key: key,
        )
        self._cache: OrderedDict[str, dict[bytes, bytes]] = OrderedDict()
        self._cache_bytes = 0

    def get(self, object_: str, key: bytes) -> bytes | None:
        cached = self._cache.get(object_)
        if cached is not None:
            return cached.get(key)
        pending = self._buffer.pending
        if (object_, key) in pending:
            return pending[object_, key]
        found = self._database.first("SELECT value FROM state WHERE object = ? AND key = ?", (object_, key))
        return None if found is None else self._blobs.value(found[0])

    def keys(self, object_: str) -> tuple[bytes, ...]:
        return tuple(sorted(self.all(object_)))

    def all(self, object_: str) -> dict[bytes, bytes]:
        """The whole state. The caller must not change the dict."""
        cached = self._cache.get(object_)
        if cached is not None:
            self._cache.move_to_end(object_)
            return cached
        self._buffer.flush()
        state: dict[bytes, bytes] = dict(
            self._database.rows("SELECT key, value FROM state WHERE object = ?", (object_,))
        )
        if self._blobs.any_of(Holder.STATE):
            state = {key: self._blobs.value(value) for key, value in state.items()}
        self._cache[object_] = state
        self._cache_bytes += _size(state)
        while self._cache_bytes > CACHED_STATE_BYTES_MAX and len(self._cache) > 1:
            _, evicted = self._cache.popitem(last=False)
            self._cache_bytes -= _size(evicted)
        return state

    def set(self, object_: str, key: bytes, value: bytes) -> None:
        self._buffer.pending[object_, key] = value
        cached = self._cache.get(object_)
        if cached is not None:
            old = cached.get(key)
            grown = (
                len(value) - len(old) if old is not None else len(key) + len(value) + _ENTRY_OVERHEAD_BYTES
            )
            self._cache_bytes += grown
            cached[key] = value

    def clear(self, object_: str, key: bytes) -> None:
        self._buffer.pending[object_, key] = None
        cached = self._cache.get(object_)
        if cached is not None:
            old = cached.pop(key, None)
            if old is not None:
                self._cache_bytes -= len(key) + len(old) + _ENTRY_OVERHEAD_BYTES

    def clear_all(self, object_: str) -> None:
        for key in tuple(self.all(object_)):
            self.clear(object_, key)

    def flush(self) -> None:
        self._buffer.flush()
        blobs = self._blobs
        if blobs.any_of(Holder.STATE):
            for (object_, key), value in self._buffer.pending.items():
                if value is None or len(value) <= blobs.inline_bytes_max:
                    blobs.drop(Holder.STATE, name_of(object_, key))

    def _encode(self, at: tuple[str, bytes], value: bytes) -> tuple[Value, ...]:
        if len(value) <= self._blobs.inline_bytes_max:
            return (*at, value)
        return (*at, self._blobs.put(Holder.STATE, name_of(*at), value))

    def committed(self) -> None:
        self._buffer.committed()


def _size(state: dict[bytes, bytes]) -> int:
    return _ENTRY_OVERHEAD_BYTES + sum(len(k) + len(v) + _ENTRY_OVERHEAD_BYTES for k, v in state.items())
