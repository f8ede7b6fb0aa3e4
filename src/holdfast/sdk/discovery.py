"""Discovery: services as the manifest that a server reads when the deployment is registered.

The manifest is read back by the server's own reader before it is given out. So whatever that would refuse, a
content type or schema of a user's own serde for instance, is an error here, where the handlers are, and not
only at registration.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from holdfast.protocol.errors import ManifestError
from holdfast.protocol.manifest import (
    HandlerManifest,
    HandlerType,
    InputRule,
    Manifest,
    OnMaxAttempts,
    Options,
    OutputRule,
    ProtocolMode,
    RetryPolicyManifest,
    ServiceManifest,
    parse_manifest,
)
from holdfast.protocol.manifest_encode import (
    MANIFEST_CONTENT_TYPES,
    choose_manifest_version,
    encode_manifest,
)
from holdfast.protocol.versions import VERSION_MAX, VERSION_MIN
from holdfast.sdk.durations import Duration, duration_ms
from holdfast.sdk.errors import UsageError
from holdfast.sdk.handlers import Handler, ServiceDefinition
from holdfast.sdk.options import InvocationRetry, ServiceOptions
from holdfast.sdk.serde import BYTES, NO_INPUT
from holdfast.sdk.serde.types import accepts_none

LAMBDA_COMPRESSION_SINCE = 4
"""The manifest version that has a field for it first."""


def discover(
    services: Iterable[ServiceDefinition],
    accept: str,
    bidirectional: bool,
    *,
    lambda_compression: str | None = None,
    max_protocol_version: int = VERSION_MAX,
) -> tuple[str, bytes]:
    """The answer to a discovery request: content type and body.

    Args:
        accept: the request's accept header, empty when it had none.
        bidirectional: whether attempts can receive notifications while they run.
        lambda_compression: "zstd" when this Lambda function reads compressed requests.
        max_protocol_version: the newest version that servers may choose.
    Raises:
        UnsupportedVersion: `accept` names no manifest version; answer 415 with its message.
        UsageError: an option that the newest version asked for has no field for, or something that no server
            would accept.
    """
    version = choose_manifest_version(accept)
    manifest = manifest_of(services, bidirectional)
    manifest = replace(
        manifest,
        manifest_version=version,
        max_protocol_version=max_protocol_version,
        # An offer, which older servers do without.
        lambda_compression=lambda_compression if version >= LAMBDA_COMPRESSION_SINCE else None,
    )
    content_type = MANIFEST_CONTENT_TYPES[version]
    try:
        body = encode_manifest(manifest)
        parse_manifest(content_type, body, over_lambda=lambda_compression is not None)
    except ManifestError as error:
        raise UsageError("bad_manifest", error.message) from error
    except (TypeError, ValueError) as error:
        raise UsageError("bad_manifest", f"the manifest is not JSON: {error}; look at own serdes") from error
    return content_type, body


def manifest_of(services: Iterable[ServiceDefinition], bidirectional: bool) -> Manifest:
    """The services as nouns of the protocol, in the newest manifest version.

    Raises:
        UsageError: an annotation that cannot be resolved.
    """
    return Manifest(
        protocol_mode=ProtocolMode.BIDI_STREAM if bidirectional else ProtocolMode.REQUEST_RESPONSE,
        min_protocol_version=VERSION_MIN,
        max_protocol_version=VERSION_MAX,
        services=tuple([_service(service) for service in services]),
    )


def _service(service: ServiceDefinition) -> ServiceManifest:
    handlers = tuple([_handler(handler) for handler in service.handlers.values()])
    return ServiceManifest(
        service.name, service.type, handlers, _options(service.options, service.documentation)
    )


def _handler(handler: Handler[Any, Any]) -> HandlerManifest:
    retention: int | None = None
    if handler.type is HandlerType.WORKFLOW:
        # Manifests have this option on the main handler only; users may also set it on the workflow.
        retention = _ms(handler.options.workflow_retention)
        if retention is None:
            retention = _ms(handler.service.options.workflow_retention)
    return HandlerManifest(
        handler.name,
        handler.type,
        _input(handler),
        _output(handler),
        _options(handler.options, handler.documentation),
        retention,
    )


def _input(handler: Handler[Any, Any]) -> InputRule:
    """What ingress lets through: nothing at all for a handler without input (protocol, "Manifest")."""
    if not handler.takes_input or handler.input is NO_INPUT:
        return InputRule()
    content_type = handler.options.accept or handler.input.content_type
    if content_type is None:
        return InputRule()
    # Ingress takes an empty body for an absent one, but no bytes are bytes, too.
    required = handler.input_required and handler.input is not BYTES and not _takes_none(handler)
    return InputRule(required, content_type, handler.input.schema())


def _takes_none(handler: Handler[Any, Any]) -> bool:
    annotation: object = getattr(handler.input, "annotation", object)
    return annotation is not object and accepts_none(annotation)


def _output(handler: Handler[Any, Any]) -> OutputRule:
    """Without content type it never has one; JSON is never empty, and bytes are typed unless they are."""
    content_type = handler.options.content_type or handler.output.content_type
    return OutputRule(content_type, False, handler.output.schema())


def _options(options: ServiceOptions, documentation: str | None) -> Options:
    return Options(
        documentation=documentation,
        metadata=tuple((options.metadata or {}).items()),
        inactivity_timeout_ms=_ms(options.inactivity_timeout),
        abort_timeout_ms=_ms(options.abort_timeout),
        journal_retention_ms=_ms(options.journal_retention),
        idempotency_retention_ms=_ms(options.idempotency_retention),
        enable_lazy_state=options.lazy_state,
        ingress_private=options.private,
        retry_policy=_retry(options.retry),
    )


def _retry(retry: InvocationRetry | None) -> RetryPolicyManifest:
    if retry is None:
        return RetryPolicyManifest()
    return RetryPolicyManifest(
        initial_interval_ms=_ms(retry.initial_interval),
        max_interval_ms=_ms(retry.max_interval),
        max_attempts=retry.max_attempts,
        exponentiation_factor=retry.factor,
        on_max_attempts=None
        if retry.on_max_attempts is None
        else OnMaxAttempts(retry.on_max_attempts.upper()),
    )


def _ms(value: Duration | None) -> int | None:
    return None if value is None else duration_ms(value, "duration")
