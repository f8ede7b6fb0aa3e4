"""The object's state as the handler sees it: what came with Start, under its own writes.

On replay the map in Start already holds the effect of the stored writes; writing them again in order gives
the same (protocol, "Pitfalls" 9).
"""

from collections.abc import Iterable


class StateView:
    """A map that may be partial: then a key that is not here is unknown, not unset."""

    __slots__ = ("_known", "_partial")

    def __init__(self, entries: Iterable[tuple[bytes, bytes]], partial: bool) -> None:
        self._known: dict[bytes, bytes | None] = dict(entries)
        self._partial = partial

    def knows(self, key: bytes) -> bool:
        """Whether `get` can answer without asking the server."""
        return not self._partial or key in self._known

    def get(self, key: bytes) -> bytes | None:
        """The value; None when unset (or unknown: ask `knows` first)."""
        return self._known.get(key)

    def keys(self) -> tuple[bytes, ...] | None:
        """Every set key, sorted; None when only the server knows."""
        if self._partial:
            return None
        return tuple(sorted(key for key, value in self._known.items() if value is not None))

    def set(self, key: bytes, value: bytes) -> None:
        """A write of the handler."""
        self._known[key] = value

    def clear(self, key: bytes) -> None:
        """The handler removed a key."""
        self._known[key] = None

    def clear_all(self) -> None:
        """The handler removed every key; from here on nothing is unknown."""
        self._known.clear()
        self._partial = False
