"""Routes about the server itself, and the few features it answers for without having them."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from holdfast.admin.bodies import CreateSubscription, Query
from holdfast.admin.edge import API_VERSION_MAX, API_VERSION_MIN
from holdfast.admin.errors import RequestError, missing
from holdfast.admin.ports import AdminSettings, QueryRunner


def node_routes(query: QueryRunner, settings: AdminSettings) -> APIRouter:
    router = APIRouter(tags=["server"])

    @router.get("/health", summary="Whether the server is up")
    async def health() -> Response:
        return Response()

    @router.get("/version", summary="Versions and features")
    async def version() -> JSONResponse:
        return JSONResponse(
            {
                "version": settings.version,
                "min_admin_api_version": API_VERSION_MIN,
                "max_admin_api_version": API_VERSION_MAX,
                "ingress_endpoint": settings.ingress_endpoint,
                "features": {"vqueues": False},
            }
        )

    @router.get("/cluster-health", summary="Members of the cluster", deprecated=True)
    async def cluster_health() -> JSONResponse:
        return JSONResponse(
            {"cluster_name": settings.cluster_name, "metadata_cluster_health": {"members": [1]}}
        )

    @router.get("/", include_in_schema=False)
    async def front_page() -> Response:
        return RedirectResponse("/ui/", 308)

    @router.post("/query", summary="Read-only SQL", tags=["query"])
    async def run_query(body: Query, request: Request) -> Response:
        content_type, answer = await query.run(body.query, request.headers.get("accept", "*/*"))
        return Response(answer, media_type=content_type)

    @router.get("/subscriptions", summary="List subscriptions", tags=["subscriptions"])
    async def list_subscriptions() -> JSONResponse:
        return JSONResponse({"subscriptions": []})

    @router.post("/subscriptions", include_in_schema=False)
    async def subscribe(body: CreateSubscription) -> Response:
        message = f"cannot subscribe {body.sink!r} to {body.source!r}: this server has no Kafka connection"
        raise RequestError(400, f"[META0009] {message}", "META0009")

    @router.get("/subscriptions/{subscription}", include_in_schema=False)
    @router.delete("/subscriptions/{subscription}", include_in_schema=False)
    async def one_subscription(subscription: str) -> Response:
        raise missing("subscription", subscription)

    return router
