"""The admin application, assembled."""

from __future__ import annotations

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import JSONResponse

from holdfast.admin import errors
from holdfast.admin.deployments import deployment_routes
from holdfast.admin.edge import Edge
from holdfast.admin.entry_completion import completion_routes
from holdfast.admin.events import event_routes
from holdfast.admin.invocation_views import view_routes
from holdfast.admin.invocations import invocation_routes
from holdfast.admin.node import node_routes
from holdfast.admin.ports import AdminSettings, QueryRunner
from holdfast.admin.serdes import serdes_routes
from holdfast.admin.services import service_routes
from holdfast.admin.ui import Ui
from holdfast.catalog.catalog import Catalog
from holdfast.catalog.discovery import Discovery
from holdfast.partition.api import Engine
from holdfast.partition.feed import ChangeFeed
from holdfast.query.reads import Reads


def create_app(
    engine: Engine,
    catalog: Catalog,
    discovery: Discovery,
    query: QueryRunner,
    settings: AdminSettings | None = None,
    reads: Reads | None = None,
    feed: ChangeFeed | None = None,
) -> FastAPI:
    """The interface as an ASGI application, with the web UI under `/ui`.

    Args:
        reads, feed: for the routes that show invocations and watch them; they are there only with these.
    """
    settings = settings or AdminSettings()
    app = FastAPI(
        title="Holdfast admin interface",
        version=settings.version,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
    )
    app.include_router(node_routes(query, settings))
    app.include_router(deployment_routes(catalog, discovery, engine.now_ms))
    app.include_router(service_routes(catalog, engine, settings.ingress_endpoint))
    app.include_router(invocation_routes(catalog, engine, query))
    if reads is not None:
        app.include_router(view_routes(reads, catalog))
        app.include_router(completion_routes(engine, reads))
        if feed is not None:
            app.include_router(event_routes(feed, reads, catalog, engine.now_ms))
    app.include_router(serdes_routes(catalog, discovery.preview))
    app.mount("/ui", Ui())
    errors.install(app)

    @app.get("/openapi", include_in_schema=False)
    async def openapi() -> JSONResponse:
        return JSONResponse(app.openapi())

    app.add_middleware(Edge, body_bytes_max=settings.body_bytes_max)
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=["*"],
            allow_headers=["*"],
            expose_headers=["location"],
        )
    return app
