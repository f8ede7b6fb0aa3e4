"""Notices that the user's Python files changed, by looking at them a few times a second.

Looked at are the modules the app has imported, the files beside the app's own, and all of its package. A
look is one `stat` per file, a fraction of a millisecond for a project of hundreds; it needs no dependency, no
limit of the system's to be raised, and sees changes on network and container mounts, where events are lost.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable
from contextlib import suppress
from importlib.util import cache_from_source
from pathlib import Path
from typing import TypeAlias

POLL_S = 0.2
"""Also how long files must lie still after a change: editors and checkouts write several, one by one."""

FILES_MAX = 5_000
"""Looked at; further files of a package are not."""

_Stamp: TypeAlias = tuple[int, int]


class SourceWatch:
    """The files of one app.

    Args:
        file: the app's own; None when it is not below the current folder.
        folder: looked at instead, then.
    """

    def __init__(self, file: Path | None, folder: Path) -> None:
        self._folder = folder if file is None else file.parent
        self._whole_package = file is not None and (self._folder / "__init__.py").is_file()
        self._imported: set[Path] = set()
        self._seen = self._look()

    def add(self, imported: Iterable[str]) -> None:
        """Look at these, too, from now on."""
        new = {Path(name) for name in imported} - self._imported
        self._imported |= new
        self._seen = {**_stamps(new), **self._seen}

    async def changed(self) -> list[Path]:
        """Wait for a change to come to rest; the files, gone ones as well."""
        while True:
            await asyncio.sleep(POLL_S)
            now = self._look()
            if now == self._seen:
                continue
            while True:
                await asyncio.sleep(POLL_S)
                before, now = now, self._look()
                if now == before:
                    break
            changed = sorted(
                file for file in now.keys() | self._seen.keys() if now.get(file) != self._seen.get(file)
            )
            self._seen = now
            _forget_bytecode(changed)
            if changed:
                return changed

    def _look(self) -> dict[Path, _Stamp]:
        files = set(self._imported)
        walk = self._folder.rglob("*.py") if self._whole_package else self._folder.glob("*.py")
        for file in walk:
            if len(files) >= FILES_MAX:
                break
            files.add(file)
        return _stamps(files)


def _stamps(files: Iterable[Path]) -> dict[Path, _Stamp]:
    found: dict[Path, _Stamp] = {}
    for file in files:
        with suppress(OSError):  # gone, or being replaced
            status = os.stat(file)
            found[file] = (status.st_mtime_ns, status.st_size)
    return found


def _forget_bytecode(files: Iterable[Path]) -> None:
    """Python takes a file for unchanged when its size and its second are, which quick edits can keep."""
    for file in files:
        # NotImplementedError is what `cache_from_source` says of interpreters that keep no bytecode.
        with suppress(OSError, NotImplementedError):
            Path(cache_from_source(str(file))).unlink()
