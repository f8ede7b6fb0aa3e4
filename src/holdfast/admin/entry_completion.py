"""Completing from outside what an entry waits for: awakeables, durable promises, named signals.

Which of them an entry is, is read; whether it still waits is decided by the partition, with the record that
completes it: of two who resolve the same one, one is refused.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
from fastapi import APIRouter, Request
from starlette.responses import Response

from holdfast.admin.bodies import RejectEntry, ResolveEntry
from holdfast.admin.entries import (
    AWAKEABLE_SIGNAL_MIN,
    NAMED_SIGNAL_INDEX_FROM,
    SIGNAL_INDEX_FROM,
    Ref,
    awaited_signals,
    signal_entry_index,
)
from holdfast.admin.errors import RequestError, UnreadableRequest, missing, unavailable
from holdfast.admin.invocation_list import Found
from holdfast.admin.invocation_views import check_id, existing
from holdfast.core.model import Failure, InvocationId, Success
from holdfast.core.outcome import Done, Refused
from holdfast.core.records import Record, SettlePromise, Signal
from holdfast.partition.api import Engine
from holdfast.protocol.framing import MessageType
from holdfast.protocol.ids import decode_invocation_id
from holdfast.protocol.messages import GetPromiseCommandMessage
from holdfast.query.connection import Connection
from holdfast.query.reads import Reads
from holdfast.storage.blobs import whole_sql
from holdfast.storage.keys import JOURNAL_SPAN

NOT_PENDING = "HF0021"
NOT_COMPLETABLE = "HF0022"


@dataclass(frozen=True, slots=True)
class Promise:
    """A durable promise of the entry's workflow."""

    key: str


class _Value(msgspec.Struct):
    value: msgspec.Raw


def completion_routes(engine: Engine, reads: Reads) -> APIRouter:
    router = APIRouter(tags=["invocations"])

    async def complete(invocation: str, index: int, result: Success | Failure) -> Response:
        check_id(invocation)

        def read(connection: Connection) -> Ref | Promise:
            return awaited(connection, existing(connection, invocation), index)

        what = await reads.run(read)
        id_, at = InvocationId(decode_invocation_id(invocation)), engine.now_ms()
        record: Record
        if isinstance(what, Promise):
            record = SettlePromise(at, id_, what.key, result)
        else:
            record = Signal(at, id_, what, result, once=True)
        answer = await engine.ask(id_, record)
        match answer:
            case Done():
                return Response()
            case Refused(reason="not_found"):
                raise missing("invocation", invocation)
            case Refused(reason="completed" | "settled"):
                raise _not_pending(index, answer.message)
            case Refused():
                raise unavailable(answer)
            case _:
                raise RequestError(500, f"internal error: unexpected answer {type(answer).__name__}")

    @router.post("/invocations/{invocation}/entries/{index}/resolve", summary="Complete what an entry awaits")
    async def resolve(invocation: str, index: int, body: ResolveEntry, request: Request) -> Response:
        """For an awakeable, a durable promise or a signal that is waited for. 409 when it is not."""
        del body  # checked, and for the document; the bytes are handed on as they were written
        try:
            value = msgspec.json.decode(await request.body(), type=_Value).value
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise UnreadableRequest(400, f"Failed to parse the request body as JSON: {error}") from None
        return await complete(invocation, index, Success(bytes(value)))

    @router.post("/invocations/{invocation}/entries/{index}/reject", summary="Fail what an entry awaits")
    async def reject(invocation: str, index: int, body: RejectEntry) -> Response:
        """The handler gets a terminal failure with this code and message."""
        return await complete(invocation, index, Failure(body.code, body.message))

    return router


def awaited(connection: Connection, found: Found, index: int) -> Ref | Promise:
    """What the entry waits for, or waited for.

    Raises:
        RequestError: 404 no such entry; 409 nothing that could be completed from outside, or no more.
    """
    if SIGNAL_INDEX_FROM + AWAKEABLE_SIGNAL_MIN <= index < NAMED_SIGNAL_INDEX_FROM:
        return index - SIGNAL_INDEX_FROM
    if index >= NAMED_SIGNAL_INDEX_FROM:
        return _named(connection, found, index)
    partition, row = found.place
    if 0 <= index < JOURNAL_SPAN:
        body_sql = whole_sql("body", f"p{partition}")
        sql = f"SELECT type, {body_sql} FROM p{partition}.journal WHERE key = ?"
        for type_, body in list(connection.select(sql, (row * JOURNAL_SPAN + index,))):
            if type_ == MessageType.GET_PROMISE_COMMAND:
                return Promise(GetPromiseCommandMessage.decode(body).key)
            if type_ == MessageType.SIGNAL_NOTIFICATION:
                raise _not_pending(index, "it is a signal that has come")
            raise RequestError(
                409,
                f"entry {index} is not completed from outside; awakeables, durable promises and signals are",
                NOT_COMPLETABLE,
            )
    raise RequestError(404, f"invocation {found.summary.id} has no entry {index}")


def _named(connection: Connection, found: Found, index: int) -> str:
    """The name behind an entry's index: of a signal that is waited for, or that has come."""
    for ref in awaited_signals(found.stored.awaiting):
        if isinstance(ref, str) and signal_entry_index(ref) == index:
            return ref
    partition, row = found.place
    came = connection.select(
        f"SELECT DISTINCT ref FROM p{partition}.journal WHERE key BETWEEN ? AND ? "
        f"AND type = {MessageType.SIGNAL_NOTIFICATION.value} AND typeof(ref) = 'text'",
        (row * JOURNAL_SPAN, (row + 1) * JOURNAL_SPAN - 1),
    )
    if any(signal_entry_index(ref) == index for (ref,) in list(came)):
        raise _not_pending(index, "the signal has come")
    raise RequestError(404, f"invocation {found.summary.id} has no entry {index}")


def _not_pending(index: int, reason: str) -> RequestError:
    return RequestError(409, f"entry {index} waits for nothing any more: {reason}", NOT_PENDING)
