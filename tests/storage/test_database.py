"""One file: opening, migrating, refusing, failing commits."""

from __future__ import annotations

from pathlib import Path

import apsw
import pytest

from holdfast.storage.database import Database, StorageError, storage_error

ONE = ("CREATE TABLE t (n INTEGER PRIMARY KEY)",)
TWO = (*ONE, "ALTER TABLE t ADD COLUMN text TEXT")


def test_migrations_run_once_each_and_in_order(tmp_path: Path) -> None:
    file = tmp_path / "a.sqlite"
    with Database(file, ONE) as database:
        database.begin()
        database.execute("INSERT INTO t VALUES (1)")
        database.commit()
    for _ in range(2):
        with Database(file, TWO) as database:
            assert database.rows("SELECT * FROM t") == [(1, None)]
            assert database.first("PRAGMA user_version") == (2,)


def test_a_file_of_a_newer_version_is_refused_and_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "a.sqlite"
    Database(file, TWO).close()
    with pytest.raises(StorageError, match="newer version") as refused:
        Database(file, ONE)
    assert refused.value.code == "HF0011"
    with Database(file, TWO) as database:
        assert database.rows("SELECT * FROM t") == []


def test_a_migration_that_fails_leaves_the_version_before(tmp_path: Path) -> None:
    file = tmp_path / "a.sqlite"
    Database(file, ONE).close()
    with pytest.raises(StorageError):
        Database(file, (*ONE, "CREATE TABLE u (n); ALTER TABLE nowhere ADD COLUMN x"))
    with Database(file, ONE) as database:
        assert database.rows("SELECT name FROM sqlite_schema WHERE type = 'table'") == [("t",)]


@pytest.mark.parametrize("damage", ["not a database", "garbled header"])
def test_a_damaged_file_is_refused(tmp_path: Path, damage: str) -> None:
    file = tmp_path / "a.sqlite"
    if damage == "not a database":
        file.write_bytes(b"hello, this is text and no database at all\n" * 100)
    else:
        Database(file, ONE).close()
        file.write_bytes(b"garbled header!!" + file.read_bytes()[16:])
    with pytest.raises(StorageError, match="restore it from a backup") as refused:
        Database(file, ONE)
    assert refused.value.code == "HF0010"


def test_a_file_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="missing") as refused:
        Database(tmp_path / "missing" / "a.sqlite", ONE)
    assert refused.value.code == "HF0012"


def test_what_was_not_committed_is_gone_after_a_restart(tmp_path: Path) -> None:
    file = tmp_path / "a.sqlite"
    with Database(file, ONE) as database:
        database.begin()
        database.execute("INSERT INTO t VALUES (1)")
        database.commit()
        database.begin()
        database.execute("INSERT INTO t VALUES (2)")
    with Database(file, ONE) as database:
        assert database.rows("SELECT n FROM t") == [(1,)]


def test_a_held_transaction_reads_then_writes_or_ends_without_a_trace(tmp_path: Path) -> None:
    file = tmp_path / "a.sqlite"
    with Database(file, ONE) as database:
        database.hold()
        assert database.rows("SELECT n FROM t") == []
        assert not database.has_written
        database.release()
        assert not database.in_transaction
        database.hold()
        assert database.rows("SELECT n FROM t") == []
        database.begin()
        database.execute("INSERT INTO t VALUES (1)")
        assert database.has_written
        database.commit()
    with Database(file, ONE) as database:
        assert database.rows("SELECT n FROM t") == [(1,)]


def test_durability_is_the_strictest_setting(tmp_path: Path) -> None:
    with Database(tmp_path / "a.sqlite", ONE) as database:
        assert database.first("PRAGMA journal_mode") == ("wal",)
        assert database.first("PRAGMA synchronous") == (2,)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (apsw.FullError(), "HF0013"),
        (apsw.IOError(), "HF0014"),
        (apsw.CorruptError(), "HF0010"),
        (apsw.ReadOnlyError(), "HF0015"),
    ],
)
def test_what_happened_to_the_disk_has_a_code(error: apsw.Error, code: str) -> None:
    assert storage_error(error).code == code


def test_the_log_is_folded_into_the_file_by_the_commit_after_it_grew(tmp_path: Path) -> None:
    with Database(tmp_path / "some.sqlite", ("CREATE TABLE t (body BLOB)",)) as database:
        while not database.checkpoint_due:
            database.begin()
            database.execute("INSERT INTO t VALUES (zeroblob(1000000))")
            database.commit()
        size = (tmp_path / "some.sqlite").stat().st_size
        database.begin()
        database.execute("INSERT INTO t VALUES (zeroblob(1))")
        database.commit()
        assert (tmp_path / "some.sqlite").stat().st_size > size
        assert not database.checkpoint_due
