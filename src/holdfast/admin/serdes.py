"""Payload previews: a deployment that knows how its payloads are encoded is asked to show or make them.

Only some SDKs serve this (protocol, "Paths"). The request and the answer pass through unread; the deployment
sees it signed, as everything the server sends it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Literal, TypeAlias

from fastapi import APIRouter, Request
from starlette.responses import Response

from holdfast.admin.errors import RequestError, missing
from holdfast.catalog.catalog import Catalog
from holdfast.catalog.model import Deployment
from holdfast.invoker.http.api import RequestFailed
from holdfast.invoker.http.api import Response as Answer

Preview: TypeAlias = Callable[[Deployment, str, str | None, bytes], Awaitable[Answer]]
"""(deployment, path, content type, body) to the deployment's answer; raises RequestFailed."""

_SAID_BYTES_MAX = 2_048


def serdes_routes(catalog: Catalog, preview: Preview) -> APIRouter:
    """`POST /internal/services/{service}/serdes/{decode|encode}/{serde}`."""
    router = APIRouter(tags=["internal"])

    @router.post("/internal/services/{service}/serdes/{direction}/{serde:path}", summary="Preview a payload")
    async def run(
        service: str, direction: Literal["decode", "encode"], serde: str, request: Request
    ) -> Response:
        deployment = catalog.latest_deployment(service)
        if deployment is None:
            raise missing("service", service)
        path = f"/serdes/{service}/{direction}/{serde}"
        try:
            answer = await preview(
                deployment, path, request.headers.get("content-type"), await request.body()
            )
        except RequestFailed as failed:
            raise RequestError(502, f"the deployment of {service} gave no preview: {failed}") from failed
        if answer.status != 200:
            said = answer.body[:_SAID_BYTES_MAX].decode("utf-8", "replace")
            raise RequestError(500, f"the deployment of {service} answered {answer.status}: {said}")
        headers = {"content-type": answer.headers.get("content-type", "application/octet-stream")}
        return Response(answer.body, 200, headers)

    return router
