"""The loop of a partition: what leaves when, what happens when the disk fails, and how it ends."""

from __future__ import annotations

import asyncio
from pathlib import Path

import apsw
import pytest
from core.harness import DEPLOYMENT, VERSION, World, call, output, proposal, run, send_signal, sleep
from partition.support import Engine, HeldDisk, answered, engine, handler, turns, until
from partition.support import run as go

from holdfast.core.commands import End
from holdfast.core.model import InvariantViolation, Row, Success, TargetKind
from holdfast.core.outcome import Accepted, Answer, Finished, Refused
from holdfast.core.records import AttemptReport, Lookup, Purge, Record
from holdfast.core.step import Step
from holdfast.partition import loop as loop_module
from holdfast.partition.feed import Gone
from holdfast.partition.loop import RECORDS_PER_COMMIT_MAX, UNAVAILABLE


def test_nothing_leaves_before_its_commit() -> None:
    """Goal: no answer, push, word to an attempt, timer or end before COMMIT. Method: a disk that waits."""

    async def story() -> None:
        async with engine() as e:
            disk = HeldDisk(e.partitions[0])
            seen: list[object] = []
            request = e.engine.make_request(handler(), None, (), b"in")
            e.engine.start(request, seen.append, seen.append)
            await turns()
            assert (seen, e.runner.started, len(disk.waiting)) == ([], [], 1)
            disk.release()
            assert isinstance(seen[0], Accepted)
            assert e.runner.ids() == [request.id]

            e.report(request.id, run(1), proposal(1), run(2), proposal(2, ack=True), sleep(3, e.clock.ms + 5))
            await turns()
            assert (e.runner.told, e.runner.calls, e.timers[0]._wake_at) == ([], [], None)
            disk.release()
            assert len(e.runner.told) == 1
            assert e.runner.calls == [("acknowledge", request.row, 1)]
            assert e.timers[0]._wake_at == e.clock.ms + 5

            e.report(request.id, output(Success(b"out")), End())
            await turns()
            assert len(seen) == 1
            disk.release()
            assert isinstance(seen[1], Finished)
            assert seen[1].completed.result == Success(b"out")

    go(story())


def test_what_arrives_during_a_commit_shares_the_next_one() -> None:
    async def story() -> None:
        async with engine() as e:
            disk = HeldDisk(e.partitions[0])
            answers: list[object] = []
            for _ in range(100):
                e.engine.start(e.engine.make_request(handler(), None, (), b""), answers.append)
                await turns(1)
            await turns()
            assert len(disk.waiting) == 1
            disk.release()
            first = len(answers)
            assert 0 < first < 100
            await turns()
            disk.release()
            assert (len(answers), disk.commits) == (100, 2)

    go(story())


def test_a_commit_takes_a_bounded_number_of_records() -> None:
    async def story() -> None:
        async with engine() as e:
            await turns()
            disk = HeldDisk(e.partitions[0])
            count = RECORDS_PER_COMMIT_MAX + 10
            answers: list[object] = []
            for _ in range(count):
                e.engine.start(e.engine.make_request(handler(), None, (), b""), answers.append)
            await turns()
            disk.release()
            assert len(answers) == RECORDS_PER_COMMIT_MAX
            await turns()
            disk.release()
            assert len(answers) == count

    go(story())


def test_answers_come_in_the_order_of_the_records() -> None:
    async def story() -> None:
        async with engine() as e:
            order: list[int] = []
            for number in range(50):
                request = e.engine.make_request(handler(), None, (), b"")
                e.engine.start(request, lambda _, n=number: order.append(n))  # type: ignore[misc]
            await until(lambda: len(order) == 50)
            assert order == list(range(50))

    go(story())


def test_a_record_without_writes_needs_no_commit() -> None:
    async def story() -> None:
        async with engine() as e:
            disk = HeldDisk(e.partitions[0])
            nobody = e.engine.make_request(handler(), None, (), b"").id
            answer = await e.engine.ask(nobody, Lookup(e.clock.ms, nobody))
            assert isinstance(answer, Refused)
            assert disk.waiting == []

    go(story())


def test_a_full_disk_refuses_new_work_and_recovers_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Goal: what was accepted before is answered once there is space, and nothing leaves meanwhile."""
    monkeypatch.setattr(loop_module, "COMMIT_RETRY_S", 0.01)

    async def story() -> None:
        async with engine(1, tmp_path) as e:
            partition = e.partitions[0]
            await until(lambda: not partition._committing and not partition.backlog)
            database = partition.tables.database
            pages = database.rows("PRAGMA page_count")[0][0]
            database.rows(f"PRAGMA max_page_count = {pages}")
            early: list[object] = []
            request = e.engine.make_request(handler(), None, (), b"x" * 100_000)
            e.engine.start(request, early.append)
            await until(lambda: partition.degraded)
            refused = await answered(
                lambda done: e.engine.start(e.engine.make_request(handler(), None, (), b""), done)
            )
            assert refused == UNAVAILABLE
            await asyncio.sleep(0.05)
            assert (early, e.runner.started) == ([], [])
            database.rows("PRAGMA max_page_count = 1000000")
            await until(lambda: early)
            assert isinstance(early[0], Accepted)
            assert e.runner.ids() == [request.id]
            assert not partition.degraded
            assert e.fatal == []

    go(story())


def _broken(record: Record) -> bool:
    return isinstance(record, Lookup)


@pytest.mark.parametrize(
    "error", [InvariantViolation("our bug"), apsw.IOError("disk gone"), KeyError("oops")]
)
def test_what_should_never_happen_stops_the_partition(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """Goal: a record that fails halfway has left nobody knows what in memory, so nothing of its batch is
    written; everybody who waits is told; the process is told to end."""
    real = loop_module.apply

    def apply(step: Step, record: Record) -> Answer | None:
        if _broken(record):
            raise error
        return real(step, record)

    monkeypatch.setattr(loop_module, "apply", apply)

    async def story() -> None:
        async with engine() as e:
            await turns(100)
            answers: list[object] = []
            before, after = (e.engine.make_request(handler(), None, (), b"") for _ in range(2))
            e.engine.start(before, answers.append)
            e.partitions[0].submit(Lookup(e.clock.ms, before.id), answers.append)
            e.engine.start(after, answers.append)
            await until(lambda: e.fatal)
            e.engine.start(e.engine.make_request(handler(), None, (), b""), answers.append)
            await until(lambda: len(answers) == 4)
            assert answers == [UNAVAILABLE] * 4
            assert e.runner.started == []
            assert e.partitions[0].tables.database.rows("SELECT count(*) FROM invocation") == [(0,)]

    go(story())


def test_watchers_are_told_once_unless_they_went() -> None:
    async def story() -> None:
        async with engine() as e:
            request = e.engine.make_request(handler(), None, (), b"")
            told: list[str] = []
            e.engine.start(request, lambda _: told.append("accepted"), lambda _: told.append("starter"))
            await until(lambda: told)
            attached = e.engine.attach(request.id, lambda _: told.append("found"), lambda _: told.append("a"))
            gone = e.engine.attach(request.id, lambda _: told.append("found"), lambda _: told.append("b"))
            await until(lambda: told.count("found") == 2)
            gone.cancel()
            gone.cancel()
            e.report(request.id, output(Success(b"v")), End())
            await until(lambda: "a" in told)
            attached.cancel()
            assert told == ["accepted", "found", "found", "starter", "a"]
            assert e.partitions[0]._watchers == {}

    go(story())


def test_a_commit_that_forgets_says_whom() -> None:
    """Goal: watchers hear what left, which nobody can read any more; by purge, and where nothing is kept."""

    async def story() -> None:
        async with engine() as e:
            told: list[tuple[tuple[Row, ...], tuple[Gone, ...]]] = []

            def note(
                partition: int, rows: tuple[Row, ...], keys: tuple[int, ...], gone: tuple[Gone, ...] = ()
            ) -> None:
                told.append((rows, gone))

            e.partitions[0].on_changes = note
            brief = handler(journal_retention_ms=0)
            kept, dropped = (e.engine.make_request(kind, None, (), b"") for kind in (handler(), brief))
            for request in (kept, dropped):
                finished: list[Finished] = []
                e.engine.start(request, lambda _: None, finished.append)
                await until(lambda: e.runner.ids()[-1:] == [request.id])  # noqa: B023
                assert all(gone == () for _, gone in told)
                e.report(request.id, output(Success(b"v")), End())
                await until(lambda: finished)  # noqa: B023
            await answered(lambda done: e.engine.submit(kept.id, Purge(e.clock.ms, kept.id), done))
            farewells = [(rows, gone) for rows, gone in told if gone]
            assert farewells == [
                ((request.row,), (Gone(request.row, request.id, request.target),))
                for request in (dropped, kept)
            ]

    go(story())


def test_attaching_to_what_is_over_answers_with_the_result_and_waits_for_nothing() -> None:
    async def story() -> None:
        async with engine() as e:
            request = e.engine.make_request(handler(), None, (), b"")
            e.engine.start(request, lambda _: None)
            await until(lambda: e.runner.started)
            e.report(request.id, output(Success(b"v")), End())
            told: list[object] = []
            found = await answered(lambda done: e.engine.attach(request.id, done, told.append))
            assert found.completed is not None  # type: ignore[union-attr]
            assert found.completed.result == Success(b"v")  # type: ignore[union-attr]
            assert e.partitions[0]._watchers == {}

    go(story())


def test_a_receiver_that_fails_takes_nobody_with_it() -> None:
    def fail(_: object) -> None:
        raise RuntimeError("somebody's bug")

    async def story() -> None:
        async with engine() as e:
            seen: list[object] = []
            requests = [e.engine.make_request(handler(), None, (), b"") for _ in range(2)]
            e.engine.start(requests[0], fail, fail)
            e.engine.start(requests[1], seen.append, seen.append)
            await until(lambda: len(e.runner.started) == 2)
            for request in requests:
                e.report(request.id, output(Success(b"v")), End())
            await until(lambda: len(seen) == 2)
            assert e.fatal == []

    go(story())


def test_a_cancelled_start_is_accepted_all_the_same_but_calls_nobody() -> None:
    async def story() -> None:
        async with engine() as e:
            seen: list[object] = []
            e.engine.start(e.engine.make_request(handler(), None, (), b""), seen.append, seen.append).cancel()
            await until(lambda: e.runner.started)
            assert seen == []

    go(story())


def test_when_settled_waits_for_the_commit_that_is_under_way() -> None:
    async def story() -> None:
        async with engine() as e:
            await turns(100)
            calls: list[str] = []
            e.partitions[0].when_settled(lambda: calls.append("now"))
            assert calls == ["now"]
            disk = HeldDisk(e.partitions[0])
            e.engine.start(e.engine.make_request(handler(), None, (), b""), lambda _: calls.append("answer"))
            await turns()
            e.partitions[0].when_settled(lambda: calls.append("later"))
            assert calls == ["now"]
            disk.release()
            assert calls == ["now", "answer", "later"]

    go(story())


def test_closing_finishes_what_is_queued(tmp_path: Path) -> None:
    answers: list[object] = []

    async def story() -> None:
        async with engine(1, tmp_path) as e:
            for _ in range(200):
                e.engine.start(e.engine.make_request(handler(), None, (), b""), answers.append)

    go(story())
    assert len(answers) == 200
    assert all(isinstance(answer, Accepted) for answer in answers)


def test_closing_a_partition_that_cannot_commit_answers_everybody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Goal: every record is answered exactly once, 503 when the server goes before it can commit."""
    monkeypatch.setattr(loop_module, "COMMIT_RETRY_S", 0.01)
    answers: list[object] = []

    async def story() -> None:
        async with engine(1, tmp_path) as e:
            partition = e.partitions[0]
            await until(lambda: not partition._committing and not partition.backlog)
            database = partition.tables.database
            database.rows(f"PRAGMA max_page_count = {database.rows('PRAGMA page_count')[0][0]}")
            first = e.engine.make_request(handler(), None, (), b"x" * 100_000)
            e.engine.start(first, answers.append)
            await until(lambda: partition.degraded)
            partition.submit(Lookup(e.clock.ms, first.id), answers.append)
        await turns()

    go(story())
    assert answers == [UNAVAILABLE, UNAVAILABLE]


def test_reports_to_a_closed_partition_are_harmless() -> None:
    async def story() -> None:
        async with engine() as e:
            request = e.engine.make_request(handler(), None, (), b"")
            e.engine.start(request, lambda _: None)
            await until(lambda: e.runner.started)
        record = AttemptReport(e.clock.ms, request.row, 1, DEPLOYMENT, VERSION, [run(1)])
        e.partitions[0].submit(record)
        assert await answered(lambda done: e.partitions[0].submit(record, done)) == UNAVAILABLE

    go(story())


def test_a_restart_makes_new_attempts_for_what_ran(tmp_path: Path) -> None:
    async def first() -> Engine:
        async with engine(4, tmp_path) as e:
            for _ in range(8):
                e.engine.start(e.engine.make_request(handler(), None, (), b""), lambda _: None)
            await until(lambda: len(e.runner.started) == 8)
        return e

    async def second() -> Engine:
        async with engine(4, tmp_path) as e:
            await until(lambda: len(e.runner.started) == 8)
        return e

    before, after = go(first()), go(second())
    assert sorted(after.runner.ids()) == sorted(before.runner.ids())
    assert {attempt for *_, attempt in after.runner.started} == {2}


def test_calls_cross_partitions_and_their_results_come_back() -> None:
    async def story() -> None:
        async with engine(4) as e:
            finished: list[Finished] = []
            root = e.engine.make_request(handler(), None, (), b"")
            e.engine.start(root, lambda _: None, finished.append)
            await until(lambda: root.id in e.runner.ids())
            callees = [
                e.engine.make_request(
                    handler(TargetKind.OBJECT_EXCLUSIVE, "Counter"), f"k{n}", (), b"",
                    caller=e.engine.owner(root.id).index,
                )
                for n in range(20)
            ]  # fmt: skip
            assert len({e.engine.owner(r.id).index for r in callees}) == 4
            e.report(root.id, *(call(r, 2 * n + 2) for n, r in enumerate(callees)))
            await until(lambda: {r.id for r in callees} <= set(e.runner.ids()))
            for request in callees:
                e.report(request.id, output(Success(b"v")), End())
            await until(lambda: len([t for t in e.runner.told if t[3] == 0x800D]) == 20)
            e.report(root.id, output(Success(b"all")), End())
            await until(lambda: finished)
            await until(lambda: not any(p.backlog or p._committing for p in e.partitions))
            assert not any(p.tables.post.destinations() for p in e.partitions)

    go(story())


def test_undelivered_mail_is_sent_after_a_restart(tmp_path: Path) -> None:
    """Method: the source's outbox is committed by hand, as a process that died before shipping left it."""
    world = World(2, tmp_path)
    here, there = sorted((world.start() for _ in range(2)), key=world.owner)
    world.mail_is_held = True
    world.report(here, send_signal(there, 17))
    row = world.invocation(there).row
    world.close()

    async def story() -> None:
        async with engine(2, tmp_path) as e:
            outbox = e.partitions[0].tables.post
            await until(lambda: not outbox.destinations() and not e.partitions[0]._committing)
            frames = e.partitions[1].tables.journal.frames(row)
            assert [type_ for type_, _ in frames] == [0x0400, 0xFBFF]

    go(story())


def test_closing_while_mail_is_on_its_way_raises_nowhere(tmp_path: Path) -> None:
    """Goal: the order in which partitions close does not matter. Method: the loop's own complaints."""
    complaints: list[object] = []

    async def story() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
        async with engine(4, tmp_path) as e:
            root = e.engine.make_request(handler(), None, (), b"")
            e.engine.start(root, lambda _: None)
            await until(lambda: root.id in e.runner.ids())
            requests = [e.engine.make_request(handler(), None, (), b"") for _ in range(40)]
            for request in requests:
                request.row = type(request.row)(0)
            away = [r for r in requests if e.engine.owner(r.id) is not e.engine.owner(root.id)]
            e.report(root.id, *(call(r, 2 * n + 2) for n, r in enumerate(away)))
            await turns(5)
        await turns(50)

    go(story())
    assert complaints == []


def test_an_arrival_that_is_confirmed_after_the_source_closed_raises_nowhere() -> None:
    """Method: the destination's disk is held until the source's file is closed."""
    complaints: list[object] = []

    async def story() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
        async with engine(2) as e:
            requests = [e.engine.make_request(handler(), None, (), b"") for _ in range(2)]
            for request in requests:
                e.engine.start(request, lambda _: None)
            await until(lambda: len(e.runner.started) == 2)
            here, there = requests
            disk = HeldDisk(e.engine.owner(there.id))
            e.report(here.id, send_signal(there.id, 17))
            await until(lambda: disk.waiting)
            await e.engine.owner(here.id).close(0.1)
            disk.release()
            await turns()

    go(story())
    assert complaints == []
