"""What one watcher is told: the latest state, entries that changed, and that it has missed something."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from query.story import INPUT
from query.world import text_of

from holdfast.admin import event_source as module
from holdfast.admin.event_source import EventSource
from holdfast.admin.invocation_list import Filters
from holdfast.admin.invocation_shapes import Summary
from holdfast.core.commands import AttemptError, End, Item, Output, Plain, RunProposal, StartRequest, Suspend
from holdfast.core.model import AttemptFailure, Await, RetryPolicy, Row, Success
from holdfast.core.records import Kill, Purge
from holdfast.partition.feed import ChangeFeed, Gone, OnChanges
from holdfast.protocol.messages import OutputCommandMessage, RunCommandMessage, Value
from holdfast.storage.keys import JOURNAL_SPAN

from .shown import Shown

DEADLINE_S = 20.0


@pytest.fixture
def shown(tmp_path: Path) -> Iterator[Shown]:
    shown = Shown(tmp_path)
    yield shown
    shown.close()


class Publisher:
    on_changes: OnChanges | None = None


class Watch:
    """A watcher of a world whose commits are told to the feed here."""

    def __init__(self, shown: Shown, filters: Filters | None = None, invocations: Iterable[str] = ()) -> None:
        self._world = shown.world
        self.publisher = Publisher()
        self.feed = ChangeFeed([self.publisher], asyncio.get_running_loop())
        reader, _ = self.feed.open()
        self._lengths: dict[int, int] = {}
        since = shown.world.now_ms
        filters = filters or Filters()
        self.source = EventSource(self.feed, reader, shown.reads, filters, invocations, self._fill, since)

    def _fill(self, summaries: Iterable[Summary]) -> None:
        for summary in summaries:
            summary.revision = 7

    def start(self, target: str = "Greeter/greet") -> StartRequest:
        request = self._world.request(target, input_raw=INPUT)
        self._world.start(request)
        self.tell(request)
        return request

    def report(self, request: StartRequest, *items: Item, attempt: int = 1) -> None:
        self._world.report(request, *items, attempt=attempt)
        self.tell(request)

    def tell(self, request: StartRequest) -> None:
        first = request.row * JOURNAL_SPAN
        rows = self._world.tables[0].database.rows(
            "SELECT key FROM journal WHERE key >= ? AND key < ?",
            (first + self._lengths.get(request.row, 0), first + JOURNAL_SPAN),
        )
        self._lengths[request.row] = self._lengths.get(request.row, 0) + len(rows)
        if self.publisher.on_changes is not None:
            self.publisher.on_changes(0, (request.row,), tuple(key for (key,) in rows))

    def purge(self, request: StartRequest) -> None:
        self._world.apply(request.id, Purge(self._world.tick(), request.id))
        if self.publisher.on_changes is not None:
            self.publisher.on_changes(0, (request.row,), (), (Gone(request.row, request.id, request.target),))

    async def next(self) -> list[tuple[str, Any]]:
        """The events of the next chunk; its last line is the position."""
        chunk = await self.source.next()
        assert chunk is not None
        assert chunk.endswith(f"id: {self.feed.epoch}-{self.feed.sequence}\n\n".encode())
        return parse(chunk)


def parse(chunk: bytes) -> list[tuple[str, Any]]:
    events: list[tuple[str, Any]] = []
    for block in chunk.decode().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if "event" in fields:
            events.append((fields["event"], json.loads(fields["data"])))
    return events


def story(coroutine: Any) -> None:
    asyncio.run(asyncio.wait_for(coroutine, DEADLINE_S))


def output(value: bytes) -> Output:
    return Output(0x401, OutputCommandMessage("", Value(value)).encode(), Success(value))


def step(completion: int) -> Plain:
    return Plain(0x411, RunCommandMessage(completion, "step").encode(), completion)


def test_what_happened_in_between_is_one_event(shown: Shown) -> None:
    async def tale() -> None:
        watch = Watch(shown)
        request = watch.start()
        watch.report(request, step(1), RunProposal(1, Success(b"1"), True))
        watch.report(request, output(b'"</script>"'), End())
        ((name, summary),) = await watch.next()
        assert (name, summary["id"], summary["status"]) == ("invocation", text_of(request.id), "succeeded")
        assert summary["revision"] == 7

    story(tale())


def test_filters_are_those_of_lists_and_who_leaves_is_told(shown: Shown) -> None:
    async def tale() -> None:
        before = shown.world.request("Greeter/greet", input_raw=INPUT)
        shown.world.start(before)
        watch = Watch(shown, Filters(frozenset(("suspended",)), "Greeter"))
        other, new = watch.start("Other/greet"), watch.start()
        watch.report(other, Suspend(Await((1,)), 1))
        watch.report(new, Suspend(Await((1,)), 1))
        assert [e["id"] for _, e in await watch.next()] == [text_of(new.id)]
        shown.world.apply(new.id, Kill(shown.world.tick(), new.id))
        watch.tell(new)
        assert [(e["id"], e["status"]) for _, e in await watch.next()] == [(text_of(new.id), "failed")]
        watch.report(before, output(b"1"), End())
        assert [e["status"] for _, e in await watch.next()] == ["succeeded"], (
            "it may be in a list fetched before"
        )
        quick = watch.start()
        watch.report(quick, output(b"1"), End())
        assert await watch.next() == [], "it never was in the list"

    story(tale())


def test_a_watched_invocation_comes_with_what_changed_of_its_journal(shown: Shown) -> None:
    async def tale() -> None:
        request = shown.world.request("Greeter/greet", input_raw=INPUT)
        watch = Watch(shown, None, [text_of(request.id)])
        shown.world.start(request)
        watch.tell(request)
        watch.start()  # somebody else's
        (_, summary), (name, first) = await watch.next()
        assert (name, summary["id"]) == ("entries", first["id"])
        assert [e["type"] for e in first["entries"]] == ["input"]
        watch.report(request, step(1), step(2))
        assert [e["index"] for e in (await watch.next())[1][1]["entries"]] == [1, 2]
        watch.report(request, RunProposal(2, Success(b"1"), True))
        (_, (_, changed)) = await watch.next()
        assert [(e["index"], e["state"]) for e in changed["entries"]] == [(2, "done")]
        failure = AttemptFailure(500, "boom", "RT0007", "at 1", 1, "step", "Run")
        watch.report(request, AttemptError(failure, RetryPolicy(), 0.0))
        (_, (_, changed)) = await watch.next()
        assert [a["outcome"] for a in changed["attempts"]] == ["failed"]
        assert [(e["index"], len(e["retries"])) for e in changed["entries"]] == [(1, 1)]

    story(tale())


def test_what_was_purged_is_gone_for_those_who_asked_for_it(shown: Shown) -> None:
    async def tale() -> None:
        list_ = Watch(shown, Filters(frozenset(("succeeded",)), "Greeter"))
        kept, purged, other = list_.start(), list_.start(), list_.start("Other/greet")
        for request in (kept, purged, other):
            list_.report(request, output(b"1"), End())
        assert {e["id"] for _, e in await list_.next()} == {text_of(kept.id), text_of(purged.id)}
        detail = Watch(shown, None, [text_of(purged.id)])
        list_.purge(other)
        assert await list_.next() == [], "of a service that is not asked for"
        list_.report(kept)
        list_.purge(purged)
        (farewell, (name, summary)) = await list_.next()
        assert farewell == ("gone", {"id": text_of(purged.id)})
        assert (name, summary["id"]) == ("invocation", text_of(kept.id))
        assert detail.publisher.on_changes is not None
        detail.publisher.on_changes(0, (purged.row,), (), (Gone(purged.row, purged.id, purged.target),))
        assert await detail.next() == [farewell], "also when it has not been heard of before"

    story(tale())


def test_a_successor_of_the_same_id_is_told_after_its_predecessor_is_gone(shown: Shown) -> None:
    """A workflow's id comes from its key: purged, it can be run again within one chunk."""

    async def tale() -> None:
        first = shown.world.request("Greeter/greet", input_raw=INPUT)
        watch, list_ = Watch(shown, None, [text_of(first.id)]), Watch(shown)
        shown.world.start(first)
        watch.tell(first)
        await watch.next()
        watch.report(first, output(b"1"), End())
        watch.purge(first)
        again = replace(first, row=Row(first.row + 1000))
        shown.world.start(again)
        watch.tell(again)
        told = await watch.next()
        assert [name for name, _ in told] == ["gone", "invocation", "entries"]
        assert told[1][1]["status"] == "ready"
        assert [e["type"] for e in told[2][1]["entries"]] == ["input"]
        gone = Gone(first.row, first.id, first.target)
        assert list_.publisher.on_changes is not None
        list_.publisher.on_changes(0, (first.row, again.row), (), (gone,))
        assert [name for name, _ in await list_.next()] == ["gone", "invocation"]

    story(tale())


def test_many_that_are_gone_at_once_are_a_reset(shown: Shown, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "EVENTS_AT_ONCE", 3.0)
    monkeypatch.setattr(module, "EVENTS_PER_S", 0.0)

    async def tale() -> None:
        requests = [shown.world.request("Greeter/greet", input_raw=INPUT) for _ in range(4)]
        watch, filtered = Watch(shown), Watch(shown, Filters(service="Rare"))
        gone = tuple(Gone(one.row, one.id, one.target) for one in requests)
        for each in (watch, filtered):
            assert each.publisher.on_changes is not None
            each.publisher.on_changes(0, tuple(one.row for one in requests), (), gone)
        assert await watch.next() == [("reset", {})]
        assert await filtered.next() == []

    story(tale())


def test_a_flood_becomes_a_reset(shown: Shown, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "EVENTS_AT_ONCE", 3.0)
    monkeypatch.setattr(module, "EVENTS_PER_S", 0.0)

    async def tale() -> None:
        watch, filtered = Watch(shown), Watch(shown, Filters(service="Rare"))
        requests = [watch.start() for _ in range(4)]
        for request in requests:
            filtered.tell(request)
        assert await watch.next() == [("reset", {})]
        assert await filtered.next() == [], "what is not asked for does not count"
        filtered.tell(watch.start("Rare/greet"))
        assert [name for name, _ in await filtered.next()] == ["invocation"]

    story(tale())


def test_what_the_feed_no_longer_keeps_is_a_reset(shown: Shown, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("holdfast.partition.feed.CHANGES_KEPT_MAX", 1)

    async def tale() -> None:
        watch = Watch(shown)
        watch.start()
        watch.start()
        assert await watch.next() == [("reset", {})]

    story(tale())


def test_silence_is_broken_by_a_comment(shown: Shown, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "HEARTBEAT_S", 0.01)

    async def tale() -> None:
        watch = Watch(shown)
        assert await watch.source.next() == module.HEARTBEAT
        watch.feed.close()
        assert await watch.source.next() is None

    story(tale())
