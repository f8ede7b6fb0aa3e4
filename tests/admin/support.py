"""A world for the admin interface: a real catalog; an engine, queries and deployments that are canned."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import httpx

from holdfast.admin.app import create_app
from holdfast.admin.ports import AdminSettings
from holdfast.catalog.catalog import Catalog
from holdfast.catalog.discovery import Discovery
from holdfast.catalog.model import Handler
from holdfast.core.commands import StartRequest
from holdfast.core.model import FROM_INGRESS, InvocationId, Origin, Row
from holdfast.core.outcome import Accepted, Answer, Done, Finished, Found, Refused
from holdfast.core.records import Record
from holdfast.invoker.http.api import Endpoint, RequestFailed, Response, TransportFailure
from holdfast.partition.api import Watch

CONTENT_TYPE = "application/vnd.restate.endpointmanifest.v4+json"
NOW_MS = 1_795_370_396_992
Manifest = dict[str, object]


def manifest_of(*services: str, versions: tuple[int, int] = (5, 7), ty: str = "SERVICE") -> Manifest:
    """Services with one handler each, called `run`."""
    described = [{"name": name, "ty": ty, "handlers": [{"name": "run"}]} for name in services]
    return {
        "protocolMode": "BIDI_STREAM",
        "minProtocolVersion": versions[0],
        "maxProtocolVersion": versions[1],
        "services": described,
    }


class FakeEngine:
    """Answers records with `answer`, in order of `records`."""

    def __init__(self) -> None:
        self.records: list[tuple[InvocationId, Record]] = []
        self.answer: Callable[[Record], Answer | None] = lambda _: Done()
        self.overloaded = False

    def now_ms(self) -> int:
        return NOW_MS

    async def ask(self, id_: InvocationId, record: Record) -> Answer | None:
        self.records.append((id_, record))
        return self.answer(record)

    def submit(
        self, id_: InvocationId, record: Record, on_answer: Callable[[Answer | None], None] | None = None
    ) -> None:
        raise NotImplementedError

    def make_request(
        self,
        handler: Handler,
        key: str | None,
        headers: Sequence[tuple[str, str]],
        body: bytes,
        *,
        idempotency_key: str | None = None,
        start_at: int = 0,
        origin: Origin = FROM_INGRESS,
        scope: str | None = None,
        limit_key: str | None = None,
        trace_parent: str | None = None,
    ) -> StartRequest:
        raise NotImplementedError

    def start(
        self,
        request: StartRequest,
        on_answer: Callable[[Accepted | Refused], None],
        on_finished: Callable[[Finished], None] | None = None,
    ) -> Watch:
        raise NotImplementedError

    def attach(
        self,
        id_: InvocationId,
        on_answer: Callable[[Found | Refused], None],
        on_finished: Callable[[Finished], None] | None = None,
    ) -> Watch:
        raise NotImplementedError

    def owner_of_key(self, key: str) -> InvocationId:
        return InvocationId(key.encode().ljust(24, b"\0")[:24])

    def mint(self, like: InvocationId) -> tuple[InvocationId, Row]:
        return InvocationId(like[:8] + b"\x07" * 16), Row(77)


class FakeQuery:
    """Answers every query with the rows of the first key that it contains."""

    def __init__(self) -> None:
        self.rows: dict[str, list[dict[str, object]]] = {}
        self.asked: list[tuple[str, str]] = []

    async def run(self, sql: str, accept: str) -> tuple[str, bytes]:
        self.asked.append((sql, accept))
        rows = next((rows for part, rows in self.rows.items() if part in sql), [])
        return "application/json", json.dumps({"rows": rows}).encode()


class FakeDeployments:
    """Discovery answers by `host:port`; anything else cannot be reached."""

    def __init__(self) -> None:
        self.answers: dict[str, Response] = {}
        self.asked: list[tuple[Endpoint, dict[str, str]]] = []

    def serve(self, address: str, manifest: Manifest, server: str = "restate-sdk-typescript/1.17.2") -> None:
        headers = {"content-type": CONTENT_TYPE, "x-restate-server": server}
        self.answers[address] = Response(200, headers, json.dumps(manifest).encode(), "HTTP/2.0")

    async def request(
        self,
        endpoint: Endpoint,
        method: str,
        path: str,
        headers: Sequence[tuple[str, str]],
        body: bytes = b"",
        *,
        timeout_s: float,
        max_body_bytes: int,
    ) -> Response:
        self.asked.append((endpoint, dict(headers)))
        answer = self.answers.get(endpoint.address)
        if answer is None:
            reason = f"{endpoint.address} cannot be reached: connection refused"
            raise RequestFailed(TransportFailure(reason, False, None))
        return answer


class World:
    """Everything together; `request` speaks to the interface as a client would."""

    def __init__(self, directory: Path, settings: AdminSettings | None = None) -> None:
        self.engine = FakeEngine()
        self.query = FakeQuery()
        self.deployments = FakeDeployments()
        self.catalog = Catalog.open(directory / "meta.sqlite", 1)
        discovery = Discovery(self.deployments, lambda: NOW_MS // 1000, first_pause_s=0.0)
        self.app = create_app(self.engine, self.catalog, discovery, self.query, settings)

    def request(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        content: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> httpx.Response:
        return asyncio.run(self._request(method, path, body, content=content, headers=headers))

    async def _request(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        content: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> httpx.Response:
        transport = httpx.ASGITransport(app=self.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://admin") as client:
            if content is not None:
                return await client.request(method, path, content=content, headers=headers)
            if body is None:
                return await client.request(method, path, headers=headers)
            return await client.request(method, path, json=body, headers=headers)
