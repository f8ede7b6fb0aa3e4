"""JSON objects of deployments, services and handlers (protocol, "Objects").

Keys without a value are left out, as official tools expect, except a handler's `retry_policy.max_attempts`,
which is null where the handler does not set it. Options appear on a handler only where its manifest sets
them, with the value that is in effect.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TypeAlias, cast

from holdfast.catalog.durations import format_duration
from holdfast.catalog.model import Deployment, Handler, Mode, Service
from holdfast.core.model import OnMaxAttempts, RetryPolicy
from holdfast.protocol.manifest import (
    HandlerManifest,
    HandlerType,
    InputRule,
    Options,
    OutputRule,
    ServiceType,
)

JsonObject: TypeAlias = dict[str, object]

_SERVICE_TYPES = {
    ServiceType.SERVICE: "Service",
    ServiceType.VIRTUAL_OBJECT: "VirtualObject",
    ServiceType.WORKFLOW: "Workflow",
}
_HANDLER_TYPES = {
    HandlerType.EXCLUSIVE: "Exclusive",
    HandlerType.SHARED: "Shared",
    HandlerType.WORKFLOW: "Workflow",
}
_ON_MAX_ATTEMPTS = {OnMaxAttempts.PAUSE: "Pause", OnMaxAttempts.KILL: "Kill"}


def deployment_json(deployment: Deployment, services: Sequence[JsonObject]) -> JsonObject:
    """A deployment with its services, brief or whole."""
    return _without_none(
        {
            "id": deployment.id,
            "uri": deployment.uri,
            "protocol_type": deployment.mode.value,
            "http_version": deployment.http_version,
            "additional_headers": dict(deployment.additional_headers) or None,
            "metadata": dict(deployment.metadata) or None,
            "created_at": timestamp(deployment.created_at),
            "min_protocol_version": deployment.min_protocol_version,
            "max_protocol_version": deployment.max_protocol_version,
            "sdk_version": deployment.sdk_version,
            "services": services,
        }
    )


def brief_service_json(service: Service) -> JsonObject:
    return {"name": service.name, "revision": service.revision}


def service_json(service: Service) -> JsonObject:
    settings, options = service.settings, service.manifest.options
    is_workflow = service.type is ServiceType.WORKFLOW
    inactivity_ms = settings.inactivity_timeout_ms if service.mode is Mode.BIDI_STREAM else 0
    notices: list[JsonObject] = [{"code": code, "message": message} for code, message in service.notices]
    notices += _ignored_timeout(service, options, "service") or []
    return _without_none(
        {
            "name": service.name,
            "ty": _SERVICE_TYPES[service.type],
            "handlers": [handler_json(service, handler) for handler in service.manifest.handlers],
            "deployment_id": service.deployment,
            "revision": service.revision,
            "public": settings.public,
            "idempotency_retention": format_duration(settings.idempotency_retention_ms),
            "workflow_completion_retention": (
                format_duration(settings.workflow_retention_ms) if is_workflow else None
            ),
            "journal_retention": format_duration(settings.journal_retention_ms),
            "inactivity_timeout": format_duration(inactivity_ms),
            "abort_timeout": format_duration(settings.abort_timeout_ms),
            "enable_lazy_state": settings.enable_lazy_state,
            "retry_policy": _retry_json(settings.retry),
            "documentation": options.documentation,
            "metadata": dict(options.metadata) or None,
            "info": notices or None,
        }
    )


def handler_json(service: Service, manifest: HandlerManifest) -> JsonObject:
    handler, options = service.handlers[manifest.name], manifest.options
    return _without_none(
        {
            "name": manifest.name,
            "ty": None if manifest.type is None else _HANDLER_TYPES[manifest.type],
            "documentation": options.documentation,
            "metadata": dict(options.metadata) or None,
            **_own_options(service, manifest, handler),
            "public": handler.public,
            "input_description": describe_input(manifest.input),
            "output_description": describe_output(manifest.output),
            "input_json_schema": None if manifest.input is None else manifest.input.json_schema,
            "output_json_schema": None if manifest.output is None else manifest.output.json_schema,
            "retry_policy": _own_retry(options, handler.retry),
            "info": _ignored_timeout(service, options, "handler"),
        }
    )


def describe_input(rule: InputRule | None) -> str:
    """What a handler accepts, in a few words."""
    if rule is None:
        return "*/*"
    if rule.content_type is None:
        return "none"
    return _described(rule.content_type, rule.json_schema)


def describe_output(rule: OutputRule | None) -> str:
    """What a handler answers, in a few words."""
    if rule is None:
        return "application/json"
    if rule.content_type is None:
        return "none"
    text = _described(rule.content_type, rule.json_schema)
    return f"optional {text}" if rule.set_content_type_if_empty else text


def timestamp(ms: int) -> str:
    """An instant as text: UTC with nine digits of fraction."""
    moment = datetime.fromtimestamp(ms // 1000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{ms % 1000:03d}000000Z"


def _described(content_type: str, schema: object) -> str:
    if isinstance(schema, dict):
        shape = cast("JsonObject", schema)
        title, type_ = shape.get("title"), shape.get("type")
        if isinstance(title, str):
            return f"JSON '{title}'"
        if isinstance(type_, str):
            return f"JSON {type_}"
    return content_type


def _ignored_timeout(service: Service, options: Options, what: str) -> list[JsonObject] | None:
    """Request/response has no stream to close when nothing happens: attempts end by themselves."""
    if service.mode is Mode.BIDI_STREAM or options.inactivity_timeout_ms is None:
        return None
    timeout = format_duration(options.inactivity_timeout_ms)
    message = f"the {what}'s inactivity timeout of {timeout} does not apply in request/response mode"
    return [{"code": "RT0021", "message": message}]


def _own_options(service: Service, manifest: HandlerManifest, handler: Handler) -> JsonObject:
    options = manifest.options
    streams = service.mode is Mode.BIDI_STREAM
    own: JsonObject = {}
    for name, said, effective_ms in (
        ("idempotency_retention", options.idempotency_retention_ms, handler.idempotency_retention_ms),
        ("journal_retention", options.journal_retention_ms, handler.journal_retention_ms),
        (
            "inactivity_timeout",
            options.inactivity_timeout_ms if streams else None,
            handler.inactivity_timeout_ms,
        ),
        ("abort_timeout", options.abort_timeout_ms, handler.abort_timeout_ms),
    ):
        if said is not None:
            own[name] = format_duration(effective_ms)
    if options.enable_lazy_state is not None:
        own["enable_lazy_state"] = handler.enable_lazy_state
    return own


def _own_retry(options: Options, effective: RetryPolicy) -> JsonObject:
    said, whole = options.retry_policy, _retry_json(effective)
    own: JsonObject = {}
    if said.initial_interval_ms is not None:
        own["initial_interval"] = whole["initial_interval"]
    if said.exponentiation_factor is not None:
        own["exponentiation_factor"] = whole["exponentiation_factor"]
    own["max_attempts"] = None if said.max_attempts is None else whole["max_attempts"]
    if said.max_interval_ms is not None:
        own["max_interval"] = whole["max_interval"]
    if said.on_max_attempts is not None:
        own["on_max_attempts"] = whole["on_max_attempts"]
    return own


def _retry_json(retry: RetryPolicy) -> JsonObject:
    return {
        "initial_interval": format_duration(retry.initial_ms),
        "exponentiation_factor": retry.factor,
        "max_attempts": retry.max_attempts,
        "max_interval": format_duration(retry.max_ms),
        "on_max_attempts": _ON_MAX_ATTEMPTS[retry.on_max_attempts],
    }


def _without_none(fields: JsonObject) -> JsonObject:
    return {name: value for name, value in fields.items() if value is not None}
