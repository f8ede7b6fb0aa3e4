"""One process at a time on a data directory."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from holdfast.server.data_dir import DataDir, DataDirInUse


def test_a_second_hold_is_refused_and_names_the_holder(tmp_path: Path) -> None:
    first = DataDir(tmp_path / "new" / "data")
    with pytest.raises(DataDirInUse, match=str(os.getpid())):
        DataDir(tmp_path / "new" / "data")
    first.release()
    DataDir(tmp_path / "new" / "data").release()


def test_a_lock_file_that_was_left_behind_holds_nobody_up(tmp_path: Path) -> None:
    (tmp_path / "lock").write_text("999999")
    DataDir(tmp_path).release()
    assert (tmp_path / "lock").read_text() == str(os.getpid())


def test_each_partition_has_its_file(tmp_path: Path) -> None:
    held = DataDir(tmp_path)
    assert held.partition_file(3) == tmp_path / "partition-3.sqlite"
    held.release()
