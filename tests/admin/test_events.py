"""The stream as an answer: who may open one, and how it ends."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI

from holdfast.admin import events
from holdfast.admin.errors import install
from holdfast.admin.server import ABORT
from holdfast.catalog.catalog import Catalog
from holdfast.partition import feed as feed_module
from holdfast.partition.feed import ChangeFeed, OnChanges
from holdfast.protocol.ids import encode_invocation_id

from .shown import Shown

DEADLINE_S = 20.0
ID = encode_invocation_id(b"\x01" * 24)


class Publisher:
    on_changes: OnChanges | None = None


@pytest.fixture
def shown(tmp_path: Path) -> Iterator[Shown]:
    shown = Shown(tmp_path)
    yield shown
    shown.close()


class Call:
    """One request to `/events`; sending waits while `blocked` is not set."""

    def __init__(self, shown: Shown, catalog: Catalog) -> None:
        self.feed = ChangeFeed([Publisher()], asyncio.get_running_loop())
        self.app = FastAPI()
        self.app.include_router(events.event_routes(self.feed, shown.reads, catalog, lambda: 0))
        install(self.app)
        self.sent: list[dict[str, Any]] = []
        self.aborted = False
        self.gone = asyncio.Event()
        self.blocked = asyncio.Event()
        self.blocked.set()

    async def run(self, query: str = "", headers: tuple[tuple[bytes, bytes], ...] = ()) -> None:
        scope: dict[str, Any] = {
            "type": "http",
            "method": "GET",
            "path": "/events",
            "query_string": query.encode(),
            "headers": list(headers),
            ABORT: self._abort,
        }
        await self.app(scope, self._receive, self._send)  # type: ignore[arg-type]

    def _abort(self) -> None:
        self.aborted = True

    async def _receive(self) -> dict[str, Any]:
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Any) -> None:
        self.sent.append(message)
        if message["type"] == "http.response.body":
            await self.blocked.wait()

    @property
    def status(self) -> int:
        status: int = self.sent[0]["status"]
        return status

    async def until_sent(self, count: int) -> None:
        while len(self.sent) < count:  # noqa: ASYNC110
            await asyncio.sleep(0.001)


def story(coroutine: Any) -> None:
    asyncio.run(asyncio.wait_for(coroutine, DEADLINE_S))


def test_a_client_that_goes_leaves_nothing_behind(shown: Shown) -> None:
    async def tale() -> None:
        call = Call(shown, shown.world.catalog)
        running = asyncio.create_task(call.run())
        await call.until_sent(2)
        assert call.status == 200
        assert call.feed.readers == 1
        call.gone.set()
        await running
        assert (call.feed.readers, call.aborted) == (0, False)

    story(tale())


def test_a_client_that_does_not_read_is_dropped(shown: Shown, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "SEND_S_MAX", 0.01)

    async def tale() -> None:
        call = Call(shown, shown.world.catalog)
        call.blocked.clear()
        await call.run()
        assert (call.feed.readers, call.aborted) == (0, True)

    story(tale())


def test_a_server_that_stops_ends_its_streams(shown: Shown) -> None:
    async def tale() -> None:
        call = Call(shown, shown.world.catalog)
        running = asyncio.create_task(call.run())
        await call.until_sent(2)
        call.feed.close()
        await running
        assert call.sent[-1] == {"type": "http.response.body", "body": b"", "more_body": False}

    story(tale())


def test_there_is_room_for_so_many(shown: Shown, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_module, "READERS_MAX", 0)

    async def tale() -> None:
        call = Call(shown, shown.world.catalog)
        await call.run()
        assert call.status == 503
        assert b"HF0020" in call.sent[1]["body"]

    story(tale())


@pytest.mark.parametrize("query", ["status=none", "invocation=inv_1", "&".join([f"invocation={ID}"] * 65)])
def test_what_cannot_be_watched_is_refused(shown: Shown, query: str) -> None:
    async def tale() -> None:
        call = Call(shown, shown.world.catalog)
        await call.run(query)
        assert call.status == 400
        assert call.feed.readers == 0

    story(tale())


@pytest.mark.parametrize("last_id", [b"", b"nonsense", b"abc-1"])
def test_an_id_of_another_server_is_a_reset(shown: Shown, last_id: bytes) -> None:
    async def tale() -> None:
        call = Call(shown, shown.world.catalog)
        running = asyncio.create_task(call.run(headers=((b"last-event-id", last_id),)))
        await call.until_sent(2)
        assert b"event: reset" in call.sent[1]["body"]
        call.gone.set()
        await running

    story(tale())
