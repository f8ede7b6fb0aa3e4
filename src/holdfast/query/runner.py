"""The front door of queries: from SQL to the bytes of an answer, off the event loop.

Up to `QUERIES_RUNNING_MAX` queries run at once, each in a thread with a connection of its own, so a slow one
holds up neither the event loop, nor the writer, nor short ones; some more wait their turn, and the rest are
refused.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import msgspec

from holdfast.catalog.model import Deployment, Service
from holdfast.protocol.manifest import ServiceType
from holdfast.query.arrow import write_arrow
from holdfast.query.connection import Connection, Memory
from holdfast.query.errors import QueryError
from holdfast.query.plan import Query, parse
from holdfast.query.resolve import Output
from holdfast.query.types import Json, SqlValue, json_writer

QUERIES_RUNNING_MAX = 4
QUERIES_WAITING_MAX = 32
SECONDS_MAX = 20.0
ROWS_MAX = 200_000
RESULT_BYTES_MAX = 64 * 1024 * 1024

JSON = "application/json"
ARROW = "application/vnd.apache.arrow.stream"

_SERVICE_TYPES = {
    ServiceType.SERVICE: "service",
    ServiceType.VIRTUAL_OBJECT: "virtual_object",
    ServiceType.WORKFLOW: "workflow",
}


class CatalogView(Protocol):
    """What queries show of the catalog; read on the event loop."""

    def deployments(self) -> Sequence[Deployment]:
        """All deployments."""
        ...

    def services(self) -> Sequence[Service]:
        """All services at their latest revisions."""
        ...

    def services_of(self, deployment_id: str) -> Sequence[Service]:
        """What a deployment serves."""
        ...


@dataclass(slots=True)
class LiveAttempt:
    """What is in memory about an invocation in its turn. `id` is raw; `retry_count` are failed attempts since
    the last progress; times are epoch ms; `server` names the SDK that answered last; `awaiting_json` is the
    await tree it reported last."""

    id: bytes
    in_flight: bool
    retry_count: int = 0
    last_start_at: int | None = None
    next_retry_at: int | None = None
    deployment_id: str | None = None
    server: str | None = None
    awaiting_json: str | None = None


class QueryRunner:
    """Queries over one server's partitions.

    Args:
        files: the partitions' files, by number; they exist before the first query.
        catalog: deployments and services.
        live: the attempts in memory, called on the event loop by queries that show them.
        now_ms: the wall clock, for `now()`.
    """

    def __init__(
        self,
        files: Sequence[Path],
        catalog: CatalogView,
        live: Callable[[], Iterable[LiveAttempt]],
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        seconds_max: float = SECONDS_MAX,
    ) -> None:
        self._files = tuple(files)
        self._catalog = catalog
        self._live = live
        self._now_ms = now_ms
        self._seconds_max = seconds_max
        self._threads = ThreadPoolExecutor(QUERIES_RUNNING_MAX, thread_name_prefix="query")
        self._idle: list[Connection] = []
        self._open = 0

    async def run(self, sql: str, accept: str) -> tuple[str, bytes]:
        """Content type and body of the answer: JSON rows when `accept` is `application/json`, else Arrow.

        Raises:
            QueryError: 400, 429 or 500 with what to tell the client.
        """
        if self._open >= QUERIES_RUNNING_MAX + QUERIES_WAITING_MAX:
            raise QueryError(429, "too many queries at once; try again later")
        self._open += 1
        loop = asyncio.get_running_loop()
        try:
            query = await loop.run_in_executor(self._threads, parse, sql, self._now_ms())
            memory = self._memory(query)
            return await loop.run_in_executor(self._threads, self._answer, query, memory, accept)
        finally:
            self._open -= 1

    def pinned(self, id_text: str) -> tuple[str, int] | None:
        """The deployment and protocol version an invocation is pinned to; None when it is not, or unknown."""
        connection = self._take()
        try:
            for partition, rows in connection.rows_of([id_text]).items():
                marks = ", ".join(map(str, rows))
                found = connection.run(
                    f"SELECT deployment, protocol_version, hf_id(id) FROM p{partition}.invocation "
                    f"WHERE row IN ({marks}) AND deployment IS NOT NULL",
                    seconds_max=self._seconds_max,
                    rows_max=len(rows),
                    bytes_max=RESULT_BYTES_MAX,
                )
                for deployment, version, id_ in found:
                    if id_ == id_text and isinstance(deployment, str) and isinstance(version, int):
                        return deployment, version
            return None
        finally:
            self._idle.append(connection)

    def close(self) -> None:
        """Wait for running queries and close the files."""
        self._threads.shutdown(cancel_futures=True)
        while self._idle:
            self._idle.pop().close()

    # ------------------------------------------------------------ in a thread

    def _answer(self, query: Query, memory: Memory, accept: str) -> tuple[str, bytes]:
        connection = self._take()
        try:
            connection.load(memory)
            rows = connection.run(
                query.render(connection.partitions, connection.rows_of),
                seconds_max=self._seconds_max,
                rows_max=ROWS_MAX,
                bytes_max=RESULT_BYTES_MAX,
            )
        finally:
            self._idle.append(connection)
        if accept == JSON:
            return JSON, write_json(query.outputs, rows)
        return ARROW, write_arrow(query.outputs, rows)

    def _take(self) -> Connection:
        try:
            return self._idle.pop()
        except IndexError:
            return Connection(self._files)

    # ------------------------------------------------------------ on the event loop

    def _memory(self, query: Query) -> Memory:
        memory: dict[str, list[tuple[SqlValue, ...]]] = {}
        if query.wants_attempts:
            memory["live"] = [
                (
                    a.id,
                    int(a.in_flight),
                    a.retry_count,
                    a.last_start_at,
                    a.next_retry_at,
                    a.deployment_id,
                    a.server,
                    a.awaiting_json,
                )
                for a in self._live()
            ]
        if query.wants_catalog:
            memory["deployment"] = [self._deployment(d) for d in self._catalog.deployments()]
            memory["service"] = [
                (s.name, s.revision, int(s.settings.public), _SERVICE_TYPES[s.type], s.deployment)
                for s in self._catalog.services()
            ]
        return memory

    def _deployment(self, d: Deployment) -> tuple[SqlValue, ...]:
        services = msgspec.json.encode([s.name for s in self._catalog.services_of(d.id)]).decode()
        type_ = "lambda" if d.uri.startswith("arn:") else "http"
        return d.id, type_, d.uri, d.created_at, d.min_protocol_version, d.max_protocol_version, services


def write_json(outputs: Sequence[Output], rows: Sequence[tuple[SqlValue, ...]]) -> bytes:
    """`{"rows":[{...}]}`; a column that is null is left out of its row (protocol, "SQL")."""
    writers = [(name, json_writer(type_)) for name, type_ in outputs]
    encode = msgspec.json.Encoder().encode
    parts: list[bytes] = []
    for row in rows:
        pairs = zip(writers, row, strict=True)
        fields: dict[str, Json] = {name: write(value) for (name, write), value in pairs if value is not None}
        parts.append(encode(fields))
    return b'{"rows":[' + b",".join(parts) + b"]}"
