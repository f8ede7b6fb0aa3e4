"""What one watcher is told: from commits in the change feed to the text of server-sent events.

Commits are gathered for `PAUSE_S`, and the invocations they touched are then read from storage as they are by
now: whatever happened in between is one event. What was forgotten cannot be read: it is told first, for an
invocation of the same id may have begun since. Between two reads lies at least that pause, and a multiple of
what the last one took.

Nobody can look at thousands of invocations a second, and reading them would cost the server a tenth of what
it does for them. A watcher of lists is told of `EVENTS_PER_S` on average; what is more becomes one `reset`,
four times a second, and it fetches the newest. Filters are applied before this is counted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from time import monotonic

import msgspec

from holdfast.admin.attempt_list import read_attempts
from holdfast.admin.invocation_list import Filters, Found, conditions, read_ids, read_places
from holdfast.admin.invocation_shapes import Attempt, EntriesEvent, Entry, GoneEvent, Summary
from holdfast.admin.timeline import read_entries
from holdfast.core.model import JOURNAL_ENTRIES_MAX, Row
from holdfast.partition.feed import ChangeFeed, Changes, FeedReader, Gone
from holdfast.protocol.ids import decode_invocation_id, encode_invocation_id
from holdfast.query.connection import Connection
from holdfast.query.reads import Place, Reads
from holdfast.storage.keys import JOURNAL_SPAN

PAUSE_S = 0.05
PAUSE_S_MAX = 0.2
PAUSE_PER_READ = 10.0
HEARTBEAT_S = 15.0
PLACES_PER_READ = 1_000
EVENTS_PER_S = 200.0
EVENTS_AT_ONCE = 200.0
FLOODED_PAUSE_S = 0.25
ENTRIES_BEHIND_MAX = 20_000
LEFT_KEPT_MAX = 4_096
RETRY_MS = 1_000

RESET = b"event: reset\ndata: {}\n"
HEARTBEAT = b": still here\n\n"

_encode = msgspec.json.Encoder().encode


@dataclass(slots=True)
class Watched:
    """What a watcher is told of an invocation it asked for by id: `place` once it is known, and the number of
    the latest attempt it has heard of."""

    place: Place | None = None
    attempt: int = 0


@dataclass(slots=True)
class _Change:
    """What a read found of one invocation."""

    found: Found
    entries: EntriesEvent | None = None


@dataclass(slots=True)
class _Touched:
    """Places, and of each the lowest journal index stored there (JOURNAL_SPAN: none)."""

    places: dict[Place, int] = field(default_factory=dict[Place, int])
    gone: dict[Place, Gone] = field(default_factory=dict[Place, Gone])

    @classmethod
    def by(cls, commits: Iterable[Changes]) -> _Touched:
        places: dict[Place, int] = {}
        gone: dict[Place, Gone] = {}
        for _, partition, rows, keys, forgotten in commits:
            for row in rows:
                places.setdefault((partition, row), JOURNAL_SPAN)
            for key in keys:
                place, index = (partition, Row(key // JOURNAL_SPAN)), key % JOURNAL_SPAN
                if index < places.get(place, JOURNAL_ENTRIES_MAX + 1):
                    places[place] = index
            for one in forgotten:
                place = partition, one.row
                gone[place] = one
                places.pop(place, None)
        return cls(places, gone)


class EventSource:
    """The events of one watcher, as chunks of text.

    Args:
        filters: which invocations; one that no longer has one of the statuses is told of once more, when it
            had one of them as far as is known here, or is older than the watch.
        invocations: ids; only these then, with their entries.
        fill: completes summaries with what is known on the event loop.
        since_ms: when the watch began.
    """

    def __init__(
        self,
        feed: ChangeFeed,
        reader: FeedReader,
        reads: Reads,
        filters: Filters,
        invocations: Iterable[str],
        fill: Callable[[Iterable[Summary]], None],
        since_ms: int,
    ) -> None:
        self._feed = feed
        self._reader = reader
        self._reads = reads
        self._filters = filters
        self._watched_ids: dict[bytes, str] = {decode_invocation_id(id_): id_ for id_ in invocations}
        self._watched = {id_: Watched() for id_ in self._watched_ids.values()}
        self._fill = fill
        self._since_ms = since_ms
        self._matched: dict[Place, None] = {}
        """Those last told of as matching, so that their leaving is told: the oldest go first."""
        self._pause_s = PAUSE_S
        self._flood = False
        self._allowed = EVENTS_AT_ONCE
        self._allowed_at = monotonic()
        self._where, self._values = conditions(replace(filters, statuses=frozenset()))

    def greeting(self, *, resumed: bool, missed: bool) -> bytes:
        """What a watcher hears at once: where it is, and (`missed`) that it could not go on from where it
        was."""
        first = f"retry: {RETRY_MS}\n{'' if resumed else self._id()}"
        return first.encode() + (RESET if missed else b"") + b"\n"

    async def next(self) -> bytes | None:
        """The next chunk, after a wait; None when it is over."""
        if not await self._reader.wait(HEARTBEAT_S):
            return None if self._reader.stopped else HEARTBEAT
        commits = self._reader.take()
        position = self._id().encode()
        if commits is None:
            return RESET + position + b"\n"
        begun, self._flood = monotonic(), False
        chunk = await self._events(_Touched.by(commits))
        self._pause_s = min(max(PAUSE_S, (monotonic() - begun) * PAUSE_PER_READ), PAUSE_S_MAX)
        if self._flood:
            self._pause_s = FLOODED_PAUSE_S
        # The id comes last: a connection that breaks in the middle goes on from before all of them.
        return chunk[:-1] + position + b"\n" if chunk else position + b"\n"

    async def pause(self) -> None:
        """Between two chunks."""
        await self._reader.pause(self._pause_s)

    def _id(self) -> str:
        return f"id: {self._feed.epoch}-{self._reader.position}\n"

    async def _events(self, touched: _Touched) -> bytes:
        if self._watched:
            return await self._of_watched(touched)
        places = list(touched.places)
        self._refill()
        gone = self._told_gone(touched.gone)
        self._allowed -= len(gone)
        if self._allowed < 0 or (not self._where and len(places) > self._allowed):
            return self._flooded()
        out = [_farewell(one) for one in gone]
        for start in range(0, len(places), PLACES_PER_READ):
            part = places[start : start + PLACES_PER_READ]
            found = await self._reads.run(self._reader_of(part), part)
            told = [f for f in found if self._is_told(f)]
            self._allowed -= len(told)
            if self._allowed < 0:
                return self._flooded()
            self._fill([f.summary for f in told])
            out += [_event(b"invocation", f.summary) for f in told]
        return b"".join(out)

    def _told_gone(self, gone: Mapping[Place, Gone]) -> list[Gone]:
        for place in gone:
            self._matched.pop(place, None)
        return [one for one in gone.values() if self._filters.matches_target(one.target)]

    def _reader_of(self, places: list[Place]) -> Callable[[Connection], list[Found]]:
        return lambda connection: read_places(connection, places, self._where, self._values)

    def _refill(self) -> None:
        now = monotonic()
        gained = (now - self._allowed_at) * EVENTS_PER_S
        self._allowed, self._allowed_at = min(max(self._allowed, 0.0) + gained, EVENTS_AT_ONCE), now

    def _flooded(self) -> bytes:
        self._allowed = 0.0
        self._flood = True
        return RESET + b"\n"

    def _is_told(self, found: Found) -> bool:
        if not self._filters.statuses:
            return self._filters.matches_target(found.summary)
        if self._filters.matches(found.summary):
            self._matched.pop(found.place, None)
            self._matched[found.place] = None
            if len(self._matched) > LEFT_KEPT_MAX:
                del self._matched[next(iter(self._matched))]
            return True
        left = found.place in self._matched or found.stored.created_at <= self._since_ms
        self._matched.pop(found.place, None)
        return left and self._filters.matches_target(found.summary)

    # ------------------------------------------------------------ with entries

    async def _of_watched(self, touched: _Touched) -> bytes:
        out: list[bytes] = []
        for gone in touched.gone.values():
            id_ = self._watched_ids.get(gone.id)
            if id_ is not None:
                out.append(_farewell(gone))
                self._watched[id_] = Watched()
        unplaced = [id_ for id_, watched in self._watched.items() if watched.place is None]
        places = [w.place for w in self._watched.values() if w.place in touched.places and w.place]
        if not unplaced and not places:
            return b"".join(out)
        changes = await self._reads.run(lambda c: self._read(c, places, unplaced, touched), places)
        if changes is None:
            return RESET + b"\n"
        self._fill([change.found.summary for change in changes])
        for change in changes:
            out.append(_event(b"invocation", change.found.summary))
            if change.entries is not None:
                out.append(await asyncio.to_thread(_event, b"entries", change.entries))
        return b"".join(out)

    def _read(
        self, connection: Connection, places: list[Place], unplaced: list[str], touched: _Touched
    ) -> list[_Change] | None:
        found = read_places(connection, places)
        for new in read_ids(connection, unplaced):
            self._watched[new.summary.id].place = new.place
            if new.place in touched.places:
                found.append(new)
        changes: list[_Change] = []
        for one in found:
            watched = self._watched[one.summary.id]
            attempts = read_attempts(connection, one)
            latest = [a for a in attempts if a.number >= watched.attempt]
            entries = _entries_from(connection, one, touched.places[one.place], attempts, latest)
            if entries is None:
                return None
            if latest:
                watched.attempt = latest[-1].number
            event = EntriesEvent(one.summary.id, latest, entries) if latest or entries else None
            changes.append(_Change(one, event))
        return changes


def _entries_from(
    connection: Connection, found: Found, index: int, attempts: list[Attempt], latest: list[Attempt]
) -> list[Entry] | None:
    """Entries new or changed from a journal index on, and those the latest attempts failed in; None when they
    are too many to tell."""
    entries: list[Entry] = []
    after: int | None = index - 1
    failed_in = {a.error.entry_index for a in latest if a.error and a.error.entry_index is not None}
    while after is not None:
        page, after = read_entries(connection, found, after, attempts, failed_in)
        entries += page
        failed_in.clear()
        if len(entries) > ENTRIES_BEHIND_MAX:
            return None
    return entries


def _farewell(gone: Gone) -> bytes:
    return _event(b"gone", GoneEvent(encode_invocation_id(gone.id)))


def _event(name: bytes, data: object) -> bytes:
    return b"event: " + name + b"\ndata: " + _encode(data) + b"\n\n"
