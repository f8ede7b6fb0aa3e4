"""The admin interface over a server's files: stories of the state machine, answers as clients get them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI
from query.world import World

from holdfast.admin.app import create_app
from holdfast.catalog.discovery import Discovery
from holdfast.core.model import InvocationId, Row
from holdfast.core.outcome import Answer
from holdfast.core.records import Record
from holdfast.query.reads import Place, Reads
from holdfast.query.runner import LiveAttempt

from .support import NOW_MS, FakeDeployments, FakeEngine

Json = dict[str, Any]


class TellingEngine(FakeEngine):
    """Hands records to the world's partitions, so that what they do can be read afterwards."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self._world = world

    async def ask(self, id_: InvocationId, record: Record) -> Answer | None:
        self.records.append((id_, record))
        return self._world.apply(id_, record)


class Shown:
    """A query world behind the interface; `get` and `post` answer what a client sees."""

    def __init__(self, folder: Path, partitions: int = 1) -> None:
        self.world = World(folder, partitions)
        self.engine = TellingEngine(self.world)
        self.reads = Reads(self.world.files, self._live)
        discovery = Discovery(FakeDeployments(), lambda: NOW_MS // 1000, first_pause_s=0.0)
        self.app: FastAPI = create_app(
            self.engine, self.world.catalog, discovery, self.world.runner, None, self.reads
        )

    def close(self) -> None:
        self.reads.close()
        self.world.close()

    def _live(self, places: Collection[Place] | None) -> Iterable[LiveAttempt]:
        return self.world.live

    def request(
        self, method: str, path: str, body: object = None, content: bytes | None = None
    ) -> httpx.Response:
        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(app=self.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://admin") as client:
                sent = json.dumps(body).encode() if content is None and body is not None else content
                headers = {} if sent is None else {"content-type": "application/json"}
                return await client.request(method, path, content=sent, headers=headers)

        return asyncio.run(ask())

    def get(self, path: str) -> Json:
        response = self.request("GET", path)
        assert response.status_code == 200, response.text
        found: Json = response.json()
        return found

    def all_ids(self, query: str, limit: int = 1000) -> list[str]:
        """The ids of every page."""
        ids: list[str] = []
        before = ""
        while True:
            page = self.get(f"/invocations?{query}&limit={limit}{before}")
            ids += [one["id"] for one in page["invocations"]]
            if page["next"] is None:
                return ids
            before = f"&before={page['next']}"

    def place(self, id_: InvocationId) -> tuple[int, Row]:
        """Where an invocation is."""
        partition = self.world.partition_of(id_)
        found = self.world.tables[partition].invocations.find(id_)
        assert found is not None
        return partition, found.row
