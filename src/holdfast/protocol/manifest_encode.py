"""The discovery manifest written: the nouns of `manifest` as the JSON of a manifest version.

Law: what `parse_manifest` reads from it is what was written. A manifest version knows only the fields of its
time (protocol, "Manifest"); what it has no field for is an error, never left out, since a deployment whose
retries or privacy were silently dropped would be registered and look right.
"""

import json

from holdfast.protocol.errors import ManifestError, UnsupportedVersion
from holdfast.protocol.manifest import (
    HandlerManifest,
    HandlerType,
    InputRule,
    Manifest,
    Options,
    OutputRule,
    RetryPolicyManifest,
    ServiceManifest,
    ServiceType,
)

MANIFEST_CONTENT_TYPES = {n: f"application/vnd.restate.endpointmanifest.v{n}+json" for n in range(1, 5)}
"""Manifest version to media type."""

_SINCE = {
    "documentation": 2,
    "metadata": 2,
    "inactivityTimeout": 3,
    "abortTimeout": 3,
    "journalRetention": 3,
    "idempotencyRetention": 3,
    "workflowCompletionRetention": 3,
    "enableLazyState": 3,
    "ingressPrivate": 3,
    "retryPolicyInitialInterval": 4,
    "retryPolicyMaxInterval": 4,
    "retryPolicyMaxAttempts": 4,
    "retryPolicyExponentiationFactor": 4,
    "retryPolicyOnMaxAttempts": 4,
    "lambdaCompression": 4,
}
"""The manifest version that has a field first, for those not in all (protocol, "Manifest")."""

_ONLY_SHOWN = frozenset({"documentation", "metadata"})
"""What changes nothing about how a service runs."""

# A handler of a keyed service without a type is one of these.
_IMPLIED_TYPES = {
    ServiceType.SERVICE: None,
    ServiceType.VIRTUAL_OBJECT: HandlerType.EXCLUSIVE,
    ServiceType.WORKFLOW: HandlerType.WORKFLOW,
}


def choose_manifest_version(accept: str) -> int:
    """The newest manifest version that the accept header of a discovery request names.

    Raises:
        UnsupportedVersion: it names none; an endpoint answers 415. Wildcards name none: who does not know the
            media types could not read the answer.
    """
    asked = {item.partition(";")[0].strip().lower() for item in accept.split(",")}
    versions = [n for n, content_type in MANIFEST_CONTENT_TYPES.items() if content_type in asked]
    if not versions:
        given = f"accept is {accept[:200]!r}" if accept.strip() else "there is no accept header"
        raise UnsupportedVersion(
            f"discovery: {given}; expected one or more of {', '.join(MANIFEST_CONTENT_TYPES.values())}"
        )
    return max(versions)


def encode_manifest(manifest: Manifest) -> bytes:
    """The JSON of a manifest, in the version `manifest.manifest_version`.

    Fields that say nothing are left out. Documentation and metadata are left out where the version has no
    fields for them, since they are only shown.

    Raises:
        ManifestError: META0013, an option that this version has no field for.
        ValueError: a JSON schema that is not JSON.
    """
    version = manifest.manifest_version
    fields: dict[str, object] = {
        "protocolMode": str(manifest.protocol_mode),
        "minProtocolVersion": manifest.min_protocol_version,
        "maxProtocolVersion": manifest.max_protocol_version,
        "services": [_service(service, version) for service in manifest.services],
    }
    if manifest.lambda_compression is not None:
        fields |= _known({"lambdaCompression": manifest.lambda_compression}, version, "the deployment")
    return json.dumps(fields, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def _service(service: ServiceManifest, version: int) -> dict[str, object]:
    return {
        "name": service.name,
        "ty": str(service.type),
        "handlers": [_handler(handler, service, version) for handler in service.handlers],
        **_known(_options(service.options), version, f"service {service.name}"),
    }


def _handler(handler: HandlerManifest, service: ServiceManifest, version: int) -> dict[str, object]:
    fields: dict[str, object] = {"name": handler.name}
    type_ = handler.type or _IMPLIED_TYPES[service.type]
    if type_ is not None:
        fields["ty"] = str(type_)
    if handler.input is not None:
        fields["input"] = _input(handler.input)
    if handler.output is not None:
        fields["output"] = _output(handler.output)
    options = _options(handler.options)
    options["workflowCompletionRetention"] = handler.workflow_completion_retention_ms
    return fields | _known(options, version, f"handler {service.name}/{handler.name}")


def _input(rule: InputRule) -> dict[str, object]:
    if rule == InputRule():
        return {}
    return _present(
        {"required": rule.required, "contentType": rule.content_type, "jsonSchema": rule.json_schema}
    )


def _output(rule: OutputRule) -> dict[str, object]:
    if rule == OutputRule():
        return {}
    return _present(
        {
            "contentType": rule.content_type,
            "setContentTypeIfEmpty": rule.set_content_type_if_empty,
            "jsonSchema": rule.json_schema,
        }
    )


def _options(options: Options) -> dict[str, object]:
    return {
        "documentation": options.documentation,
        "metadata": dict(options.metadata) or None,
        "inactivityTimeout": options.inactivity_timeout_ms,
        "abortTimeout": options.abort_timeout_ms,
        "journalRetention": options.journal_retention_ms,
        "idempotencyRetention": options.idempotency_retention_ms,
        "enableLazyState": options.enable_lazy_state,
        "ingressPrivate": options.ingress_private,
        **_retry(options.retry_policy),
    }


def _retry(retry: RetryPolicyManifest) -> dict[str, object]:
    return {
        "retryPolicyInitialInterval": retry.initial_interval_ms,
        "retryPolicyMaxInterval": retry.max_interval_ms,
        "retryPolicyMaxAttempts": retry.max_attempts,
        "retryPolicyExponentiationFactor": retry.exponentiation_factor,
        "retryPolicyOnMaxAttempts": None if retry.on_max_attempts is None else str(retry.on_max_attempts),
    }


def _present(fields: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in fields.items() if value is not None}


def _known(fields: dict[str, object], version: int, whose: str) -> dict[str, object]:
    """The fields that say something; all of them must be known in this version, or only shown."""
    known: dict[str, object] = {}
    for name, value in _present(fields).items():
        since = _SINCE[name]
        if since <= version:
            known[name] = value
        elif name not in _ONLY_SHOWN:
            raise ManifestError(
                "META0013",
                f"{whose} sets {name}, which manifests have from version {since} on, but the server asks for "
                f"version {version} at most; upgrade the server, or remove the option",
            )
    return known
