"""Routes of deployments: register, list, describe, update, delete (protocol, "Registering")."""

from __future__ import annotations

import re
from collections.abc import Callable

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from holdfast.admin.bodies import RegisterDeployment, UpdateDeployment
from holdfast.admin.errors import RequestError, UnreadableRequest, invalid_field, missing
from holdfast.admin.shapes import JsonObject, brief_service_json, deployment_json, service_json
from holdfast.catalog.catalog import Catalog, Registration
from holdfast.catalog.contents import Change
from holdfast.catalog.discovery import Discovery
from holdfast.catalog.model import Deployment
from holdfast.invoker.http.api import Endpoint
from holdfast.protocol.errors import InvalidId
from holdfast.protocol.ids import decode_deployment_id

_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", re.ASCII)
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
_OWN_HEADERS = frozenset(
    {"host", "connection", "transfer-encoding", "content-length", "content-type", "accept", "te", "upgrade"}
)
_FORCE_BY_DEFAULT_UNTIL = 2
"""Up to this version of the interface a registration overwrites a known address unless told not to."""


def deployment_routes(catalog: Catalog, discovery: Discovery, now_ms: Callable[[], int]) -> APIRouter:
    router = APIRouter(tags=["deployments"])

    @router.get("/deployments", summary="List deployments")
    async def list_deployments() -> JSONResponse:
        return JSONResponse({"deployments": [_brief(catalog, d) for d in catalog.deployments()]})

    @router.post("/deployments", summary="Register a deployment", status_code=201)
    async def register(body: RegisterDeployment, request: Request) -> Response:
        endpoint = _endpoint(body.uri, body.use_http_11 or False)
        headers = _headers(body.additional_headers)
        old_interface = request.scope["admin_api_version"] <= _FORCE_BY_DEFAULT_UNTIL
        force = old_interface if body.force is None else body.force
        known = None if force else catalog.at(endpoint)
        if known is not None:
            return _known(known, old_interface)
        discovered = await discovery.discover(endpoint, headers=headers, metadata=body.metadata)
        registration = catalog.register(
            discovered,
            force=force,
            breaking=body.breaking or False,
            dry_run=body.dry_run or False,
            now_ms=now_ms(),
        )
        if registration.change is Change.UNCHANGED:
            return _known(registration, old_interface)
        return _answer(registration, 201 if registration.change is Change.CREATED else 200)

    @router.get("/deployments/{deployment}", summary="Describe a deployment")
    async def describe(deployment: str) -> JSONResponse:
        return JSONResponse(_whole(catalog, _existing(catalog, deployment)))

    @router.patch("/deployments/{deployment}", summary="Update a deployment in place")
    @router.put("/deployments/{deployment}", include_in_schema=False)
    async def update(deployment: str, body: UpdateDeployment) -> JSONResponse:
        known = _existing(catalog, deployment)
        if body.arn is not None:
            raise _no_lambda()
        headers = _headers(body.additional_headers)
        headers = known.additional_headers if headers is None else headers
        http11 = known.endpoint.http11 if body.use_http_11 is None else body.use_http_11
        endpoint = _endpoint(body.uri or known.uri, http11)
        dry_run = body.dry_run or False
        if body.overwrite or endpoint != known.endpoint:
            discovered = await discovery.discover(endpoint, headers=headers)
            update = catalog.rediscover if body.overwrite else catalog.move_deployment
            registration = update(known.id, discovered, dry_run=dry_run)
        else:
            registration = catalog.patch_deployment(known.id, headers, dry_run=dry_run)
        if registration is None:
            raise missing("deployment", deployment)
        services = [service_json(service) for service in registration.services]
        return JSONResponse(deployment_json(registration.deployment, services))

    @router.delete("/deployments/{deployment}", summary="Delete a deployment", status_code=202)
    async def delete(deployment: str, force: bool = False) -> Response:
        known = _existing(catalog, deployment)
        if not force:
            # Waiting until nothing is pinned to it any more is left to tools, which can show what is.
            return Response(status_code=501)
        catalog.delete_deployment(known.id)
        return Response(status_code=202)

    return router


def _existing(catalog: Catalog, id_: str) -> Deployment:
    try:
        decode_deployment_id(id_)
    except InvalidId as error:
        text = f"Invalid URL: Cannot parse `deployment` with value `{id_}`: {error.message}"
        raise UnreadableRequest(400, text) from None
    deployment = catalog.deployment(id_)
    if deployment is None:
        raise missing("deployment", id_)
    return deployment


def _endpoint(uri: str | None, http11: bool) -> Endpoint:
    if uri is None:
        raise _no_lambda()
    if "://" not in uri:
        reason = f"The provided uri {uri} is not absolute, only absolute URIs can be used."
        raise invalid_field("uri", reason)
    try:
        return Endpoint.parse(uri, http11)
    except ValueError as error:
        raise invalid_field("uri", str(error)) from None


def _no_lambda() -> RequestError:
    return invalid_field(
        "arn",
        "this server calls deployments over HTTP only; give the function a URL and register that as 'uri'",
    )


def _headers(given: dict[str, str] | None) -> tuple[tuple[str, str], ...] | None:
    if given is None:
        return None
    for name, value in given.items():
        if not _HEADER_NAME.fullmatch(name) or not _HEADER_VALUE.fullmatch(value):
            raise invalid_field("additional_headers", f"{name!r} is not a header that HTTP can carry")
        if name.lower() in _OWN_HEADERS:
            raise invalid_field("additional_headers", f"{name!r} is set by the server itself")
    return tuple([(name.lower(), value) for name, value in given.items()])


def _brief(catalog: Catalog, deployment: Deployment) -> JsonObject:
    return deployment_json(deployment, [brief_service_json(s) for s in catalog.services_of(deployment.id)])


def _whole(catalog: Catalog, deployment: Deployment) -> JsonObject:
    return deployment_json(deployment, [service_json(s) for s in catalog.services_of(deployment.id)])


def _known(registration: Registration, old_interface: bool) -> Response:
    """The answer to registering a known address without force: what is there, and that nothing happened."""
    deployment = registration.deployment
    if old_interface:
        raise RequestError(409, f"Conflict: deployment {deployment.id} already exists")
    notice = (
        f"{deployment.uri} is registered already and was not asked again; "
        "register with force to replace what it serves"
    )
    return _answer(registration, 200, [{"code": "META0004", "message": notice}])


def _answer(registration: Registration, status: int, info: list[JsonObject] | None = None) -> Response:
    deployment = registration.deployment
    answer: JsonObject = {
        "id": deployment.id,
        "services": [service_json(service) for service in registration.services],
        "min_protocol_version": deployment.min_protocol_version,
        "max_protocol_version": deployment.max_protocol_version,
    }
    if deployment.sdk_version is not None:
        answer["sdk_version"] = deployment.sdk_version
    if info:
        answer["info"] = info
    return JSONResponse(answer, status, {"location": f"deployments/{deployment.id}"})
