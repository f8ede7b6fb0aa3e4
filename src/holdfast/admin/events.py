"""`GET /events`: changes of invocations as they are committed, as server-sent events.

A stream per watcher, with bounds on everything: at most `READERS_MAX` of them, nothing queued for one that
does not read (it misses what the feed no longer keeps and is told so), and who takes nothing for `SEND_S_MAX`
is dropped.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Header, Query
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from holdfast.admin.errors import RequestError
from holdfast.admin.event_source import EventSource
from holdfast.admin.invocation_list import Filters, parse_statuses
from holdfast.admin.invocation_views import Revisions, check_id
from holdfast.admin.server import ABORT
from holdfast.catalog.catalog import Catalog
from holdfast.partition.feed import READERS_MAX, ChangeFeed, FeedReader, TooManyReaders
from holdfast.query.errors import QueryError
from holdfast.query.reads import Reads

INVOCATIONS_WATCHED_MAX = 64
SEND_S_MAX = 30.0

_EVENT_ID = re.compile(r"([0-9a-f]{1,32})-(\d{1,15})")
_HEADERS = {
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-store",
    "x-accel-buffering": "no",
}


def event_routes(feed: ChangeFeed, reads: Reads, catalog: Catalog, now_ms: Callable[[], int]) -> APIRouter:
    router = APIRouter(tags=["invocations"])
    revisions = Revisions(catalog)

    @router.get(
        "/events",
        summary="Watch invocations change",
        responses={200: {"content": {"text/event-stream": {}}}, 503: {"description": "Too many watchers"}},
    )
    async def events(
        status: str | None = None,
        service: str | None = None,
        handler: str | None = None,
        key: str | None = None,
        invocation: Annotated[list[str] | None, Query(max_length=INVOCATIONS_WATCHED_MAX)] = None,
        last_event_id: Annotated[str | None, Header()] = None,
    ) -> Response:
        """Server-sent events. `invocation`: its data is a Summary as in `GET /invocations/{id}`. `entries`,
        only with `invocation=` parameters: `{"id", "attempts", "entries"}`, what is new or has changed.
        `gone`: `{"id"}`, it was purged or its retention has ended. `reset`: something was missed, fetch anew.
        An event's id as `Last-Event-ID` goes on after it."""
        filters = Filters(parse_statuses(status), service, handler, key)
        for id_ in invocation or ():
            check_id(id_)
        epoch, position = _position(last_event_id)
        try:
            reader, resumed = feed.open(epoch, position)
        except TooManyReaders:
            raise RequestError(
                503,
                f"{READERS_MAX} clients watch this server already; close one, or ask again from time to time",
                "HF0020",
            ) from None
        source = EventSource(feed, reader, reads, filters, invocation or (), revisions.fill, now_ms())
        greeting = source.greeting(resumed=resumed, missed=last_event_id is not None and not resumed)
        return EventStream(feed, reader, source, greeting)

    return router


def _position(last_event_id: str | None) -> tuple[str | None, int]:
    """An id that is none of ours is one from before: everything since was missed."""
    found = _EVENT_ID.fullmatch(last_event_id or "")
    return (None, -1) if found is None else (found[1], int(found[2]))


class EventStream(Response):
    """The answer: lasts until the client goes, stops reading, or the server stops."""

    def __init__(self, feed: ChangeFeed, reader: FeedReader, source: EventSource, greeting: bytes) -> None:
        super().__init__(headers=_HEADERS)
        del self.headers["content-length"]
        self._feed = feed
        self._reader = reader
        self._source = source
        self._greeting = greeting

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        listening = asyncio.create_task(self._until_gone(receive))
        try:
            start: Message = {
                "type": "http.response.start",
                "status": self.status_code,
                "headers": self.raw_headers,
            }
            await send(start)
            async with asyncio.timeout(None) as patience:
                chunk: bytes | None = self._greeting
                while chunk is not None:
                    patience.reschedule(asyncio.get_running_loop().time() + SEND_S_MAX)
                    await send({"type": "http.response.body", "body": chunk, "more_body": True})
                    patience.reschedule(None)
                    await self._source.pause()
                    chunk = await self._source.next()
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        except (TimeoutError, QueryError):
            # It does not read, or nothing can be read for it: it comes back, or not.
            scope[ABORT]()
        finally:
            listening.cancel()
            self._feed.close_reader(self._reader)

    async def _until_gone(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self._reader.stop()
