"""Large values: stored once, read as they were written, gone when nobody holds them."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path

import apsw
import pytest
from core.harness import GONE_AT_ONCE, SERVICE, World
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.core.messages import Complete
from holdfast.core.model import InvocationId, Notification, NotificationKind, Row, Success
from holdfast.core.records import Sweep
from holdfast.protocol import messages as wire
from holdfast.protocol.framing import MessageType
from holdfast.storage import blobs as blobs_module
from holdfast.storage import partition_tables
from holdfast.storage.backup import copy_data_dir
from holdfast.storage.blobs import INLINE_BYTES_MAX, Holder, length_sql, whole_sql
from holdfast.storage.content import AROUND_BYTES_MAX, content_of
from holdfast.storage.database import Database, storage_error
from holdfast.storage.notifications import encode_notification
from holdfast.storage.partition_tables import PartitionTables
from holdfast.storage.schema import MIGRATIONS
from tests.storage.blob_laws import complaint

LARGE = bytes(range(256)) * 300
OTHER = bytes(reversed(LARGE))


def count(tables: PartitionTables, table: str = "blob") -> int:
    return int(tables.database.rows(f"SELECT count(*) FROM {table}")[0][0])


def wrong(tables: PartitionTables) -> str | None:
    return complaint(tables.database._connection)


def run_result(value: bytes, completion_id: int = 1) -> Notification:
    return Notification(NotificationKind.RUN, completion_id, Success(value))


# ---------------------------------------------------------------- stories


def test_everybody_on_the_way_of_a_value_shares_it() -> None:
    """Goal: a value is written once. Method: caller's command, callee's input, its output and its result, the
    caller's completion, a state, a promise; each in its own message, with something else around it."""
    tables = PartitionTables(None)
    journal = tables.journal
    call = wire.CallCommandMessage("S", "h", LARGE, headers=(("a", "b"),), result_completion_id=2, name="it")
    output = wire.OutputCommandMessage("out", wire.Value(LARGE)).encode()
    journal.append_command(Row(1), 1, MessageType.CALL_COMMAND, call.encode(), 1, 2)
    journal.append_input(Row(2), wire.InputCommandMessage((("x", "y"),), "", wire.Value(LARGE)).encode(), 1)
    journal.append_command(Row(2), 1, MessageType.OUTPUT_COMMAND, output, 1)
    journal.append_notification(Row(1), 2, Notification(NotificationKind.CALL, 2, Success(LARGE)), 1)
    tables.state.set("o/k", b"key", LARGE)
    tables.promises.complete("w/k", "p", Success(LARGE))
    tables.commit()
    assert (count(tables), count(tables, "blob_use")) == (1, 6)
    assert wrong(tables) is None
    assert journal.entries(Row(1))[0].raw == call.encode()
    assert journal.output(Row(2)) == Success(LARGE)
    assert journal.frames(Row(2))[1] == (MessageType.OUTPUT_COMMAND, output)
    assert tables.promises.get("w/k", "p") == Success(LARGE)
    journal.delete(Row(1))
    journal.delete(Row(2))
    tables.promises.delete("w/k")
    tables.commit()
    assert (count(tables), wrong(tables)) == (1, None)
    tables.state.set("o/k", b"key", b"small")
    tables.commit()
    assert (count(tables), wrong(tables)) == (0, None)
    tables.close()


def test_an_invocation_takes_its_values_with_it(tmp_path: Path) -> None:
    world = World(directory=tmp_path)
    id_ = world.start(SERVICE)
    world.finish(id_, LARGE)
    world.reopen()
    assert world.result(id_) == Success(LARGE)
    assert (world.count("blob"), world.count("blob_use")) == (1, 2)
    world.purge(id_, journal_only=True)
    assert (world.result(id_), world.count("blob_use")) == (Success(LARGE), 1)
    world.purge(id_)
    assert (world.count("blob"), world.count("blob_use")) == (0, 0)
    gone = world.start(SERVICE, retention=GONE_AT_ONCE)
    world.finish(gone, OTHER)
    world.tell(0, Sweep(world.now, ()))
    assert (world.count("blob"), world.count("blob_use")) == (0, 0)
    world.close()


def test_small_values_leave_no_trace() -> None:
    tables = PartitionTables(None)
    tables.state.set("o/k", b"key", LARGE[: INLINE_BYTES_MAX - 100])
    tables.journal.append_notification(Row(1), 1, run_result(LARGE[: INLINE_BYTES_MAX - 100]), 1)
    tables.commit()
    assert (count(tables), count(tables, "blob_use")) == (0, 0)
    assert not any(tables._blobs.any_of(holder) for holder in Holder)
    tables.close()


def test_values_wait_for_other_partitions_as_blobs() -> None:
    tables = PartitionTables(None, 0, 2)
    callee = InvocationId(bytes(24))
    tables.journal.append_notification(Row(1), 1, run_result(LARGE), 1)
    for value in (LARGE, OTHER):
        tables.post.push(1, Complete(callee, NotificationKind.CALL, 2, Success(value)))
    tables.commit()
    assert (count(tables), wrong(tables)) == (2, None)
    sent = [message for _, message in tables.post.waiting(1, 0, 10)]
    assert sent == [Complete(callee, NotificationKind.CALL, 2, Success(v)) for v in (LARGE, OTHER)]
    tables.post.drop(1, 2)
    tables.commit()
    assert (count(tables), wrong(tables)) == (1, None)
    tables.close()


def test_a_failure_behind_a_reference_is_a_failure() -> None:
    tables = PartitionTables(None)
    tables.journal.append_notification(Row(1), 1, run_result(LARGE, 1), 1)
    failure = wire.Failure(500, "x" * len(LARGE))
    body = wire.NotificationTemplate(completion_id=2, result=failure).encode()
    tables.journal.append_command(Row(1), 2, NotificationKind.RUN, body, 1, 2)
    tables.journal.append_notification(Row(1), 3, run_result(b"2" * len(LARGE), 3), 1)
    assert tables.journal.refs(Row(1)).completions == {1: True, 2: False, 3: True}
    tables.close()


def test_equal_digests_are_not_taken_for_equal_values(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Goal: who can make two values with one digest cannot read or change another's. Method: all values have
    the same digest."""
    monkeypatch.setattr(blobs_module, "xxh3_128_digest", lambda _, seed: seed.to_bytes(16, "big"))
    values = {b"%d" % n: bytes([n]) * INLINE_BYTES_MAX + b"." for n in range(4)}
    tables = PartitionTables(tmp_path / "a.sqlite")
    for key, value in values.items():
        tables.state.set("o/k", key, value)
        tables.state.set("p/k", key, value)
        tables.commit()
        tables._blobs._recent.clear()
    assert count(tables) == len(values)
    tables.close()
    again = PartitionTables(tmp_path / "a.sqlite")
    assert again.state.all("o/k") == again.state.all("p/k") == values
    again.close()


def test_sql_reads_what_was_written() -> None:
    tables = PartitionTables(None)
    call = wire.CallCommandMessage("S", "h", LARGE, key="é\0", result_completion_id=2).encode()
    tables.journal.append_command(Row(1), 1, MessageType.CALL_COMMAND, call, 1, 2)
    tables.journal.append_command(Row(1), 2, MessageType.RUN_COMMAND, b"small", 1)
    tables.journal.append_command(Row(1), 3, MessageType.RUN_COMMAND, LARGE, 1)
    tables.commit()
    whole, length = whole_sql("j.body", "main"), length_sql("j.body", "main")
    rows = tables.database.rows(f"SELECT {whole}, {length}, typeof({whole}) FROM journal j ORDER BY key")
    assert rows == [(body, len(body), "blob") for body in (call, b"small", LARGE)]
    tables.close()


def test_a_backup_has_them(tmp_path: Path) -> None:
    source = tmp_path / "data"
    source.mkdir()
    tables = PartitionTables(source / "partition-0.sqlite")
    tables.state.set("o/k", b"key", LARGE)
    tables.commit()
    copy_data_dir(source, tmp_path / "copy")
    tables.close()
    copied = PartitionTables(tmp_path / "copy" / "partition-0.sqlite")
    assert copied.state.all("o/k") == {b"key": LARGE}
    copied.close()


def test_a_file_of_the_schema_before_is_read_and_goes_on(tmp_path: Path) -> None:
    """Goal: large values that stand in their own columns stay readable, and may be overwritten or deleted."""
    file = tmp_path / "a.sqlite"
    body = wire.OutputCommandMessage("", wire.Value(LARGE)).encode()
    with Database(file, MIGRATIONS[:3]) as old:
        old.begin()
        old.execute("INSERT INTO state VALUES ('o/k', ?, ?)", (b"key", LARGE))
        old.execute("INSERT INTO promise(object, key, value) VALUES ('w/k', 'p', ?)", (LARGE,))
        old.execute("INSERT INTO journal VALUES (?, ?, NULL, NULL, 1, ?)", (1 << 20, 0x401, body))
        old.commit()
    tables = PartitionTables(file)
    assert tables.database.first("PRAGMA user_version") == (len(MIGRATIONS),)
    assert tables.state.get("o/k", b"key") == LARGE
    assert tables.promises.get("w/k", "p") == Success(LARGE)
    assert tables.journal.frames(Row(1)) == [(0x401, body)]
    assert count(tables) == 0
    tables.state.set("o/k", b"key", LARGE)
    tables.journal.delete(Row(1))
    tables.promises.delete("w/k")
    tables.commit()
    assert (tables.state.get("o/k", b"key"), count(tables), wrong(tables)) == (LARGE, 1, None)
    tables.close()


# ---------------------------------------------------------------- faults


def test_a_full_disk_takes_them_later(tmp_path: Path) -> None:
    tables = PartitionTables(tmp_path / "a.sqlite")
    tables.state.set("o/k", b"first", LARGE)
    tables.commit()
    pages = tables.database.rows("PRAGMA page_count")[0][0]
    tables.database.rows(f"PRAGMA max_page_count = {pages}")
    tables.state.set("o/k", b"second", OTHER)
    tables.journal.append_notification(Row(1), 1, run_result(OTHER), 1)
    for _ in range(2):
        with pytest.raises(apsw.FullError):
            tables.commit()
        tables.database.rollback()
    assert tables.state.get("o/k", b"second") == OTHER
    tables.database.rows("PRAGMA max_page_count = 100000")
    tables.commit()
    tables.close()
    tables = PartitionTables(tmp_path / "a.sqlite")
    assert tables.state.all("o/k") == {b"first": LARGE, b"second": OTHER}
    assert (count(tables), wrong(tables)) == (2, None)
    tables.close()


def test_a_lost_blob_is_damage_and_not_an_empty_value() -> None:
    tables = PartitionTables(None)
    tables.journal.append_notification(Row(1), 1, run_result(LARGE), 1)
    tables.commit()
    tables.database.execute("DELETE FROM blob")
    tables._blobs._recent.clear()
    with pytest.raises(apsw.CorruptError) as damage:
        tables.journal.frames(Row(1))
    assert storage_error(damage.value).code == "HF0010"
    tables.close()


def test_memory_for_recent_contents_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blobs_module, "RECENT_BYTES_MAX", 3 * len(LARGE))
    tables = PartitionTables(None)
    for n in range(20):
        tables.state.set("o/k", b"%d" % n, b"%d" % n + LARGE)
        tables.commit()
        assert sum(map(len, tables._blobs._recent.values())) <= 3 * len(LARGE)
    assert all(tables._blobs.value(value)[-3:] == LARGE[-3:] for (value,) in _states(tables))
    tables.close()


def _states(tables: PartitionTables) -> list[tuple[str]]:
    return tables.database.rows("SELECT value FROM state")


# ---------------------------------------------------------------- laws

VALUES = (b"", b"1", b"12345678", b"123456789", b"abcdefghi" * 3, b"abcdefghi" * 4)
"""With a threshold of eight bytes: three small ones, three large ones."""
WISHES = (
    "set", "set", "clear", "clear_all", "append", "append", "copy", "forget", "complete", "delete_promises",
    "push", "delivered", "commit", "commit", "fail", "reopen", "evict", "read",
)  # fmt: skip
Wish = tuple[str, int, int]


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(WISHES), st.integers(0, 3), st.integers(0, len(VALUES) - 1)), max_size=40
    )
)
def test_blobs_are_exactly_what_rows_refer_to(wishes: list[Wish]) -> None:
    """Goal: nothing leaks, nothing is lost, whatever happens in which order, failed commits and restarts
    included. Method: plain dicts as the model, and a complaint after every commit."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(blobs_module, "INLINE_BYTES_MAX", 8)
        database = Database(None, MIGRATIONS)
        patched.setattr(partition_tables, "Database", lambda *_: database)
        story = _Story(database)
        for wish, which, value in wishes:
            getattr(story, wish)(which, VALUES[value])
        story.commit(0, b"")
        story.reopen(0, b"")
        story.read(0, b"")
        database.close()


@dataclass
class _Model:
    state: dict[tuple[str, bytes], bytes] = field(default_factory=dict[tuple[str, bytes], bytes])
    journals: dict[int, list[bytes]] = field(default_factory=dict[int, list[bytes]])
    next_row: int = 1
    promises: dict[tuple[str, str], bytes] = field(default_factory=dict[tuple[str, str], bytes])
    sent: dict[int, dict[int, bytes]] = field(default_factory=lambda: {0: {}, 1: {}, 2: {}})
    pushed: dict[int, int] = field(default_factory=lambda: {0: 0, 1: 0, 2: 0})


class _Story:
    """The tables and what they should say; each wish is a method."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.tables = PartitionTables(None, 0, 3)
        self.model = _Model()
        self.durable = _Model()

    def set(self, which: int, value: bytes) -> None:
        at = f"o/{which % 2}", b"k%d" % (which // 2)
        self.tables.state.set(*at, value)
        self.model.state[at] = value

    def clear(self, which: int, _: bytes) -> None:
        at = f"o/{which % 2}", b"k%d" % (which // 2)
        self.tables.state.clear(*at)
        self.model.state.pop(at, None)

    def clear_all(self, which: int, _: bytes) -> None:
        object_ = f"o/{which % 2}"
        self.tables.state.clear_all(object_)
        self.model.state = {at: value for at, value in self.model.state.items() if at[0] != object_}

    def append(self, which: int, value: bytes) -> None:
        row = sorted(self.model.journals)[which] if which < len(self.model.journals) else self._new_row()
        index = len(self.model.journals[row])
        if which % 2:
            body = wire.SetStateCommandMessage(b"k", wire.Value(value), "name").encode()
            self.tables.journal.append_command(Row(row), index, MessageType.SET_STATE_COMMAND, body, 1)
        else:
            body = encode_notification(run_result(value, index + 1))
            self.tables.journal.append_notification(Row(row), index, run_result(value, index + 1), 1)
        self.model.journals[row].append(body)

    def _new_row(self) -> int:
        row = self.model.next_row
        self.model.next_row += 1
        self.model.journals[row] = []
        return row

    def copy(self, which: int, _: bytes) -> None:
        if which >= len(self.model.journals):
            return
        old, new = sorted(self.model.journals)[which], self._new_row()
        for index, entry in enumerate(self.tables.journal.entries(Row(old))):
            self.tables.journal.copy(Row(new), index, entry, 1)
            self.model.journals[new].append(entry.raw)

    def forget(self, which: int, _: bytes) -> None:
        if which < len(self.model.journals):
            row = sorted(self.model.journals)[which]
            self.tables.journal.delete(Row(row))
            del self.model.journals[row]

    def complete(self, which: int, value: bytes) -> None:
        at = "w/k", f"p{which}"
        if at not in self.model.promises:
            self.tables.promises.complete(*at, Success(value))
            self.model.promises[at] = value

    def delete_promises(self, _: int, __: bytes) -> None:
        self.tables.promises.delete("w/k")
        self.model.promises.clear()

    def push(self, which: int, value: bytes) -> None:
        to = which % 3
        self.tables.post.push(to, _message(value))
        self.model.pushed[to] += 1
        self.model.sent[to][self.model.pushed[to]] = value

    def delivered(self, which: int, _: bytes) -> None:
        # Only what was committed has been delivered.
        to = which % 3
        upto = self.durable.pushed[to] - which // 3
        if upto > 0:
            self.tables.post.drop(to, upto)
            sent = self.model.sent[to]
            self.model.sent[to] = {number: value for number, value in sent.items() if number > upto}

    def commit(self, _: int, __: bytes) -> None:
        self.tables.commit()
        self.durable = deepcopy(self.model)
        assert complaint(self.database._connection) is None

    def fail(self, _: int, __: bytes) -> None:
        self.tables.flush()
        self.database.rollback()

    def reopen(self, _: int, __: bytes) -> None:
        self.database.rollback()
        self.model = deepcopy(self.durable)
        self.tables = PartitionTables(None, 0, 3)

    def evict(self, _: int, __: bytes) -> None:
        self.commit(0, b"")
        self.tables.state._cache.clear()
        self.tables.state._cache_bytes = 0
        self.tables._blobs._recent.clear()
        self.tables._blobs._recent_bytes = 0

    def read(self, _: int, __: bytes) -> None:
        tables, model = self.tables, self.model
        for object_ in ("o/0", "o/1"):
            expected = {key: value for (of, key), value in model.state.items() if of == object_}
            assert all(tables.state.get(object_, key) == value for key, value in expected.items())
            assert tables.state.all(object_) == expected
        for row, bodies in model.journals.items():
            assert [entry.raw for entry in tables.journal.entries(Row(row))] == bodies
        for at, value in model.promises.items():
            assert tables.promises.get(*at) == Success(value)
        self.commit(0, b"")
        for row, bodies in model.journals.items():
            assert [body for _, body in tables.journal.frames(Row(row))] == bodies
        for to, sent in model.sent.items():
            waiting = dict(tables.post.waiting(to, 0, 100))
            assert waiting == {number: _message(value) for number, value in sent.items()}


def _message(value: bytes) -> Complete:
    return Complete(InvocationId(bytes(24)), NotificationKind.RUN, 2, Success(value))


@given(st.binary(max_size=60), st.integers(0, 2 * AROUND_BYTES_MAX), st.integers(0, 2 * AROUND_BYTES_MAX))
def test_a_content_is_part_of_its_message(start: bytes, before: int, behind: int) -> None:
    """Goal: whatever the bytes are, cutting them is safe."""
    body = start + bytes(before) + b"\x72\x03abc" + bytes(behind)
    begin, end = content_of(body)
    assert 0 <= begin <= end <= len(body)
    assert begin + len(body) - end <= AROUND_BYTES_MAX or (begin, end) == (0, len(body))


@pytest.mark.parametrize(
    "message",
    [
        wire.InputCommandMessage((("a", "b"),), "name", wire.Value(LARGE)),
        wire.OutputCommandMessage("name", wire.Value(LARGE)),
        wire.SetStateCommandMessage(b"key", wire.Value(LARGE), "name"),
        wire.CallCommandMessage("S", "h", LARGE, key="k", name="name", result_completion_id=3),
        wire.OneWayCallCommandMessage("S", "h", LARGE, key="k", name="name"),
        wire.NotificationTemplate(completion_id=4, result=wire.Value(LARGE)),
    ],
)
def test_the_content_of_a_message_is_its_value(message: wire.Message) -> None:
    body = message.encode()
    begin, end = content_of(body)
    assert body[begin:end] == LARGE
