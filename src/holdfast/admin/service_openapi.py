"""An OpenAPI document of one service, for its callers at ingress: paths, bodies, schemas."""

from __future__ import annotations

from holdfast.admin.openapi_schemas import SchemaComponents
from holdfast.admin.shapes import JsonObject
from holdfast.catalog.model import Service
from holdfast.protocol.manifest import HandlerManifest, InputRule, OutputRule, ServiceType


def service_openapi(service: Service, ingress_endpoint: str) -> JsonObject:
    """OpenAPI 3.1; handlers that are not public are left out."""
    paths: JsonObject = {}
    components = SchemaComponents()
    for handler in service.manifest.handlers:
        if not service.handlers[handler.name].public:
            continue
        keyed = service.type is not ServiceType.SERVICE
        path = f"/{service.name}/{{key}}/{handler.name}" if keyed else f"/{service.name}/{handler.name}"
        paths[path] = {"post": _operation(service, handler, keyed, components, send=False)}
        paths[f"{path}/send"] = {"post": _operation(service, handler, keyed, components, send=True)}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": service.name,
            "version": str(service.revision),
            **(
                {"description": service.manifest.options.documentation}
                if service.manifest.options.documentation
                else {}
            ),
        },
        "servers": [{"url": ingress_endpoint}],
        "paths": paths,
        "components": {"schemas": components.schemas},
    }


def _operation(
    service: Service, handler: HandlerManifest, keyed: bool, components: SchemaComponents, *, send: bool
) -> JsonObject:
    name = f"{service.name}.{handler.name}"
    operation: JsonObject = {
        "summary": f"{'Send to' if send else 'Call'} {service.name}/{handler.name}",
        "operationId": f"{service.name}_{handler.name}{'_send' if send else ''}",
        "parameters": _parameters(keyed, send),
        "responses": _responses(handler.output, f"{name}.output", components, send),
    }
    if handler.options.documentation:
        operation["description"] = handler.options.documentation
    body = _request_body(handler.input, f"{name}.input", components)
    if body is not None:
        operation["requestBody"] = body
    return operation


def _parameters(keyed: bool, send: bool) -> list[JsonObject]:
    text = {"type": "string"}
    parameters: list[JsonObject] = []
    if keyed:
        parameters.append({"name": "key", "in": "path", "required": True, "schema": text})
    parameters.append({"name": "idempotency-key", "in": "header", "required": False, "schema": text})
    if send:
        parameters.append({"name": "delay", "in": "query", "required": False, "schema": text})
    return parameters


def _request_body(rule: InputRule | None, name: str, components: SchemaComponents) -> JsonObject | None:
    if rule is None:
        return {"required": False, "content": {"*/*": {}}}
    if rule.content_type is None:
        return None
    return {
        "required": rule.required,
        "content": {rule.content_type: _media(rule.json_schema, name, components)},
    }


def _responses(rule: OutputRule | None, name: str, components: SchemaComponents, send: bool) -> JsonObject:
    if send:
        accepted = {
            "type": "object",
            "required": ["invocationId", "status"],
            "properties": {
                "invocationId": {"type": "string"},
                "status": {"enum": ["Accepted", "PreviouslyAccepted"]},
            },
        }
        return {"202": {"description": "Accepted", "content": {"application/json": {"schema": accepted}}}}
    if rule is None:
        return {"200": {"description": "The handler's output", "content": {"application/json": {}}}}
    if rule.content_type is None:
        return {"200": {"description": "Done, without output"}}
    content = {rule.content_type: _media(rule.json_schema, name, components)}
    return {"200": {"description": "The handler's output", "content": content}}


def _media(schema: object, name: str, components: SchemaComponents) -> JsonObject:
    return {} if schema is None else {"schema": components.add(name, schema)}
