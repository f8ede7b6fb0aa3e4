"""Routes of invocations: cancel, kill, pause, resume, purge, restart, one at a time or many.

Every operation is one record for the partition that owns the invocation; its refusals are worded here.
"""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import JSONResponse, Response

from holdfast.admin.bodies import Batch, BatchOperation, SimpleOperation
from holdfast.admin.errors import RequestError, UnreadableRequest, invalid_field, missing, unavailable
from holdfast.admin.lookup import INPUT_ALONE, KEEP, LATEST, InvocationLookup
from holdfast.admin.ports import QueryRunner
from holdfast.admin.shapes import JsonObject
from holdfast.catalog.catalog import Catalog
from holdfast.core.model import InvocationId
from holdfast.core.outcome import Done, Refused, Restarted
from holdfast.core.records import Cancel, Kill, Pause, Purge, Record, RestartAsNew, Resume
from holdfast.partition.api import Engine
from holdfast.protocol.errors import InvalidId
from holdfast.protocol.ids import decode_invocation_id, encode_invocation_id

BATCH_CONCURRENCY = 64

_ALREADY_COMPLETED = "The invocation '{}' was already completed."
_TEXTS = {
    ("cancel", "completed"): _ALREADY_COMPLETED,
    ("kill", "completed"): _ALREADY_COMPLETED,
    ("pause", "completed"): "The invocation '{}' is not running, cannot be paused.",
    ("pause", "not_running"): "The invocation '{}' is not running, cannot be paused.",
    ("resume", "completed"): "The invocation '{}' is completed, cannot be resumed.",
    ("resume", "not_started"): "The invocation '{}' has not started yet, cannot be resumed.",
    ("purge", "not_completed"): "The invocation '{}' is not completed yet, cannot be purged.",
    ("purge-journal", "not_completed"): "The invocation '{}' is not completed yet, cannot be purged.",
    ("restart-as-new", "not_completed"): "The invocation '{}' is still running, cannot be restarted.",
    ("restart-as-new", "not_started"): "The invocation '{}' has not started yet, cannot be restarted.",
}


class Operator:
    """Carries out operations on invocations, each named as in its route."""

    def __init__(self, engine: Engine, lookup: InvocationLookup) -> None:
        self._engine = engine
        self._lookup = lookup

    async def simple(self, operation: str, id_: InvocationId) -> Done:
        """cancel, kill, pause, purge or purge-journal.

        Raises:
            RequestError: the invocation does not exist, or its status does not allow it.
        """
        return await self._done(operation, id_, self._record(operation, id_))

    async def resume(self, id_: InvocationId, deployment: str) -> Done:
        """Start the next attempt now, on `deployment` (keep, latest, or an id)."""
        pin = await self._lookup.pin(id_, deployment)
        record = Resume(self._engine.now_ms(), id_)
        if pin is not None:
            record.deployment, record.protocol_version = pin.deployment, pin.protocol_version
        return await self._done("resume", id_, record)

    async def restart(self, id_: InvocationId, last_entry: int, deployment: str | None) -> str:
        """Run a completed invocation again from its journal up to entry `last_entry`; the new id.

        A copied journal must go on in its own version, so its run is pinned. The input alone is valid in all
        versions: unless told otherwise, the first attempt chooses as for any new invocation.
        """
        keep_commands, pin = INPUT_ALONE, None
        if last_entry > 0:
            keep_commands = await self._lookup.commands_up_to(id_, last_entry)
            pin = await self._lookup.pin(id_, deployment or LATEST)
            if pin is None:
                pin = await self._lookup.kept_pin(id_)
        elif deployment == KEEP:
            pin = await self._lookup.kept_pin(id_)
        elif deployment is not None and deployment != LATEST:
            pin = await self._lookup.pin(id_, deployment)
        new_id, new_row = self._engine.mint(id_)
        record = RestartAsNew(self._engine.now_ms(), id_, new_id, new_row, keep_commands)
        if pin is not None:
            record.deployment, record.protocol_version = pin.deployment, pin.protocol_version
        answer = await self._engine.ask(id_, record)
        match answer:
            case Restarted(id=started):
                return encode_invocation_id(started)
            case Refused():
                raise _worded("restart-as-new", id_, answer)
            case _:
                raise _unexpected(answer)

    def _record(self, operation: str, id_: InvocationId) -> Record:
        at = self._engine.now_ms()
        match operation:
            case "cancel":
                return Cancel(at, id_)
            case "kill":
                return Kill(at, id_)
            case "pause":
                return Pause(at, id_)
            case "purge":
                return Purge(at, id_)
            case _:
                return Purge(at, id_, journal_only=True)

    async def _done(self, operation: str, id_: InvocationId, record: Record) -> Done:
        answer = await self._engine.ask(id_, record)
        match answer:
            case Done():
                return answer
            case Refused():
                raise _worded(operation, id_, answer)
            case _:
                raise _unexpected(answer)


def invocation_routes(catalog: Catalog, engine: Engine, query: QueryRunner) -> APIRouter:
    router = APIRouter(tags=["invocations"])
    operator = Operator(engine, InvocationLookup(query, catalog))

    @router.patch("/invocations/{invocation}/resume", summary="Start the next attempt now")
    async def resume(invocation: str, deployment: str = KEEP) -> Response:
        await operator.resume(_id(invocation), deployment)
        return Response()

    @router.patch("/invocations/{invocation}/restart-as-new", summary="Run a completed invocation again")
    async def restart(
        invocation: str,
        last_entry: Annotated[int, Query(alias="from", ge=0)] = 0,
        deployment: str | None = None,
    ) -> JSONResponse:
        new_id = await operator.restart(_id(invocation), last_entry, deployment)
        return JSONResponse({"new_invocation_id": new_id})

    @router.patch("/invocations/{invocation}/{operation}", summary="Cancel, kill, pause or purge")
    async def simple(invocation: str, operation: SimpleOperation) -> Response:
        done = await operator.simple(operation, _id(invocation))
        return Response(status_code=200 if done.at_once else 202)

    @router.delete("/invocations/{invocation}", status_code=202, deprecated=True)
    async def delete(invocation: str, mode: str = "cancel") -> Response:
        operation = mode.lower()
        if operation not in ("cancel", "kill", "purge"):
            text = f"Failed to deserialize query string: mode: {mode!r} is not one of Cancel, Kill, Purge"
            raise UnreadableRequest(400, text)
        id_ = _id(invocation)
        try:
            await operator.simple(operation, id_)
        except RequestError as error:
            # Fire and forget is what this form always promised: an invocation that is gone is fine too.
            if error.status >= 500:
                raise
        return Response(status_code=202)

    @router.post("/internal/invocations_batch_operations/{operation}", summary="Many invocations at once")
    async def batch(operation: BatchOperation, body: Batch) -> JSONResponse:
        return JSONResponse(await run_batch(operator, operation, body))

    return router


async def run_batch(operator: Operator, operation: BatchOperation, body: Batch) -> JsonObject:
    """The same operation on each invocation, `BATCH_CONCURRENCY` at a time; in the order asked."""
    free = asyncio.Semaphore(BATCH_CONCURRENCY)
    failed: list[JsonObject] = []
    succeeded: list[object] = []

    async def one(text: str) -> tuple[object | None, str]:
        async with free:
            try:
                id_ = _id(text)
                if operation == "restart-as-new":
                    new_id = await operator.restart(id_, 0, body.deployment)
                    return {"old_invocation_id": text, "new_invocation_id": new_id}, ""
                if operation == "resume":
                    await operator.resume(id_, body.deployment or KEEP)
                else:
                    await operator.simple(operation, id_)
            except RequestError as error:
                return None, f"Invocation '{text}' not found" if error.status == 404 else error.message
            return text, ""

    for text, (success, error) in zip(
        body.invocation_ids, await asyncio.gather(*map(one, body.invocation_ids)), strict=True
    ):
        if success is None:
            failed.append({"invocation_id": text, "error": error})
        else:
            succeeded.append(success)
    return {"succeeded": succeeded, "failed": failed}


def _id(text: str) -> InvocationId:
    try:
        return InvocationId(decode_invocation_id(text))
    except InvalidId as error:
        raise invalid_field("invocation_id", error.message) from None


def _worded(operation: str, id_: InvocationId, refused: Refused) -> RequestError:
    text = encode_invocation_id(id_)
    if refused.reason == "not_found":
        return missing("invocation", text)
    words = _TEXTS.get((operation, refused.reason))
    if words is None:
        return unavailable(refused)
    return RequestError(refused.code, words.format(text))


def _unexpected(answer: object) -> RequestError:
    return RequestError(500, f"internal error: unexpected answer {type(answer).__name__}")
