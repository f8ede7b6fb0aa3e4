"""Laws over random histories of a handful of invocations and two keys.

A history is a list of moves. A move names a wish and a number that picks, among the invocations to which the
wish applies, the one that gets it; so a history shrinks well and means the same in two worlds.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest
from core.harness import (
    COUNTER,
    DAY,
    FLOW_SHARED,
    GONE_AT_ONCE,
    SERVICE,
    World,
    attach,
    call,
    clear_all_state,
    complete_promise,
    error,
    every,
    get_lazy,
    get_promise,
    proposal,
    run,
    send,
    set_state,
    sleep,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from holdfast.core.commands import Suspend
from holdfast.core.model import (
    Activity,
    Await,
    Completed,
    Inboxed,
    Invocation,
    InvocationId,
    Invoked,
    Paused,
    Retention,
    Row,
    Scheduled,
    Success,
    Suspended,
    TargetKind,
)
from holdfast.core.outcome import Finished, StartAttempt
from holdfast.core.records import Sweep
from holdfast.storage.invocations import ATTEMPTS_FLAG

OTHER = COUNTER._replace(key="other")
TARGETS = (SERVICE, COUNTER, COUNTER, OTHER, FLOW_SHARED)
RETENTIONS = (DAY, DAY, GONE_AT_ONCE, Retention(1000, 10))
CAUTIOUS = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])

Move = tuple[str, int]


def is_running(i: Invocation) -> bool:
    return isinstance(i.status, Invoked) and i.activity is Activity.RUNNING


class Storyteller:
    """Plays moves in a world and watches what must never happen."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.ended: list[InvocationId] = []
        self.completions: dict[InvocationId, int] = {}
        self.waits: dict[InvocationId, list[int]] = {}
        self.started: list[InvocationId] = []
        self.created = 0

    def play(self, move: Move) -> None:
        name, pick = move
        self.world.actions = []
        MOVES[name](self, pick)
        self.watch()

    def watch(self) -> None:
        """One attempt per exclusive key, one end per invocation."""
        world = self.world
        self.ended += [action.id for action in world.all(Finished)]
        assert len(self.ended) == len(set(self.ended)), "ended twice"
        for action in world.all(StartAttempt):
            self.started.append(action.invocation.id)
        holders: dict[str, list[Row]] = {}
        for invocation in every(world, lambda i: isinstance(i.status, Invoked | Suspended | Paused)):
            if invocation.target.kind is TargetKind.OBJECT_EXCLUSIVE:
                holders.setdefault(invocation.target.object, []).append(invocation.row)
        locks = {o: [Row(r)] for t in world.tables for o, r in t.database.rows("SELECT * FROM object_lock")}
        assert holders == locks, "who holds a key and who runs under it differ"

    # ------------------------------------------------------------ picking

    def pick(self, pick: int, condition: Callable[[Invocation], bool]) -> InvocationId | None:
        """By order of acceptance; the same in a world that was restarted."""
        found = sorted(every(self.world, condition), key=lambda i: (i.created_at, i.row))
        return found[pick % len(found)].id if found else None

    def next_id(self, id_: InvocationId, count: int = 1) -> int:
        self.completions[id_] = self.completions.get(id_, 0) + count
        return self.completions[id_]

    def command(self, pick: int) -> None:
        """A running attempt sends one command."""
        id_ = self.pick(pick, is_running)
        if id_ is None:
            return
        world, target, choice = self.world, self.world.invocation(id_).target, pick // 7 % 9
        completion = self.next_id(id_, 2)
        other = self.pick(pick // 3, lambda i: i.id != id_)
        waits = self.waits.setdefault(id_, [])
        keyed = target.key is not None
        if choice == 0:
            world.report(id_, run(completion), proposal(completion))
        elif choice == 1:
            world.report(id_, sleep(completion, world.now + pick % 50))
            waits.append(completion)
        elif choice in (2, 3):
            callee = world.request(TARGETS[pick % len(TARGETS)], by=id_)
            world.report(id_, call(callee, completion) if choice == 2 else send(callee, completion))
            waits += [completion] if choice == 2 else []
        elif choice == 4 and other is not None:
            world.report(id_, attach(other, completion))
            waits.append(completion)
        elif choice == 5 and keyed:
            world.report(id_, set_state(b"k%d" % (pick % 3), b"%d" % pick), get_lazy(b"k1", completion))
        elif choice == 6 and keyed:
            world.report(id_, clear_all_state())
        elif target.kind is TargetKind.WORKFLOW_SHARED:
            key = f"p{pick % 2}"
            if choice == 7:
                world.report(id_, get_promise(key, completion))
                waits.append(completion)
            else:
                world.report(id_, complete_promise(key, Success(b"%d" % pick), completion))

    def start(self, pick: int) -> None:
        self.world.now += 1  # an order of acceptance
        start_at = self.world.now + 20 if pick % 5 == 0 else 0
        target = TARGETS[pick % len(TARGETS)]
        self.world.start(target, retention=RETENTIONS[pick % len(RETENTIONS)], start_at=start_at)

    def suspend(self, pick: int) -> None:
        id_ = self.pick(pick, is_running)
        if id_ is not None and self.waits.get(id_):
            known = self.world.known(id_) - pick % 2
            self.world.report(id_, Suspend(Await((self.waits[id_][-1],), (1,)), known))

    def finish(self, pick: int) -> None:
        id_ = self.pick(pick, is_running)
        if id_ is not None:
            self.world.finish(id_)

    def fail(self, pick: int) -> None:
        id_ = self.pick(pick, is_running)
        if id_ is not None:
            self.world.report(id_, error(retry_after_ms=10 + pick % 20))

    def signal(self, pick: int) -> None:
        id_ = self.pick(pick, lambda i: True)
        if id_ is not None:
            self.world.signal(id_, (1, 17, "go")[pick % 3])

    def kill(self, pick: int) -> None:
        id_ = self.pick(pick, lambda i: not isinstance(i.status, Completed))
        if id_ is not None:
            self.world.kill(id_)

    def cancel(self, pick: int) -> None:
        id_ = self.pick(pick, lambda i: True)
        if id_ is not None:
            self.world.cancel(id_)

    def pause(self, pick: int) -> None:
        """Of what rests: the wish to pause a running attempt lives in memory only."""
        id_ = self.pick(pick, lambda i: not is_running(i))
        if id_ is not None:
            self.world.pause(id_)

    def resume(self, pick: int) -> None:
        id_ = self.pick(pick, lambda i: isinstance(i.status, Paused | Suspended))
        if id_ is not None:
            self.world.resume(id_)

    def replace(self, pick: int) -> None:
        self.world.replace_state((COUNTER, OTHER)[pick % 2], {b"r": b"%d" % pick})

    def sweep(self, _: int) -> None:
        rows = tuple(i.row for i in every(self.world, lambda i: True))
        for partition, tables in enumerate(self.world.tables):
            mine = tuple(row for row in rows if tables.invocations.get(row) is not None)
            self.world.tell(partition, Sweep(self.world.now, mine))

    def wait(self, pick: int) -> None:
        self.world.pass_time(pick % 60)

    # ------------------------------------------------------------ the end

    def end_everything(self) -> None:
        """Resume, wait and finish until nothing is left to do; the number of rounds is bounded."""
        for _ in range(400):
            for id_ in [i.id for i in every(self.world, lambda i: isinstance(i.status, Paused | Suspended))]:
                self.world.resume(id_)
                self.watch()
            self.wait(59)
            running = [i.id for i in every(self.world, is_running)]
            for id_ in running:
                if self.world.is_running(id_):
                    self.world.finish(id_)
                    self.watch()
            if not any(every(self.world, lambda i: not isinstance(i.status, Completed))):
                return
        raise AssertionError("something never ends")


MOVES: dict[str, Callable[[Storyteller, int], None]] = {
    "start": Storyteller.start, "command": Storyteller.command, "suspend": Storyteller.suspend,
    "finish": Storyteller.finish, "fail": Storyteller.fail, "signal": Storyteller.signal,
    "kill": Storyteller.kill, "cancel": Storyteller.cancel, "pause": Storyteller.pause,
    "resume": Storyteller.resume, "replace": Storyteller.replace, "sweep": Storyteller.sweep,
    "wait": Storyteller.wait,
}  # fmt: skip

FREQUENT = ["start"] * 4 + ["command"] * 6 + ["suspend"] * 3 + ["finish"] * 2 + ["wait"] * 2
moves = st.tuples(st.sampled_from([*FREQUENT, *MOVES]), st.integers(0, 10_000))
histories = st.lists(moves, min_size=5, max_size=30)


@pytest.mark.parametrize("partitions", [1, 4])
@CAUTIOUS
@given(history=histories)
def test_everything_ends_once_and_nothing_leaks(partitions: int, history: list[Move]) -> None:
    """Goal: locks, inboxes, timers, waiters and outboxes are empty once all invocations have ended; an
    invocation ends once; a key has one holder. Method: random histories, then everything is let to end."""
    world = World(partitions)
    teller = Storyteller(world)
    for move in history:
        teller.play(move)
    teller.end_everything()
    world.pass_time(1000)
    for table in ("object_lock", "inbox", "timer", "waiter", "outbox"):
        assert world.count(table) == 0, table
    teller.sweep(0)
    world.pass_time(2 * DAY.completion_ms)
    teller.sweep(0)
    for table in ("invocation", "invocation_alias", "journal", "event"):
        assert world.count(table) == 0, table
    world.close()


@pytest.mark.parametrize("partitions", [1, 3])
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(history=histories, cuts=st.sets(st.integers(0, 30), max_size=3))
def test_a_restart_at_any_record_is_invisible(partitions: int, history: list[Move], cuts: set[int]) -> None:
    """Goal: state depends on the log alone. Method: the same history in a world that was never stopped and in
    one that was reopened from its files, whole tables compared."""
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as two:
        worlds = World(partitions, Path(one)), World(partitions, Path(two))
        _same_ids(*worlds)
        tellers = [Storyteller(world) for world in worlds]
        for position, move in enumerate(history):
            if position in cuts:
                worlds[1].reopen()
                tellers[1].watch()
            for teller in tellers:
                teller.play(move)
            assert comparable(worlds[1]) == comparable(worlds[0]), f"after move {position}, {move}"
        for world in worlds:
            world.close()


def _same_ids(*worlds: World) -> None:
    """Both worlds mint the same ids, and rows as before."""
    for world in worlds:
        for minter in world.minters:
            minter._random = Random(minter._first_key).randbytes  # type: ignore[method-assign]


SEQUENCES = {"inbox": 1, "waiter": 1, "promise_listener": 2, "event": 0}
"""Columns with numbers whose order matters and whose values do not: they begin anew when a table is empty."""


def comparable(world: World) -> dict[str, list[tuple[object, ...]]]:
    """The tables without what a restart may change: attempts (it cuts some off), counts kept in memory while
    an invocation runs (recounted when opened), and the values of sequences."""
    dump = {name: rows for name, rows in world.dump().items() if name.split("/")[1] != "attempt"}
    columns = [row[1] for row in world.tables[0].database.rows("PRAGMA table_info(invocation)")]
    volatile = {columns.index(name) for name in ("attempt", "retry_count", "progress_at", "modified_at")}
    counts = {columns.index(name) for name in ("length", "commands")}
    flags = columns.index("flags")
    status, number = columns.index("status"), columns.index("status_number")
    for name, rows in dump.items():
        table = name.split("/")[1]
        if table == "invocation":
            dump[name] = [
                tuple(
                    None
                    if c in volatile
                    or (c in counts and row[status] == 2)
                    or (c == number and row[status] == 1)
                    else int(str(value)) & ~ATTEMPTS_FLAG
                    if c == flags
                    else value
                    for c, value in enumerate(row)
                )
                for row in rows
            ]
        elif table in SEQUENCES:
            at = SEQUENCES[table]
            dump[name] = [(*row[:at], *row[at + 1 :]) for row in rows]
    return dump


@settings(max_examples=60, deadline=None)
@given(orders=st.lists(st.tuples(st.sampled_from("abcd"), st.integers(0, 9)), max_size=30))
def test_a_key_is_served_in_order_of_arrival(orders: list[tuple[str, int]]) -> None:
    """Goal: FIFO per key, whoever leaves the queue in between. Method: a list as the model."""
    world, queue = World(), list[InvocationId]()
    for wish, pick in orders:
        if wish in "ab":
            queue.append(world.start(COUNTER))
        elif queue:
            position = 0 if wish == "c" else pick % len(queue)
            id_ = queue.pop(position)
            if position == 0 and wish == "c":
                world.finish(id_)
            else:
                world.kill(id_)
        if queue:
            assert world.is_running(queue[0])
            assert all(isinstance(world.status(id_), Inboxed) for id_ in queue[1:])
        else:
            assert world.count("object_lock") == 0
    world.close()


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32), sends=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), max_size=25)
)
def test_a_lossy_doubling_reordering_post_delivers_once_and_in_order(
    seed: int, sends: list[tuple[int, int]]
) -> None:
    """Goal: every signal is journalled once, and between a pair of partitions in order."""
    from core.harness import send_signal

    chance, world = Random(seed), World(3)
    by_owner: dict[int, InvocationId] = {}
    while len(by_owner) < 3:
        id_ = world.start(SERVICE)
        by_owner[world.owner(id_)] = id_
    world.mail_is_held = True
    expected: dict[int, list[str]] = {0: [], 1: [], 2: []}
    for number, (source, to) in enumerate(sends):
        world.report(by_owner[source], send_signal(by_owner[to], f"{source}:{number}"))
        expected[to].append(f"{source}:{number}")
        while chance.random() < 0.4:
            _stir(world, chance)
    for _ in range(500):
        if not world.outboxes():
            break
        _stir(world, chance)
    world.carry_mail()
    for to, id_ in by_owner.items():
        arrived = [str(entry.ref) for entry in world.journal(id_) if entry.type == 0xFBFF]
        assert sorted(arrived) == sorted(expected[to])
        for source in range(3):
            mine = [ref for ref in arrived if ref.startswith(f"{source}:")]
            assert mine == [ref for ref in expected[to] if ref.startswith(f"{source}:")]
    world.close()


def _stir(world: World, chance: Random) -> None:
    """One delivery of a random pair: of a part, without its confirmation, or from somewhere in the middle."""
    pairs = world.outboxes()
    if not pairs:
        return
    source, to = chance.choice(pairs)
    waiting = world.tables[source].post.waiting(to, 0, 100)
    if chance.random() < 0.3:
        from holdfast.core.records import Deliver

        part = waiting[chance.randrange(len(waiting)) :]
        messages = tuple(message for _, message in part)
        world._apply(to, Deliver(world.now, source, part[0][0], messages, (Row(0),) * len(part)))
    else:
        world.deliver(source, to, limit=chance.randint(1, 3), confirm=chance.random() < 0.5)


def test_scheduled_ones_are_part_of_the_histories() -> None:
    """The laws say nothing about what never happens: here is one that does."""
    teller = Storyteller(World())
    teller.play(("start", 5))
    assert any(every(teller.world, lambda i: isinstance(i.status, Scheduled)))
    teller.end_everything()
