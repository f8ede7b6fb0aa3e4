"""The data directory: one process at a time, one file per partition, one for the catalog."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path


class DataDirInUse(Exception):
    """Another process holds the directory."""


class DataDir:
    """An exclusive hold on a data directory, until `release` or the process's end (the kernel lets go)."""

    def __init__(self, path: Path) -> None:
        """Make the directory if needed and take hold of it.

        Raises:
            DataDirInUse: another server runs on it.
            OSError: it cannot be made or written.
        """
        self.path = path
        path.mkdir(parents=True, exist_ok=True)
        self._lock = os.open(path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._lock)
            holder = (path / "lock").read_text().strip() or "unknown"
            raise DataDirInUse(
                f"{path} is in use by another server (process {holder}); stop it, or give another --data-dir"
            ) from error
        os.ftruncate(self._lock, 0)
        os.write(self._lock, str(os.getpid()).encode())

    @property
    def catalog_file(self) -> Path:
        return self.path / "meta.sqlite"

    def partition_file(self, partition: int) -> Path:
        return self.path / f"partition-{partition}.sqlite"

    def release(self) -> None:
        os.close(self._lock)
