"""Online backup of a data directory.

SQLite copies each file page by page while the server goes on; a copy is the file as of one commit. Files are
copied one after another, the catalog last, so that a deployment which a copied journal names is in the copied
catalog.

With several partitions the copies are of different instants, and messages between partitions assume that no
side goes back in time. A backup of such a directory that must be exact needs the server stopped.
"""

from __future__ import annotations

import os
from pathlib import Path

import apsw

from holdfast.storage.database import StorageError, storage_error

_PAGES_PER_STEP = 2_000


def copy_data_dir(source: Path, destination: Path) -> list[Path]:
    """Copy every database of `source` into the new directory `destination`; the files made.

    Raises:
        StorageError: HF0016 nothing to copy; or the disk failed.
        FileExistsError: the destination exists.
    """
    files = [*sorted(source.glob("partition-*.sqlite")), *source.glob("meta.sqlite")]
    if not files:
        raise StorageError("HF0016", f"{source} holds no Holdfast databases")
    destination.mkdir(parents=True)
    return [_copy(file, destination / file.name) for file in files]


def _copy(file: Path, to: Path) -> Path:
    try:
        source = apsw.Connection(os.fspath(file), flags=apsw.SQLITE_OPEN_READONLY)
        target = apsw.Connection(os.fspath(to))
        try:
            with target.backup("main", source, "main") as copying:
                while not copying.done:
                    copying.step(_PAGES_PER_STEP)
        finally:
            target.close()
            source.close()
    except apsw.Error as error:
        raise storage_error(error) from error
    return to
