"""What really ran: services append a line per side effect, tests count the lines.

One line is `invocation id, tab, label`. Lines are written with one append-only write each, before the
step's result is reported, so a line without a journaled result is possible and the reverse is not.
"""

from pathlib import Path

from .processes import wait_until


class Effects:
    """The side effect file of every service of one test session."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.touch()

    def of(self, invocation_id: str) -> list[str]:
        """The labels of one invocation, in the order they were written."""
        prefix = f"{invocation_id}\t"
        return [line.removeprefix(prefix) for line in self._lines() if line.startswith(prefix)]

    def all(self) -> dict[str, list[str]]:
        """The labels of every invocation."""
        found: dict[str, list[str]] = {}
        for line in self._lines():
            invocation_id, _, label = line.partition("\t")
            found.setdefault(invocation_id, []).append(label)
        return found

    def count(self, invocation_id: str, label: str) -> int:
        return self.of(invocation_id).count(label)

    def wait_for(self, invocation_id: str, prefix: str, deadline_s: float = 15.0) -> str:
        """The rest of the first label that starts with `prefix`."""

        def probe() -> str | None:
            return next((label for label in self.of(invocation_id) if label.startswith(prefix)), None)

        return wait_until(probe, f"{invocation_id} to write {prefix!r}", deadline_s).removeprefix(prefix)

    def _lines(self) -> list[str]:
        return self.path.read_text().splitlines()
