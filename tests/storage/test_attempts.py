"""Files of earlier versions get the table, and keep what they have."""

from __future__ import annotations

from pathlib import Path

from holdfast.core.model import AttemptEnd, AttemptFailure, AttemptOutcome, Row
from holdfast.storage.attempts import MESSAGE_CHARACTERS_MAX
from holdfast.storage.database import Database
from holdfast.storage.partition_tables import PartitionTables
from holdfast.storage.schema import MIGRATIONS


def test_an_older_file_is_migrated(tmp_path: Path) -> None:
    file = tmp_path / "partition.sqlite"
    with Database(file, MIGRATIONS[:2]) as old:
        old.execute("INSERT INTO meta VALUES ('row_limit', 5)")
        assert not old.rows("SELECT 1 FROM sqlite_master WHERE name = 'attempt'")
    tables = PartitionTables(file)
    try:
        assert tables.invocations.row_limit == 5
        end = AttemptEnd(Row(1), 1, 10, 20, AttemptOutcome.SUSPENDED, "dp_1", None)
        tables.attempts.append(end)
        tables.commit()
        assert tables.database.rows("SELECT * FROM attempt") == [(1, 1, 10, 20, 0, "dp_1", None)]
    finally:
        tables.close()


def test_a_long_error_is_kept_short() -> None:
    tables = PartitionTables(None)
    failure = AttemptFailure(500, "x" * 10_000, "RT0007", "trace", 3)
    tables.attempts.append(AttemptEnd(Row(1), 1, 10, 20, AttemptOutcome.FAILED, None, failure))
    tables.commit()
    ((error,),) = tables.database.rows("SELECT error FROM attempt")
    assert len(error) < MESSAGE_CHARACTERS_MAX + 50
    tables.close()


def test_a_batch_that_is_flushed_twice_is_written_once() -> None:
    """A commit that failed is tried again with the same buffer."""
    tables = PartitionTables(None)
    for number in (1, 3):
        tables.attempts.append(AttemptEnd(Row(1), number, 1, 2, AttemptOutcome.SUSPENDED, None, None))
    tables.attempts.flush()
    tables.commit()
    assert tables.database.rows("SELECT number FROM attempt ORDER BY number") == [(1,), (3,)]
    tables.close()
