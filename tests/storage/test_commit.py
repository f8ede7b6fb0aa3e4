"""The buffer between core and disk: visible at once, written once, kept until a commit succeeds."""

from __future__ import annotations

from pathlib import Path

import apsw
import pytest
from core.harness import COUNTER, ORDERS, SERVICE, World, set_state, sleep
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.core.apply import apply
from holdfast.core.messages import KillCallee
from holdfast.core.model import (
    AttemptEnd,
    AttemptOutcome,
    InvocationId,
    NotificationKind,
    Row,
    Success,
    Waiter,
)
from holdfast.core.records import AttemptReport, Sweep
from holdfast.core.step import Step
from holdfast.core.tables import Mutation
from holdfast.storage.blobs import Blobs
from holdfast.storage.database import StorageError
from holdfast.storage.partition_tables import PartitionTables
from holdfast.storage.state import State


def _write(tables: PartitionTables, row: int) -> None:
    """Something into every kind of table."""
    tables.journal.append_input(Row(row), b"input", 1)
    tables.journal.append_event(Row(row), 0, 1, "Paused", {"ty": "Paused"})
    tables.step_metadata.put(Row(row), 1, 1, b"{}")
    tables.attempts.append(AttemptEnd(Row(row), 1, 1, 2, AttemptOutcome.SUSPENDED, "dp", None))
    tables.state.set("o/k", b"key", b"value")
    tables.objects.lock("o/k", Row(row))
    tables.objects.enqueue("o/k", Row(row))
    tables.objects.enqueue("o/k", Mutation(((b"a", b"b"),), None))
    tables.promises.complete("w/k", "p", Success(b"x"))
    tables.promises.add_listener("w/k", "q", Row(row), 3)
    tables.waiters.add(Row(row), Waiter(_id(row), 2, NotificationKind.CALL))
    tables.timers.put(99, 0, Row(row), 1)
    tables.post.push(1, KillCallee(_id(row)))


def _id(row: int) -> InvocationId:
    return InvocationId(bytes(20) + row.to_bytes(4, "big"))


def _dump(tables: PartitionTables) -> dict[str, list[tuple[object, ...]]]:
    return {t: tables.database.rows(f"SELECT * FROM {t} ORDER BY {order}") for t, order in ORDERS.items()}


class _Disk:
    """Makes the next commits of a database fail."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, tables: PartitionTables, failures: int) -> None:
        self.left = failures
        real = tables.database.commit

        def commit() -> None:
            if self.left:
                self.left -= 1
                tables.database.rollback()
                raise StorageError("HF0014", "the disk failed")
            real()

        monkeypatch.setattr(tables.database, "commit", commit)


def test_a_failed_commit_loses_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Goal: trying again is all a caller needs to do. Method: the same writes into a healthy file."""
    healthy, failing = (PartitionTables(tmp_path / name, 0, 2) for name in ("a.sqlite", "b.sqlite"))
    for tables in (healthy, failing):
        _write(tables, 1)
        tables.objects.dequeue("o/k")
    healthy.commit()
    _Disk(monkeypatch, failing, 3)
    for _ in range(3):
        with pytest.raises(StorageError):
            failing.commit()
    failing.commit()
    assert _dump(failing) == _dump(healthy)
    failing.close()
    reopened = PartitionTables(tmp_path / "b.sqlite", 0, 2)
    assert _dump(reopened) == _dump(healthy)
    healthy.close()
    reopened.close()


def test_a_full_disk_is_a_storage_error_and_goes_away_with_space(tmp_path: Path) -> None:
    tables = PartitionTables(tmp_path / "a.sqlite")
    pages = tables.database.rows("PRAGMA page_count")[0][0]
    tables.database.rows(f"PRAGMA max_page_count = {pages}")
    for number in range(400):
        tables.state.set("o/k", b"%d" % number, b"x" * 4000)
    with pytest.raises(apsw.FullError):
        tables.commit()
    tables.database.rollback()
    assert tables.state.get("o/k", b"399") == b"x" * 4000, "still visible to core"
    tables.database.rows("PRAGMA max_page_count = 100000")
    tables.commit()
    assert tables.database.rows("SELECT count(*) FROM state") == [(400,)]
    tables.close()


def test_a_row_changed_many_times_in_a_batch_is_written_once(tmp_path: Path) -> None:
    tables = PartitionTables(tmp_path / "a.sqlite")
    changes_before = tables.database._connection.total_changes()
    for number in range(100):
        tables.state.set("o/k", b"n", b"%d" % number)
    tables.commit()
    assert tables.database._connection.total_changes() - changes_before == 1
    tables.close()


def test_a_commit_of_nothing_is_no_transaction(tmp_path: Path) -> None:
    tables = PartitionTables(tmp_path / "a.sqlite")
    tables.flush()
    assert not tables.database.in_transaction
    tables.close()


def test_many_rows_go_in_chunks_and_all_arrive() -> None:
    for count in (1, 3, 4, 63, 64, 65, 1000):
        tables = PartitionTables(None)
        for number in range(count):
            tables.timers.put(number, 0, Row(1), number)
        tables.commit()
        assert [t.fire_at for t in tables.timers.due(count, 10_000)] == list(range(count))
        tables.close()


def test_an_inbox_gives_back_in_order_over_commits_and_removals() -> None:
    tables = PartitionTables(None)
    sequences = [tables.objects.enqueue("o/k", Row(n)) for n in range(1, 6)]
    tables.objects.remove("o/k", sequences[1])
    tables.commit()
    tables.objects.remove("o/k", sequences[3])
    assert [tables.objects.dequeue("o/k") for _ in range(4)] == [1, 3, 5, None]
    tables.objects.enqueue("o/k", Mutation(((b"k", b""),), "v"))
    assert tables.objects.dequeue("o/k") == Mutation(((b"k", b""),), "v")
    tables.close()


def test_rows_stay_below_the_stored_limit_after_a_restart(tmp_path: Path) -> None:
    """Goal: no row number is given out twice. Method: restart right after the first and after many."""
    world = World(1, tmp_path)
    rows = [world.invocation(world.start(SERVICE)).row for _ in range(3)]
    world.close()
    reopened = PartitionTables(tmp_path / "partition-0.sqlite")
    assert reopened.invocations.row_limit > max(rows)
    reopened.close()


def test_what_rests_does_not_stay_in_memory(tmp_path: Path) -> None:
    world = World(1, tmp_path)
    ids = [world.start(SERVICE) for _ in range(20)]
    assert world.tables[0].invocations.live_count == 20
    for id_ in ids:
        world.report(id_, sleep(1, world.now + 1000))
        world.suspend(id_, 1)
    world.tell(0, Sweep(world.now, ()))
    assert world.tables[0].invocations.live_count == 0
    world.close()


Write = tuple[str, int, int]


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["set", "clear", "clear_all", "all", "get", "commit", "evict"]),
            st.integers(0, 1),
            st.integers(0, 3),
        ),
        max_size=40,
    )
)
def test_the_state_cache_never_differs_from_the_file(writes: list[Write]) -> None:
    """Goal: a cached state is the state. Method: a dict as the model, with eviction and commits between."""
    tables = PartitionTables(None)
    model: dict[str, dict[bytes, bytes]] = {"o/0": {}, "o/1": {}}
    for number, (wish, which, key_number) in enumerate(writes):
        state, object_, key = tables.state, f"o/{which}", b"k%d" % key_number
        if wish == "set":
            state.set(object_, key, b"%d" % number)
            model[object_][key] = b"%d" % number
        elif wish == "clear":
            state.clear(object_, key)
            model[object_].pop(key, None)
        elif wish == "clear_all":
            state.clear_all(object_)
            model[object_].clear()
        elif wish == "all":
            assert state.all(object_) == model[object_]
        elif wish == "get":
            assert state.get(object_, key) == model[object_].get(key)
        elif wish == "commit":
            tables.commit()
        else:
            tables.commit()
            tables.state._cache.clear()
            tables.state._cache_bytes = 0
    for object_, expected in model.items():
        assert tables.state.keys(object_) == tuple(sorted(expected))
    tables.commit()
    fresh = State(tables.database, Blobs(tables.database))
    assert {object_: fresh.all(object_) for object_ in model} == model
    tables.close()


def test_the_state_cache_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("holdfast.storage.state.CACHED_STATE_BYTES_MAX", 10_000)
    tables = PartitionTables(None)
    for number in range(50):
        tables.state.set(f"o/{number}", b"k", b"x" * 1000)
        tables.state.all(f"o/{number}")
    assert len(tables.state._cache) < 12
    assert tables.state._cache_bytes <= 10_000
    assert all(tables.state.get(f"o/{n}", b"k") == b"x" * 1000 for n in range(50))
    tables.close()


def test_a_report_is_one_transaction(tmp_path: Path) -> None:
    """What one record wrote is there whole or not at all: here, not at all, since nobody committed."""
    world = World(1, tmp_path)
    id_ = world.start(COUNTER)
    before = world.dump()
    row = world.invocation(id_).row
    report = AttemptReport(world.now, row, 1, "dp_1", 7, [set_state(b"n", b"1"), sleep(1, world.now + 9)])
    apply(Step(world.tables[0], []), report)
    world.tables[0].flush()
    world.close()
    world.tables = world._open()
    assert world.dump() == before
    world.close()
