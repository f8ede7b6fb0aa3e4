"""The sweep for ended retentions, slice by slice."""

from __future__ import annotations

import asyncio

import pytest
from core.harness import output
from partition.support import engine, handler, until
from partition.support import run as go

from holdfast.core.commands import End
from holdfast.core.model import Success
from holdfast.partition import sweeper as module
from holdfast.partition.sweeper import Sweeper


def test_what_is_past_its_retention_goes_and_the_rest_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small slices, so that several are needed."""
    monkeypatch.setattr(module, "ROWS_PER_SLICE", 3)
    monkeypatch.setattr(module, "PAUSE_S", 0.001)

    async def story() -> None:
        async with engine() as e:
            short, long = handler(journal_retention_ms=1_000), handler(journal_retention_ms=9_000)
            requests = [
                e.engine.make_request(short if n % 2 else long, None, (), b"") for n in range(20)
            ]  # fmt: skip
            for request in requests:
                e.engine.start(request, lambda _: None)
            await until(lambda: len(e.runner.started) == 20)
            for request in requests[:-2]:
                e.report(request.id, output(Success(b"v")), End())
            e.clock.ms += 1_000
            sweeper = Sweeper(e.partitions[0], asyncio.get_running_loop(), e.clock, 1)
            sweeper.start()
            database = e.partitions[0].tables.database

            def left() -> int:
                return 0 if e.partitions[0]._committing else database.rows(_COUNT)[0][0]

            await until(lambda: left() == 11)
            e.clock.ms += 8_000
            await until(lambda: left() == 2)
            sweeper.stop()
            assert database.rows("SELECT count(DISTINCT key >> 20) FROM journal") == [(2,)]

    go(story())


_COUNT = "SELECT count(*) FROM invocation"


def test_a_stopped_sweeper_looks_no_more() -> None:
    async def story() -> None:
        async with engine() as e:
            sweeper = Sweeper(e.partitions[0], asyncio.get_running_loop(), e.clock, 1)
            sweeper.start()
            sweeper.stop()
            assert sweeper._handle is None

    go(story())
