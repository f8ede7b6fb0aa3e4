"""The laws of the end: everything is over, and the tables are all that is left to ask."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any
from unittest.mock import patch

from holdfast.core.apply import apply
from holdfast.core.step import Step
from holdfast.protocol import messages as m
from holdfast.protocol.framing import MessageType
from holdfast.storage import partition_tables
from holdfast.storage.blobs import whole_sql
from holdfast.storage.invocations import decode_result
from holdfast.storage.keys import JOURNAL_SPAN
from holdfast.storage.partition_tables import PartitionTables
from holdfast.storage.step_metadata import step_metadata_of
from tests.simulation.disk import Disk, Reopened, SimulatedDatabase
from tests.simulation.handler import said_at_end, said_at_start
from tests.simulation.laws import Outcome, outcome
from tests.simulation.server import Server
from tests.simulation.virtual import Broken
from tests.storage.blob_laws import complaint

_EMPTY = ("object_lock", "inbox", "timer", "waiter", "outbox")
_TABLES = (
    "meta", "invocation", "invocation_alias", "journal", "event", "state", "object_lock", "inbox", "promise",
    "promise_listener", "waiter", "timer", "outbox",
    "step_metadata", "attempt", "blob", "blob_use",
)  # fmt: skip
_SIGNAL = int(MessageType.SIGNAL_NOTIFICATION)
_PROMISE_KINDS: dict[int, type[m.GetPromiseCommandMessage] | type[m.CompletePromiseCommandMessage]] = {
    MessageType.GET_PROMISE_COMMAND: m.GetPromiseCommandMessage,
    MessageType.COMPLETE_PROMISE_COMMAND: m.CompletePromiseCommandMessage,
}


class Ends:
    """All tables of a finished run, read once."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.truth = server.truth
        self.results: dict[bytes, Outcome] = {}
        self.ended_at: dict[bytes, int] = {}
        self.restarted: set[bytes] = set()
        """Copies of others: the instants of their entries are those of the copying."""
        brief = server.services.catalog.brief
        self.transient = {"Z", "R", "S"} if brief else {"Z", "R"}
        """Services whose invocations, or their journals, may be gone."""
        self.targets: dict[bytes, tuple[str, str, str | None]] = {}
        self.journals: dict[bytes, list[tuple[int, Any, bytes | None, int, bytes]]] = {}
        ids: Counter[bytes] = Counter()
        for disk in server.disks:
            copies = disk.connection.execute("SELECT id FROM invocation WHERE origin_kind = 3")
            self.restarted.update(id_ for (id_,) in copies)
        rows: dict[tuple[int, int], bytes] = {}
        for disk in server.disks:
            for row, id_, service, handler, key, status, at, value, code, message in disk.connection.execute(
                "SELECT row, id, service, handler, key, status, completed_at, "
                f"{whole_sql('result_value', 'main')}, result_code, result_message FROM invocation"
            ):
                if status != 5:
                    raise Broken(f"{id_.hex()} {service}/{key}/{handler} never ends: status {status}")
                ids[id_] += 1
                rows[disk.index, row] = id_
                self.results[id_] = outcome(decode_result(value, code, message, None))
                self.ended_at[id_] = at
                self.targets[id_] = (service, handler, key)
            for key, type_, ref, callee, at, body in disk.connection.execute(
                f"SELECT key, type, ref, callee, at, {whole_sql('body', 'main')} FROM journal ORDER BY key"
            ):
                owner = rows.get((disk.index, key // JOURNAL_SPAN))
                if owner is None:
                    raise Broken(f"a journal without an invocation: row {key // JOURNAL_SPAN}")
                self.journals.setdefault(owner, []).append((type_, ref, callee, at, body))
        twice = [id_.hex() for id_, count in ids.items() if count > 1]
        if twice:
            raise Broken(f"accepted twice: {twice}")

    def check(self) -> None:
        self.nothing_is_left()
        self.what_was_promised_is_there()
        self.waits_end_once()
        self.calls_arrive()
        self.kills_reach_calls()
        self.promises_complete_once()
        self.states_are_what_journals_say()
        self.steps_are_described_once()
        self.blobs_are_held()
        for disk in self.server.disks:
            check_replay(disk, len(self.server.disks))

    def nothing_is_left(self) -> None:
        """No lock, inbox entry, timer, waiter or message; nothing of it in memory either."""
        server = self.server
        for disk in server.disks:
            for table in _EMPTY:
                left = disk.connection.execute(f"SELECT * FROM {table}").fetchall()
                if left:
                    raise Broken(f"left in {table} of partition {disk.index}: {left[:3]}")
            for table in ("event", "invocation_alias"):
                orphans = disk.connection.execute(
                    f"SELECT * FROM {table} WHERE row NOT IN (SELECT row FROM invocation)"
                ).fetchall()
                if orphans:
                    raise Broken(f"{table} of partition {disk.index} knows the forgotten: {orphans[:3]}")
        runner = server.runner
        assert runner is not None
        for name in ("_attempts", "_slots", "_waiting", "_closing"):
            left = getattr(runner, name)
            if left:
                raise Broken(f"left in the runner's {name}: {left}")
        if server.asked:
            raise Broken(f"{server.asked} askers never got an answer")
        for partition in server.partitions:
            if partition._watchers:
                raise Broken(f"somebody still waits for {list(partition._watchers)}")
            invocations = partition.tables.invocations
            # Looked at since the last commit: the next one drops them.
            fleeting = {invocation.row for invocation in invocations._touched}
            if kept := set(invocations._live) - fleeting:
                raise Broken(f"rows {kept} of partition {partition.index} stay in memory")

    def what_was_promised_is_there(self) -> None:
        """Whatever a caller was told of exists, and ended as everybody was told."""
        truth = self.truth
        for id_, what in truth.accepted.items():
            if id_ not in self.results and id_ not in truth.forgettable:
                raise Broken(f"{what} was accepted and is gone: {id_.hex()}")
        for id_, said in truth.results.items():
            stored = self.results.get(id_, said)
            if stored != said:
                raise Broken(f"{id_.hex()}: callers were told {said}, stored is {stored}")
        parents = {
            callee: caller
            for caller, journal in self.journals.items()
            for type_, _, callee, _, _ in journal
            if type_ == MessageType.CALL_COMMAND and callee is not None
        }
        for raw, found in self.results.items():
            if found in truth.outputs.get(raw, ()) or found[1:] == (409, "canceled"):
                continue
            if self.targets[raw][0] == "R" and found[0] == "fail" and found[1] != 409:
                continue  # the retry policy's last word
            if found[1:] == (409, "killed") and truth.kills:
                above: bytes | None = raw
                while above is not None and above not in truth.kills:
                    if above not in parents:
                        break  # its caller may be gone
                    above = parents[above]
                continue
            raise Broken(f"{raw.hex()} ended with {found}, which no handler said: {truth.outputs.get(raw)}")

        for target, value, at in truth.signalled:
            journal = self.journals.get(target)
            if not journal or self.server.clock.was_set or at >= self.ended_at[target]:
                continue  # it may have been over already
            if not any(value in entry[4] for entry in journal if entry[0] == _SIGNAL):
                raise Broken(f"signal {value!r} was accepted for {target.hex()} and is not in its journal")
        for object_, value in truth.mutated:
            turns = truth._locks.get(object_, ())
            if not any(isinstance(turn, dict) and turn.get(b"a") == value for turn in turns):
                raise Broken(f"the state of {object_} was to be replaced with {value!r}, and never was")

    def kills_reach_calls(self) -> None:
        """Within one partition a caller and its open calls end in the same record."""
        if len(self.server.disks) > 1 or self.server.clock.was_set:
            return
        for id_, journal in self.journals.items():
            if self.results[id_][1:] != (409, "killed"):
                continue
            for type_, _, callee, _, _ in journal:
                if type_ != MessageType.CALL_COMMAND or callee is None:
                    continue
                if self.ended_at.get(callee, 0) > self.ended_at[id_]:
                    raise Broken(f"{id_.hex()} was killed and its call {callee.hex()} lived on")

    def waits_end_once(self) -> None:
        pokes: Counter[bytes] = Counter()
        for id_, journal in self.journals.items():
            seen: set[int] = set()
            sleeps: dict[int, int] = {}
            for type_, ref, _, at, body in journal:
                if type_ == MessageType.SIGNAL_NOTIFICATION:
                    value = m.NotificationTemplate.decode(body).result
                    if isinstance(value, m.Value) and b" " in value.content:
                        pokes[value.content] += 1
                elif type_ >= 0x8000:
                    if ref in seen:
                        raise Broken(f"completion {ref} of {id_.hex()} is in the journal twice")
                    seen.add(ref)
                    slept = type_ == MessageType.SLEEP_COMPLETION and id_ not in self.restarted
                    if slept and at < sleeps.get(ref, 0):
                        raise Broken(f"{id_.hex()} slept until {at} instead of {sleeps[ref]}")
                elif type_ == MessageType.SLEEP_COMMAND:
                    sleeps[ref] = m.SleepCommandMessage.decode(body).wake_up_time
        twice = [poke for poke, count in pokes.items() if count > 1]
        if twice:
            raise Broken(f"signals arrived twice: {twice}")

    def calls_arrive(self) -> None:
        """Whoever was called or sent to exists once, and what callers got is what it came to."""
        for id_, journal in self.journals.items():
            calls: dict[int, bytes] = {}
            for type_, ref, callee, _, body in journal:
                if callee is not None:
                    if type_ == MessageType.CALL_COMMAND:
                        calls[ref] = callee
                        service = m.CallCommandMessage.decode(body).service_name
                    else:
                        service = m.OneWayCallCommandMessage.decode(body).service_name
                    if callee not in self.results and service not in self.transient:
                        raise Broken(f"{id_.hex()} called {service} {callee.hex()}, which never came to be")
                elif type_ == MessageType.CALL_COMPLETION and ref in calls:
                    got = outcome(m.NotificationTemplate.decode(body).result)
                    said = self.results.get(calls[ref], got)
                    if got != said:
                        raise Broken(
                            f"{id_.hex()} was told {got} of {calls[ref].hex()}, which ended with {said}"
                        )

    def promises_complete_once(self) -> None:
        stored: dict[tuple[str, str], Outcome] = {}
        for disk in self.server.disks:
            for object_, name, value, code, message in disk.connection.execute(
                f"SELECT object, key, {whole_sql('value', 'main')}, code, message FROM promise"
            ):
                stored[object_, name] = outcome(decode_result(value, code, message, None))
        won: Counter[tuple[str, str]] = Counter()
        for id_, journal in self.journals.items():
            service, _, key = self.targets[id_]
            asked: dict[int, tuple[str, str]] = {}
            for type_, ref, _, _, body in journal:
                if type_ in _PROMISE_KINDS:
                    asked[ref] = (f"{service}/{key}", _PROMISE_KINDS[type_].decode(body).key)
                elif type_ == MessageType.GET_PROMISE_COMPLETION:
                    got = outcome(m.NotificationTemplate.decode(body).result)
                    if stored.get(asked[ref]) != got:
                        raise Broken(
                            f"promise {asked[ref]} is {stored.get(asked[ref])}, {id_.hex()} got {got}"
                        )
                elif type_ == MessageType.COMPLETE_PROMISE_COMPLETION:
                    won[asked[ref]] += isinstance(m.NotificationTemplate.decode(body).result, m.Void)
        twice = [promise for promise, count in won.items() if count > 1]
        if twice:
            raise Broken(f"promises completed twice: {twice}")

    def steps_are_described_once(self) -> None:
        """What is said of a step is what it said when it was issued and what its one result says."""
        said: dict[bytes, dict[int, tuple[int, object]]] = {}
        for disk in self.server.disks:
            for row, flags, id_ in disk.connection.execute("SELECT row, flags, id FROM invocation"):
                found = step_metadata_of(
                    lambda sql, values, disk=disk: disk.connection.execute(sql, values), row
                )
                if bool(flags & 2) != bool(found):
                    raise Broken(f"{id_.hex()} has flags {flags} and metadata of {len(found)} steps")
                said[id_] = {one.completion_id: (one.index, _once(one.metadata)) for one in found.values()}
            orphans = disk.connection.execute(
                "SELECT * FROM step_metadata WHERE key / ? NOT IN (SELECT row FROM invocation)",
                (JOURNAL_SPAN,),
            ).fetchall()
            if orphans:
                raise Broken(f"step_metadata of partition {disk.index} knows the forgotten: {orphans[:3]}")
        for id_, found in said.items():
            expected: dict[int, tuple[int, dict[str, object]]] = {}
            places: dict[int, int] = {}
            for index, (type_, ref, _, _, body) in enumerate(self.journals.get(id_, ())):
                if type_ == MessageType.RUN_COMMAND:
                    places[ref] = index
                    if (start := said_at_start(ref)) is not None:
                        expected[ref] = index, start
                elif type_ == MessageType.RUN_COMPLETION:
                    result = m.NotificationTemplate.decode(body).result
                    end = said_at_end(ref, result.content) if isinstance(result, m.Value) else None
                    if end is not None:
                        _, before = expected.get(ref, (0, {}))
                        expected[ref] = places[ref], {**before, **end}
            if found != expected:
                raise Broken(f"of steps of {id_.hex()} is said {found}, their journal gives {expected}")

    def blobs_are_held(self) -> None:
        """Large values are there while a row refers to them, and not longer."""
        for disk in self.server.disks:
            if (wrong := complaint(disk.connection)) is not None:
                raise Broken(f"partition {disk.index}: {wrong}")

    def states_are_what_journals_say(self) -> None:
        stored: dict[str, dict[bytes, bytes]] = {}
        for disk in self.server.disks:
            for object_, key, value in disk.connection.execute(
                f"SELECT object, key, {whole_sql('value', 'main')} FROM state"
            ):
                stored.setdefault(object_, {})[key] = value
        for object_ in {*stored, *self.truth._locks}:
            expected = self.truth.state_of(object_)
            if stored.get(object_, {}) != expected:
                raise Broken(f"state of {object_} is {stored.get(object_)}, its journals say {expected}")


def _once(metadata: Mapping[str, object]) -> dict[str, object]:
    """The metadata of a step without the number of the run it is of, if it is of one only."""
    runs = [name for name in metadata if name.startswith("run ")]
    return {name: value for name, value in metadata.items() if len(runs) > 1 or name not in runs}


def dump(disk: Disk) -> dict[str, list[tuple[Any, ...]]]:
    return {
        # A blob's place in the file is of no account.
        table: disk.connection.execute(f"SELECT * FROM {table} ORDER BY 1").fetchall()
        if table == "blob"
        else disk.connection.execute(f"SELECT * FROM {table}").fetchall()
        for table in _TABLES
    }


def check_replay(disk: Disk, partitions: int) -> None:
    """The record log, applied to an empty store, gives the same tables."""
    again = Disk(disk.index, disk.chance)
    with patch.object(partition_tables, "Database", lambda *_: SimulatedDatabase(again)):
        tables = PartitionTables(None, disk.index, partitions)
        for entry in disk.log:
            if isinstance(entry, Reopened):
                tables = PartitionTables(None, disk.index, partitions)
                continue
            step = Step(tables, [])
            for record in entry:
                apply(step, record)
            tables.commit()
    found, expected = dump(again), dump(disk)
    again.close()
    for table in _TABLES:
        if found[table] != expected[table]:
            odd = [row for row in found[table] if row not in expected[table]][:2]
            lost = [row for row in expected[table] if row not in found[table]][:2]
            raise Broken(f"replaying the log gives another {table}: {odd} instead of {lost}")
