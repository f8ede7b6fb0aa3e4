"""The change feed: who may go on where, who has missed something, and that nobody watching costs nothing."""

from __future__ import annotations

import asyncio
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from partition.support import run, turns

from holdfast.core.model import Row
from holdfast.partition import feed as module
from holdfast.partition.feed import ChangeFeed, OnChanges, TooManyReaders


class Partition:
    """The part of a partition that the feed sees."""

    on_changes: OnChanges | None = None

    def commit(self, *rows: int, keys: tuple[int, ...] = ()) -> None:
        if self.on_changes is not None:
            self.on_changes(0, tuple(Row(row) for row in rows), keys)


def feed_of(partition: Partition) -> ChangeFeed:
    return ChangeFeed([partition], asyncio.get_running_loop())


def test_nothing_is_published_while_nobody_watches() -> None:
    async def story() -> None:
        partition = Partition()
        feed = feed_of(partition)
        assert partition.on_changes is None
        with patch.object(module, "LINGER_S", 0.0):
            reader, _ = feed.open()
            assert partition.on_changes is not None
            feed.close_reader(reader)
            assert partition.on_changes is not None, "it may come back"
            while partition.on_changes is not None:  # noqa: ASYNC110
                await asyncio.sleep(0.001)

    run(story())


def test_a_reader_gets_what_was_committed_since_and_waits_for_more() -> None:
    async def story() -> None:
        partition = Partition()
        feed = feed_of(partition)
        reader, resumed = feed.open()
        assert not resumed
        partition.commit(1, keys=(7,))
        partition.commit(2)
        assert await reader.wait(10.0)
        taken = reader.take()
        assert taken is not None
        assert [(c.rows, c.keys) for c in taken] == [((1,), (7,)), ((2,), ())]
        waiting = asyncio.create_task(reader.wait(10.0))
        await turns()
        assert not waiting.done()
        partition.commit(3)
        assert await waiting
        assert not await asyncio.create_task(_nothing(reader))

    async def _nothing(reader: module.FeedReader) -> bool:
        reader.take()
        return await reader.wait(0.001)

    run(story())


def test_who_comes_back_in_time_goes_on_and_who_does_not_is_told() -> None:
    async def story() -> None:
        partition = Partition()
        feed = feed_of(partition)
        first, _ = feed.open()
        partition.commit(1)
        first.take()
        left_at = first.position
        feed.close_reader(first)
        partition.commit(2)
        again, resumed = feed.open(feed.epoch, left_at)
        assert resumed
        assert [c.rows for c in again.take() or ()] == [(2,)]
        assert not feed.open("anotherserver", left_at)[1]
        assert not feed.open(feed.epoch, feed.sequence + 1)[1]
        feed.close()
        assert again.stopped

    run(story())


def test_a_silence_of_the_feed_is_missed_by_all_positions_before_it() -> None:
    async def story() -> None:
        partition = Partition()
        feed = feed_of(partition)
        with patch.object(module, "LINGER_S", 0.0):
            reader, _ = feed.open()
            position = reader.position
            feed.close_reader(reader)
            while partition.on_changes is not None:  # noqa: ASYNC110
                await asyncio.sleep(0.001)
        partition.commit(1)  # nobody hears it
        assert not feed.open(feed.epoch, position)[1]

    run(story())


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), max_size=40))
def test_a_reader_takes_everything_once_or_hears_that_it_missed_some(commits: list[tuple[int, bool]]) -> None:
    """Goal: no silent loss. Method: a small ring, readers that take at random times."""

    async def story() -> None:
        partition = Partition()
        feed = feed_of(partition)
        reader, _ = feed.open()
        expected: list[int] = []
        for number, (size, takes) in enumerate(commits):
            partition.commit(*[number] * size)
            expected += [number] * size
            if takes:
                taken = reader.take()
                got = None if taken is None else [row for c in taken for row in c.rows]
                assert got == expected if len(expected) <= 8 else got in (None, expected)
                expected = []

    with patch.object(module, "CHANGES_KEPT_MAX", 8):
        run(story())


def test_readers_are_counted() -> None:
    async def story() -> None:
        feed = feed_of(Partition())
        with patch.object(module, "READERS_MAX", 2):
            readers = [feed.open()[0] for _ in range(2)]
            with pytest.raises(TooManyReaders):
                feed.open()
            feed.close_reader(readers[0])
            feed.open()

    run(story())


def test_readers_of_a_feed_that_is_closed_end_at_once() -> None:
    async def story() -> None:
        feed = feed_of(Partition())
        reader, _ = feed.open()
        waiting = asyncio.create_task(reader.wait(10.0))
        await turns()
        feed.close()
        assert not await waiting
        late, _ = feed.open()
        assert not await late.wait(10.0)

    run(story())
