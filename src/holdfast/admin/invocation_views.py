"""Routes that show invocations: the list, one of them, its timeline, whole values of its entries."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Annotated, Literal

from fastapi import APIRouter, Query
from starlette.responses import Response

from holdfast.admin.errors import RequestError, invalid_field, invalid_parameter, missing
from holdfast.admin.invocation_list import (
    IDS_MAX,
    Cursor,
    Filters,
    Found,
    add_parent_entry,
    page_of,
    parse_statuses,
    read_ids,
    read_page,
)
from holdfast.admin.invocation_shapes import InvocationPage, Summary, Timeline, to_json
from holdfast.admin.timeline import read_timeline, read_whole
from holdfast.catalog.catalog import Catalog
from holdfast.protocol.errors import InvalidId
from holdfast.protocol.ids import decode_invocation_id
from holdfast.query.connection import Connection
from holdfast.query.reads import Reads

LIMIT_DEFAULT = 100
LIMIT_MAX = 1_000

_JSON = "application/json"
_WHOLE_HEADERS = {"x-content-type-options": "nosniff", "content-security-policy": "sandbox"}
"""What a handler wrote is shown to a browser as data, whatever it looks like."""


class Revisions:
    """Which revision of a service an invocation runs."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def fill(self, summaries: Iterable[Summary]) -> None:
        """On the event loop, where the catalog is."""
        known: dict[str, dict[str, int]] = {}
        for summary in summaries:
            deployment = summary.deployment_id
            if deployment is None:
                continue
            if deployment not in known:
                known[deployment] = {s.name: s.revision for s in self._catalog.services_of(deployment)}
            summary.revision = known[deployment].get(summary.service)


def view_routes(reads: Reads, catalog: Catalog) -> APIRouter:
    router = APIRouter(tags=["invocations"])
    revisions = Revisions(catalog)

    @router.get(
        "/invocations", summary="List invocations, newest first", responses={200: {"model": InvocationPage}}
    )
    async def list_invocations(
        status: str | None = None,
        service: str | None = None,
        handler: str | None = None,
        key: str | None = None,
        id: str | None = None,  # noqa: A002  the parameter's name
        limit: Annotated[int, Query(ge=1, le=LIMIT_MAX)] = LIMIT_DEFAULT,
        before: str | None = None,
    ) -> Response:
        """`status` and `id` take several, separated by commas. A page may be shorter than `limit`, or empty,
        and still have a `next`: then a filter has matched little of what was looked at."""
        filters = Filters(parse_statuses(status), service, handler, key)
        cursor = Cursor.decode(before, reads.partitions)
        ids = None if id is None else _ids(id)
        found, following = await reads.run(lambda c: read_page(c, filters, ids, limit, cursor))
        page = page_of(found, following)
        revisions.fill(page.invocations)
        return Response(to_json(page), media_type=_JSON)

    @router.get(
        "/invocations/{invocation}", summary="Describe an invocation", responses={200: {"model": Summary}}
    )
    async def describe(invocation: str) -> Response:
        check_id(invocation)

        def read(connection: Connection) -> Summary:
            found = existing(connection, invocation)
            add_parent_entry(connection, found)
            return found.summary

        summary = await reads.run(read)
        revisions.fill((summary,))
        return Response(to_json(summary), media_type=_JSON)

    @router.get(
        "/invocations/{invocation}/timeline",
        summary="An invocation's journal, attempts, input and output",
        responses={200: {"model": Timeline}},
    )
    async def timeline(invocation: str, after: Annotated[int, Query(ge=-1, lt=1 << 20)] = -1) -> Response:
        """Entries after the journal index `after`, and earlier ones that were answered after it."""
        check_id(invocation)

        def read(connection: Connection) -> Timeline:
            found = existing(connection, invocation)
            add_parent_entry(connection, found)
            return read_timeline(connection, found, after)

        # What a running attempt waits for is asked of it, so its place has to be known before.
        place = await reads.run(lambda connection: existing(connection, invocation).place)
        answer = await reads.run(read, (place,))
        revisions.fill((answer.invocation,))
        # A page of large values takes a while to write.
        return Response(await asyncio.to_thread(to_json, answer), media_type=_JSON)

    @router.get("/invocations/{invocation}/entries/{index}/{part}", summary="A whole value of an entry")
    async def whole(invocation: str, index: int, part: Literal["input", "value"]) -> Response:
        """The bytes as they are stored."""
        check_id(invocation)

        def read(connection: Connection) -> bytes | None:
            both = read_whole(connection, existing(connection, invocation), index)
            return None if both is None else both[part == "value"]

        content = await reads.run(read)
        if content is None:
            raise RequestError(404, f"entry {index} of {invocation} has no {part}")
        return Response(content, media_type=_media_type(content), headers=_WHOLE_HEADERS)

    return router


def existing(connection: Connection, invocation: str) -> Found:
    """The invocation with this id.

    Raises:
        RequestError: 404 there is none, or none any more.
    """
    for found in read_ids(connection, (invocation,)):
        return found
    raise missing("invocation", invocation)


def _media_type(content: bytes) -> str:
    try:
        content.decode()
    except UnicodeDecodeError:
        return "application/octet-stream"
    return "text/plain; charset=utf-8"


def _ids(text: str) -> list[str]:
    ids = [part.strip() for part in text.split(",") if part.strip()]
    if len(ids) > IDS_MAX:
        raise invalid_parameter("id", f"at most {IDS_MAX} ids at once")
    for id_ in ids:
        check_id(id_)
    return ids


def check_id(invocation: str) -> None:
    """Raises RequestError, 400, for what is no id."""
    try:
        decode_invocation_id(invocation)
    except InvalidId as error:
        raise invalid_field("invocation_id", error.message) from None
