"""A server's files with one of everything in them, made by the state machine itself, and queries on them."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import Any

from catalog.support import discovered, service

from holdfast.catalog.catalog import Catalog
from holdfast.core.apply import apply
from holdfast.core.commands import Item, StartRequest
from holdfast.core.model import (
    FROM_INGRESS,
    InvocationId,
    Origin,
    Retention,
    Row,
    Target,
    TargetKind,
)
from holdfast.core.outcome import Answer
from holdfast.core.records import AttemptReport, Record, Start
from holdfast.core.step import Step
from holdfast.protocol.ids import encode_invocation_id, keyed_partition_key
from holdfast.query.connection import Connection
from holdfast.query.plan import parse
from holdfast.query.runner import JSON, LiveAttempt, QueryRunner
from holdfast.storage.keys import id_with_row
from holdfast.storage.partition_tables import PartitionTables

NOON_MS = 1_795_348_800_000
"""2026-11-22T12:00:00Z, when the first invocation arrives; each record comes a second later."""

DAY_MS = 86_400_000
Rows = list[dict[str, Any]]


class World:
    """`partitions` files in `folder`. `now_ms` is the instant of the last record."""

    def __init__(self, folder: Path, partitions: int = 1, seconds_max: float = 20.0) -> None:
        self.files = [folder / f"partition-{n}.sqlite" for n in range(partitions)]
        self.tables = [PartitionTables(file, n, partitions) for n, file in enumerate(self.files)]
        self.catalog = Catalog.open(folder / "catalog.sqlite", partitions)
        self.live: list[LiveAttempt] = []
        self.now_ms = NOON_MS
        self._rows = [0] * partitions
        self._deployments: dict[str, str] = {}
        self.runner = QueryRunner(
            self.files, self.catalog, lambda: self.live, lambda: self.now_ms, seconds_max=seconds_max
        )

    def close(self) -> None:
        self.runner.close()
        self.catalog.close()
        for tables in self.tables:
            tables.close()

    # ------------------------------------------------------------ making things happen

    def register(self, *services: str, ty: str = "SERVICE", port: int = 9080) -> str:
        """Register a deployment and give its id."""
        found = discovered(*[service(name, ty=ty) for name in services], uri=f"http://127.0.0.1:{port}")
        result = self.catalog.register(found, force=True, breaking=False, dry_run=False, now_ms=NOON_MS)
        return result.deployment.id

    def partition_of(self, id_: InvocationId) -> int:
        return self.tables[0].partition_of(id_)

    def mint(self, key: str | None = None) -> tuple[InvocationId, Row]:
        """A fresh id and its row; keyed targets go where their key belongs."""
        place = keyed_partition_key(key) if key is not None else int.from_bytes(os.urandom(8), "big")
        partition = place * len(self.tables) >> 64
        self._rows[partition] += 1
        row = Row(self._rows[partition])
        return id_with_row(place, row, os.urandom(10)), row

    def apply(self, id_: InvocationId, record: Record) -> Answer | None:
        """One record for the partition that owns the id, committed."""
        tables = self.tables[self.partition_of(id_)]
        answer = apply(Step(tables, []), record)
        tables.commit()
        return answer

    def tick(self) -> int:
        self.now_ms += 1000
        return self.now_ms

    def request(
        self,
        target: str,
        *,
        input_raw: bytes = b"",
        idempotency_key: str | None = None,
        origin: Origin = FROM_INGRESS,
        start_at: int = 0,
        trace_parent: str | None = None,
        derived: bytes | None = None,
        kind: TargetKind | None = None,
    ) -> StartRequest:
        """A request for `Service/handler` or `Object/key/handler`; `derived` replaces the unique part of the
        id.
        """
        *service_, handler = target.split("/")
        name, key = service_[0], service_[1] if len(service_) > 1 else None
        id_, row = self.mint(key)
        if derived is not None:
            id_ = InvocationId(id_[:8] + derived)
        default = TargetKind.SERVICE if key is None else TargetKind.OBJECT_EXCLUSIVE
        return StartRequest(
            id_,
            row,
            derived is None,
            Target(name, handler, key, default if kind is None else kind),
            input_raw,
            Retention(DAY_MS, DAY_MS),
            idempotency_key=idempotency_key,
            origin=origin,
            start_at=start_at,
            trace_parent=trace_parent,
        )

    def start(self, request: StartRequest) -> InvocationId:
        self.apply(request.id, Start(self.tick(), request))
        return request.id

    def report(self, request: StartRequest, *items: Item, deployment: str = "dp_1", attempt: int = 1) -> None:
        """What an attempt sends."""
        record = AttemptReport(self.tick(), request.row, attempt, deployment, 7, list(items))
        self.apply(request.id, record)

    # ------------------------------------------------------------ asking

    def query(self, sql: str) -> Rows:
        """The rows of the JSON answer."""
        content_type, body = asyncio.run(self.runner.run(sql, JSON))
        assert content_type == JSON
        rows: Rows = json.loads(body)["rows"]
        return rows

    def plan(self, sql: str) -> list[str]:
        """How SQLite would go about it."""
        connection = Connection(self.files)
        try:
            return connection.explain(parse(sql, self.now_ms).render(len(self.files), connection.rows_of))
        finally:
            connection.close()


def text_of(id_: InvocationId) -> str:
    return encode_invocation_id(id_)
