"""Which attempts are remembered, what of them, and for how long."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from core.harness import SERVICE, World, error, output, proposal, run, sleep

from holdfast.core import commands as c
from holdfast.core.model import InvocationId, Success
from holdfast.storage import attempts as storage

SUSPENDED, FAILED, COMPLETED, PAUSED, ABORTED = range(5)


@pytest.fixture
def world() -> Iterator[World]:
    world = World()
    yield world
    world.close()


def kept(world: World, id_: InvocationId) -> list[tuple[int, int]]:
    """The engine's numbers and the outcomes of what is stored."""
    rows = world.tables[0].database.rows(
        "SELECT number, outcome FROM attempt WHERE row = ? ORDER BY number", (world.invocation(id_).row,)
    )
    return rows


def test_the_only_attempt_of_an_invocation_is_not_written(world: World) -> None:
    id_ = world.start(SERVICE)
    world.report(id_, run(1), proposal(1, ack=True), output(Success(b"1")), c.End())
    assert world.count("attempt") == 0
    assert not world.invocation(id_).has_attempts


def test_each_end_is_remembered_with_its_span(world: World) -> None:
    id_ = world.start(SERVICE)
    began = world.now
    world.pass_time(10)
    world.report(id_, error(retry_after_ms=1_000))
    failed_at = world.now
    world.pass_time(1_000)
    world.report(id_, sleep(1, world.now + 500))
    world.suspend(id_, 1)
    world.pass_time(500)
    world.finish(id_)
    assert kept(world, id_) == [(1, FAILED), (2, SUSPENDED), (4, COMPLETED)]
    spans = world.tables[0].database.rows("SELECT started_at, ended_at FROM attempt ORDER BY number")
    assert spans[0] == (began, failed_at)
    assert all(start <= end for start, end in spans)
    assert [s for s, _ in spans] == sorted(s for s, _ in spans)


def test_who_is_killed_paused_or_whose_server_dies_is_remembered_too(world: World) -> None:
    killed, stopped = world.start(SERVICE), world.start(SERVICE)
    world.kill(killed)
    assert kept(world, killed) == [(1, ABORTED)]
    world.pause(stopped)
    world.suspend(stopped, 1)
    assert kept(world, stopped) == [(1, PAUSED)]
    assert not world.is_running(stopped)


def test_the_latest_are_kept(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "ATTEMPTS_PER_INVOCATION_MAX", 3)
    id_ = world.start(SERVICE)
    for _ in range(6):
        world.report(id_, error(retry_after_ms=1_000))
        world.pass_time(1_000)
    assert kept(world, id_) == [(4, FAILED), (5, FAILED), (6, FAILED)]


def test_they_go_with_the_journal(world: World) -> None:
    ids = [world.start(SERVICE) for _ in range(2)]
    for id_ in ids:
        world.report(id_, error(retry_after_ms=1_000))
    world.pass_time(1_000)
    for id_ in ids:
        world.finish(id_)
    assert world.count("attempt") == 4
    world.purge(ids[0], journal_only=True)
    world.purge(ids[1])
    assert world.count("attempt") == 0
    assert not world.invocation(ids[0]).has_attempts
