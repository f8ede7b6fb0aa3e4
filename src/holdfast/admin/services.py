"""Routes of services and their handlers: list, describe, change settings, replace an object's state."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import JSONResponse, Response

from holdfast.admin.bodies import ModifyService, ReplaceStateBody
from holdfast.admin.errors import RequestError, invalid_field, missing, unavailable
from holdfast.admin.service_openapi import service_openapi
from holdfast.admin.shapes import handler_json, service_json
from holdfast.catalog.catalog import Catalog
from holdfast.catalog.model import Service
from holdfast.catalog.settings import Patch
from holdfast.core.outcome import Refused
from holdfast.core.records import ReplaceState
from holdfast.partition.api import Engine
from holdfast.protocol.manifest import ServiceType


def service_routes(catalog: Catalog, engine: Engine, ingress_endpoint: str) -> APIRouter:
    router = APIRouter(tags=["services"])

    def existing(name: str) -> Service:
        service = catalog.service(name)
        if service is None:
            raise missing("service", name)
        return service

    @router.get("/services", summary="List services")
    async def list_services() -> JSONResponse:
        return JSONResponse({"services": [service_json(service) for service in catalog.services()]})

    @router.get("/services/{service}", summary="Describe a service")
    async def describe(service: str) -> JSONResponse:
        return JSONResponse(service_json(existing(service)))

    @router.patch("/services/{service}", summary="Change settings until the next revision")
    async def modify(service: str, body: ModifyService) -> JSONResponse:
        known = existing(service)
        if body.workflow_completion_retention is not None and known.type is not ServiceType.WORKFLOW:
            reason = f"{service} is not a workflow"
            raise invalid_field("workflow_completion_retention", reason)
        patch = Patch(
            public=body.public,
            idempotency_retention_ms=body.idempotency_retention,
            workflow_retention_ms=body.workflow_completion_retention,
            journal_retention_ms=body.journal_retention,
            inactivity_timeout_ms=body.inactivity_timeout,
            abort_timeout_ms=body.abort_timeout,
        )
        changed = catalog.patch_service(service, patch)
        if changed is None:
            raise missing("service", service)
        return JSONResponse(service_json(changed))

    @router.get("/services/{service}/openapi", summary="OpenAPI document of a service")
    async def openapi(service: str) -> JSONResponse:
        return JSONResponse(service_openapi(existing(service), ingress_endpoint))

    @router.get("/services/{service}/handlers", summary="List handlers")
    async def list_handlers(service: str) -> JSONResponse:
        known = existing(service)
        return JSONResponse({"handlers": [handler_json(known, h) for h in known.manifest.handlers]})

    @router.get("/services/{service}/handlers/{handler}", summary="Describe a handler")
    async def describe_handler(service: str, handler: str) -> JSONResponse:
        known = existing(service)
        for manifest in known.manifest.handlers:
            if manifest.name == handler:
                return JSONResponse(handler_json(known, manifest))
        raise RequestError(404, f"The requested handler '{handler}' on service '{service}' does not exist")

    @router.post("/services/{service}/state", summary="Replace the state of an object", status_code=202)
    async def replace_state(service: str, body: ReplaceStateBody) -> Response:
        type_ = catalog.service_type(service)
        if type_ is None and body.new_state:
            # What a deleted service left behind may still be cleared.
            raise missing("service", service)
        if type_ is ServiceType.SERVICE:
            raise invalid_field("service", f"{service} is a plain service, which has no state")
        if body.scope is not None:
            raise invalid_field("scope", "flow control is not enabled on this server")
        state = sorted((key.encode(), bytes(value)) for key, value in body.new_state.items())
        address = engine.owner_of_key(body.object_key)
        record = ReplaceState(engine.now_ms(), f"{service}/{body.object_key}", tuple(state), body.version)
        answer = await engine.ask(address, record)
        if isinstance(answer, Refused):
            raise unavailable(answer)
        return Response(status_code=202)

    return router
