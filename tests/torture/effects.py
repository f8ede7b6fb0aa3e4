"""The effects file as it grows: read once, from where the last reading ended."""

import threading
from pathlib import Path

from tests.harness import wait_until

Effect = tuple[str, str]
"""Invocation id and label."""


class Notes:
    """Every line so far of one effects file, since the last `take`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self._lines: list[Effect] = []
        self._awakeables: dict[str, str] = {}
        self._lock = threading.Lock()

    def wait_for_awakeable(self, token: str, deadline_s: float) -> str:
        """The id of the awakeable that was made under a token."""

        def probe() -> str | None:
            self._read()
            return self._awakeables.get(token)

        return wait_until(probe, f"awakeable of {token}", deadline_s, 0.05)

    def take(self) -> list[Effect]:
        """The lines since the last time, in the order they were written."""
        self._read()
        with self._lock:
            lines, self._lines = self._lines, []
            self._awakeables.clear()
        return lines

    def _read(self) -> None:
        with self._lock, self._path.open("rb") as file:
            file.seek(self._offset)
            data = file.read()
            whole = data.rfind(b"\n") + 1
            self._offset += whole
            for line in data[:whole].decode().splitlines():
                invocation_id, _, label = line.partition("\t")
                self._lines.append((invocation_id, label))
                if label.startswith("awakeable "):
                    _, token, awakeable = label.split(" ")
                    self._awakeables[token] = awakeable
