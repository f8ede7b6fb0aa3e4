"""The discovery manifest: what a deployment says it serves, read and checked once, at registration.

Everything after registration relies on what is checked here (protocol, "Discovery"): names that are safe in
paths and ids, kinds of services and handlers that fit together, options only where they mean something.
Unknown fields are ignored and null means absent, since SDKs are newer than servers as often as not. Durations
are milliseconds.

The result is frozen and holds every default that the manifest itself implies (a handler of an object is
exclusive unless it says otherwise), but no server defaults: None means that the deployment did not say.
"""

import re
from dataclasses import dataclass
from enum import StrEnum

from holdfast.protocol.errors import ManifestError, UnsupportedVersion
from holdfast.protocol.manifest_json import JsonObject, check_schema, read_object
from holdfast.protocol.versions import VERSION_MAX, VERSION_MIN, negotiate

_MANIFEST_VERSIONS = range(1, 5)
_CONTENT_TYPES = {f"application/vnd.restate.endpointmanifest.v{n}+json": n for n in _MANIFEST_VERSIONS}

DISCOVERY_ACCEPT = ", ".join(_CONTENT_TYPES)
"""The accept header of a discovery request: explicit media types, oldest first, as SDKs expect."""

_INT32_MAX = 2**31 - 1
SERVICE_NAME = re.compile(r"([a-zA-Z]|_[a-zA-Z0-9])[a-zA-Z0-9._-]*", re.ASCII)
HANDLER_NAME = re.compile(r"([a-zA-Z]|_[a-zA-Z0-9])[a-zA-Z0-9_]*", re.ASCII)
_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_MEDIA_TYPE = re.compile(rf"{_TOKEN}/{_TOKEN}[ \t]*(;[ -~\t]*)?", re.ASCII)

# These reported a newer maximum than they implement (protocol, "What to validate").
_OVER_REPORTING_SDK = re.compile(r"restate-sdk-typescript/1\.[012]\.\d+")


class ServiceType(StrEnum):
    """Plain service, virtual object (one key, one state), workflow (one run per key)."""

    SERVICE = "SERVICE"
    VIRTUAL_OBJECT = "VIRTUAL_OBJECT"
    WORKFLOW = "WORKFLOW"


class HandlerType(StrEnum):
    """Whether a keyed handler holds its key: EXCLUSIVE and WORKFLOW do, SHARED does not."""

    WORKFLOW = "WORKFLOW"
    EXCLUSIVE = "EXCLUSIVE"
    SHARED = "SHARED"


class ProtocolMode(StrEnum):
    """Whether an attempt's request stays open for notifications."""

    BIDI_STREAM = "BIDI_STREAM"
    REQUEST_RESPONSE = "REQUEST_RESPONSE"


class OnMaxAttempts(StrEnum):
    """What happens to an invocation whose retries are used up."""

    PAUSE = "PAUSE"
    KILL = "KILL"


HANDLER_TYPES: dict[ServiceType, tuple[HandlerType | None, ...]] = {
    ServiceType.SERVICE: (None,),
    ServiceType.VIRTUAL_OBJECT: (HandlerType.EXCLUSIVE, HandlerType.SHARED),
    ServiceType.WORKFLOW: (HandlerType.WORKFLOW, HandlerType.SHARED),
}
"""The handler types each service type allows, its default first."""


@dataclass(slots=True, frozen=True)
class InputRule:
    """What a handler accepts at ingress.

    No rule at all accepts anything; a rule without content type accepts only requests without body and
    content type (protocol, "Manifest").
    """

    required: bool = False
    content_type: str | None = None
    json_schema: object = None


@dataclass(slots=True, frozen=True)
class OutputRule:
    """What content type a handler's output gets; without one, never any. No rule at all means JSON when non-
    empty.
    """

    content_type: str | None = None
    set_content_type_if_empty: bool = False
    json_schema: object = None


@dataclass(slots=True, frozen=True)
class RetryPolicyManifest:
    """The parts of a retry policy that the deployment set; intervals in ms."""

    initial_interval_ms: int | None = None
    max_interval_ms: int | None = None
    max_attempts: int | None = None
    exponentiation_factor: float | None = None
    on_max_attempts: OnMaxAttempts | None = None


@dataclass(slots=True, frozen=True)
class Options:
    """What can be set on a service and again on each of its handlers; None leaves it to the level above."""

    documentation: str | None = None
    metadata: tuple[tuple[str, str], ...] = ()
    inactivity_timeout_ms: int | None = None
    abort_timeout_ms: int | None = None
    journal_retention_ms: int | None = None
    idempotency_retention_ms: int | None = None
    enable_lazy_state: bool | None = None
    ingress_private: bool | None = None
    retry_policy: RetryPolicyManifest = RetryPolicyManifest()


@dataclass(slots=True, frozen=True)
class HandlerManifest:
    """One handler. `type` is None exactly for handlers of plain services."""

    name: str
    type: HandlerType | None = None
    input: InputRule | None = None
    output: OutputRule | None = None
    options: Options = Options()
    workflow_completion_retention_ms: int | None = None


@dataclass(slots=True, frozen=True)
class ServiceManifest:
    """One service and its handlers, in the manifest's order."""

    name: str
    type: ServiceType
    handlers: tuple[HandlerManifest, ...] = ()
    options: Options = Options()


@dataclass(slots=True, frozen=True)
class Manifest:
    """What a deployment serves and how it speaks."""

    protocol_mode: ProtocolMode
    min_protocol_version: int
    max_protocol_version: int
    services: tuple[ServiceManifest, ...] = ()
    lambda_compression: str | None = None
    manifest_version: int = 4


def parse_manifest(
    content_type: str,
    body: bytes,
    *,
    sdk_version: str | None = None,
    over_lambda: bool = False,
    server_min: int = VERSION_MIN,
    server_max: int = VERSION_MAX,
) -> Manifest:
    """Reads and checks the answer to a discovery request.

    Args:
        content_type: of the response; must be one of those in `DISCOVERY_ACCEPT`, without parameters.
        sdk_version: the response's `x-restate-server`, when it had one.
        over_lambda: the answer came from a function invocation, which cannot stream.
        server_min, server_max: protocol versions the server is willing to use.
    Raises:
        ManifestError: META0013 not a valid manifest; META0005 a reserved service name; META0012 no protocol
            version in common; META0015 streaming claimed where it cannot work.
    """
    manifest_version = _CONTENT_TYPES.get(content_type)
    if manifest_version is None:
        raise ManifestError(
            "META0013",
            f"discovery answered with content type {content_type[:200]!r}; "
            f"expected one of {DISCOVERY_ACCEPT}. Is this the address of an SDK endpoint?",
        )
    root = read_object(body)
    mode = root.choice("protocolMode", ProtocolMode)
    if mode is None:
        raise root.error("protocolMode", "is missing; expected BIDI_STREAM or REQUEST_RESPONSE")
    if over_lambda and mode is ProtocolMode.BIDI_STREAM:
        raise ManifestError("META0015", "a Lambda function cannot stream; expected REQUEST_RESPONSE")
    version_min = root.required_integer("minProtocolVersion", 1, _INT32_MAX)
    version_max = root.required_integer("maxProtocolVersion", 1, _INT32_MAX)
    if version_min > version_max:
        raise root.error("minProtocolVersion", f"is {version_min}, above maxProtocolVersion {version_max}")
    if sdk_version is not None and _OVER_REPORTING_SDK.match(sdk_version):
        version_min = version_max = 1
    try:
        negotiate(server_min, server_max, version_min, version_max)
    except UnsupportedVersion as error:
        raise ManifestError("META0012", error.message) from error
    services = tuple([_service(item) for item in root.objects("services")])
    _check_unique(root, "services", [service.name for service in services])
    return Manifest(
        mode, version_min, version_max, services, root.text("lambdaCompression"), manifest_version
    )


def is_reserved(service_name: str) -> bool:
    """Whether no deployment may use this name for a service (protocol, "What to validate")."""
    lowered = service_name.lower()
    return lowered.startswith("restate") or lowered == "openapi"


def _service(item: JsonObject) -> ServiceManifest:
    name = item.required_text("name")
    if not SERVICE_NAME.fullmatch(name):
        raise item.error("name", f"is {name[:200]!r}; expected letters, digits and ._- with a letter first")
    if is_reserved(name):
        raise ManifestError("META0005", f"service name {name!r} is reserved; choose another")
    type_ = item.choice("ty", ServiceType)
    if type_ is None:
        raise item.error("ty", f"is missing; expected one of {', '.join(ServiceType)}")
    options = _options(item)
    handlers = tuple([_handler(handler, type_, options) for handler in item.objects("handlers")])
    _check_unique(item, "handlers", [handler.name for handler in handlers])
    return ServiceManifest(name, type_, handlers, options)


def _handler(item: JsonObject, service_type: ServiceType, service: Options) -> HandlerManifest:
    name = item.required_text("name")
    if not HANDLER_NAME.fullmatch(name):
        raise item.error("name", f"is {name[:200]!r}; expected letters, digits and '_', a letter first")
    allowed = HANDLER_TYPES[service_type]
    type_ = item.choice("ty", HandlerType) or allowed[0]
    if service_type is ServiceType.SERVICE and type_ is HandlerType.SHARED:
        type_ = None  # What generated code of the Java and Kotlin SDKs says; there is no key to share.
    if type_ not in allowed:
        raise item.error("ty", f"is {type_}, which a {service_type} cannot have")
    options = _options(item)
    if service.ingress_private and options.ingress_private is False:
        raise item.error("ingressPrivate", "is false inside a private service; make the service public")
    completion_retention_ms = item.duration("workflowCompletionRetention")
    if type_ is HandlerType.WORKFLOW:
        if options.idempotency_retention_ms is not None:
            raise item.error("idempotencyRetention", "does not apply here; use workflowCompletionRetention")
    elif completion_retention_ms is not None:
        raise item.error("workflowCompletionRetention", "applies only to the WORKFLOW handler of a workflow")
    return HandlerManifest(
        name,
        type_,
        _input(item.object("input")),
        _output(item.object("output")),
        options,
        completion_retention_ms,
    )


def _input(item: JsonObject | None) -> InputRule | None:
    if item is None:
        return None
    return InputRule(item.flag("required") or False, _content_type(item), check_schema(item, "jsonSchema"))


def _output(item: JsonObject | None) -> OutputRule | None:
    if item is None:
        return None
    if_empty = item.flag("setContentTypeIfEmpty") or False
    return OutputRule(_content_type(item), if_empty, check_schema(item, "jsonSchema"))


def _content_type(item: JsonObject) -> str | None:
    content_type = item.text("contentType")
    if content_type is not None and not _MEDIA_TYPE.fullmatch(content_type):
        raise item.error("contentType", f"is {content_type[:200]!r}; expected one like application/json")
    return content_type


def _options(item: JsonObject) -> Options:
    return Options(
        documentation=item.text("documentation"),
        metadata=item.text_map("metadata"),
        inactivity_timeout_ms=item.duration("inactivityTimeout"),
        abort_timeout_ms=item.duration("abortTimeout"),
        journal_retention_ms=item.duration("journalRetention"),
        idempotency_retention_ms=item.duration("idempotencyRetention"),
        enable_lazy_state=item.flag("enableLazyState"),
        ingress_private=item.flag("ingressPrivate"),
        retry_policy=RetryPolicyManifest(
            item.duration("retryPolicyInitialInterval"),
            item.duration("retryPolicyMaxInterval"),
            item.integer("retryPolicyMaxAttempts", 0, _INT32_MAX),
            item.number("retryPolicyExponentiationFactor"),
            item.choice("retryPolicyOnMaxAttempts", OnMaxAttempts),
        ),
    )


def _check_unique(item: JsonObject, field: str, names: list[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise item.error(field, f"has {name!r} twice")
        seen.add(name)
