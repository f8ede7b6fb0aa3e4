"""Copies of files that are in use."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from core.harness import ORDERS

from holdfast.core.model import Row
from holdfast.storage.backup import copy_data_dir
from holdfast.storage.database import StorageError
from holdfast.storage.partition_tables import PartitionTables


def test_a_copy_of_a_live_file_is_the_file_as_of_one_commit(tmp_path: Path) -> None:
    """Method: a writer commits pairs while copies are made; no copy holds half a pair."""
    source = tmp_path / "data"
    source.mkdir()
    tables = PartitionTables(source / "partition-0.sqlite")
    tables.database.execute("PRAGMA synchronous=OFF")
    for number in range(500):
        tables.timers.put(number, 0, Row(1), 0)
    tables.commit()
    stop = threading.Event()

    def write() -> None:
        number = 1_000
        while not stop.is_set():
            number += 1
            tables.state.set("o/k", b"a", b"%d" % number)
            tables.state.set("o/k", b"b", b"%d" % number)
            tables.commit()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        copies = [copy_data_dir(source, tmp_path / f"copy-{n}") for n in range(5)]
    finally:
        stop.set()
        writer.join(30)
    for (copy,) in copies:
        copied = PartitionTables(copy)
        assert copied.state.get("o/k", b"a") == copied.state.get("o/k", b"b")
        assert len(copied.timers.due(1000, 10_000)) == 500
        copied.close()
    tables.close()


def test_everything_that_is_committed_is_in_the_copy(tmp_path: Path) -> None:
    from core.harness import COUNTER, World, set_state

    world = World(2, tmp_path)
    id_ = world.start(COUNTER)
    world.report(id_, set_state(b"k", b"v"))
    copies = copy_data_dir(tmp_path, tmp_path / "copy")
    assert [copy.name for copy in copies] == ["partition-0.sqlite", "partition-1.sqlite"]
    for copy, tables in zip(copies, world.tables, strict=True):
        copied = PartitionTables(copy, tables.partition, 2)
        for table, order in ORDERS.items():
            query = f"SELECT * FROM {table} ORDER BY {order}"
            assert copied.database.rows(query) == tables.database.rows(query)
        copied.close()
    world.close()


def test_an_empty_directory_and_an_existing_destination_are_refused(tmp_path: Path) -> None:
    with pytest.raises(StorageError) as refused:
        copy_data_dir(tmp_path, tmp_path / "copy")
    assert refused.value.code == "HF0016"
    (tmp_path / "partition-0.sqlite").touch()
    (tmp_path / "there").mkdir()
    with pytest.raises(FileExistsError):
        copy_data_dir(tmp_path, tmp_path / "there")
