"""What services say about themselves when their deployment is registered."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from pydantic import BaseModel

from holdfast import (
    Context,
    InvocationRetry,
    ObjectContext,
    Service,
    SharedObjectContext,
    UsageError,
    VirtualObject,
    Workflow,
    WorkflowContext,
)
from holdfast.protocol.errors import UnsupportedVersion
from holdfast.protocol.manifest import (
    DISCOVERY_ACCEPT,
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
    ServiceType,
    parse_manifest,
)
from holdfast.sdk.discovery import discover, manifest_of
from holdfast.sdk.handlers import ServiceDefinition

TEXT = {"type": "string"}
V2 = "application/vnd.restate.endpointmanifest.v2+json"
V3 = "application/vnd.restate.endpointmanifest.v3+json"


@dataclass
class User:
    name: str


class Model(BaseModel):
    users: list[str]


def answer(*services: ServiceDefinition, accept: str = DISCOVERY_ACCEPT) -> Manifest:
    content_type, body = discover(services, accept, bidirectional=True)
    return parse_manifest(content_type, body)


def greeter() -> Service:
    service = Service("Greeter", documentation="Greets.", metadata={"team": "a"})

    @service.handler
    async def greet(ctx: Context, name: str) -> str:
        """Says hello."""
        return name

    return service


def test_a_service_and_its_handler() -> None:
    manifest = answer(greeter())
    assert (manifest.min_protocol_version, manifest.max_protocol_version) == (5, 7)
    assert manifest.protocol_mode is ProtocolMode.BIDI_STREAM
    assert manifest.services == (
        ServiceManifest(
            "Greeter",
            ServiceType.SERVICE,
            (
                HandlerManifest(
                    "greet",
                    None,
                    InputRule(True, "application/json", TEXT),
                    OutputRule("application/json", False, TEXT),
                    Options(documentation="Says hello."),
                ),
            ),
            Options(documentation="Greets.", metadata=(("team", "a"),)),
        ),
    )


def test_every_option_is_told() -> None:
    counter = VirtualObject(
        "Counter",
        inactivity_timeout=timedelta(minutes=1),
        abort_timeout=30,
        journal_retention=1.5,
        idempotency_retention=timedelta(days=1),
        lazy_state=True,
        private=False,
        retry=InvocationRetry(
            initial_interval=0.05, max_interval=10, factor=2, max_attempts=5, on_max_attempts="pause"
        ),
    )

    @counter.handler(private=True, retry=InvocationRetry(on_max_attempts="kill"), lazy_state=False)
    async def add(ctx: ObjectContext, by: int) -> int:
        return by

    (service,) = answer(counter).services
    assert service.options == Options(
        inactivity_timeout_ms=60_000,
        abort_timeout_ms=30_000,
        journal_retention_ms=1_500,
        idempotency_retention_ms=86_400_000,
        enable_lazy_state=True,
        ingress_private=False,
        retry_policy=RetryPolicyManifest(50, 10_000, 5, 2, OnMaxAttempts.PAUSE),
    )
    assert service.handlers[0].options == Options(
        enable_lazy_state=False,
        ingress_private=True,
        retry_policy=RetryPolicyManifest(on_max_attempts=OnMaxAttempts.KILL),
    )


def test_inputs_and_outputs() -> None:
    """Goal: ingress refuses what the handler could not read, and nothing else (protocol, "Manifest")."""
    service = VirtualObject("Rules")

    @service.shared
    async def nothing(ctx: SharedObjectContext) -> None: ...

    @service.shared
    async def raw(ctx: SharedObjectContext, data: bytes) -> bytes:
        return data

    @service.shared
    async def optional(ctx: SharedObjectContext, name: str | None) -> None: ...

    @service.shared
    async def with_default(ctx: SharedObjectContext, name: str = "you") -> None: ...

    @service.shared
    async def anything(ctx: SharedObjectContext, data: Any) -> Any:
        return data

    @service.shared(accept="*/*", content_type="image/png")
    async def other_types(ctx: SharedObjectContext, data: bytes) -> bytes:
        return data

    rules = {
        handler.name: (handler.input, handler.output) for handler in answer(service).services[0].handlers
    }
    json, octets = "application/json", "application/octet-stream"
    optional_text = {"anyOf": [TEXT, {"type": "null"}]}
    assert rules == {
        "nothing": (InputRule(), OutputRule()),
        "raw": (InputRule(False, octets), OutputRule(octets)),
        "optional": (InputRule(False, json, optional_text), OutputRule()),
        "with_default": (InputRule(False, json, TEXT), OutputRule()),
        "anything": (InputRule(True, json, {}), OutputRule(json, False, {})),
        "other_types": (InputRule(False, "*/*"), OutputRule("image/png")),
    }


def test_schemas_stay_inside_the_document() -> None:
    service = Service("Schemas")

    @service.handler
    async def by_model(ctx: Context, model: Model) -> list[User]:
        return [User(name) for name in model.users]

    (handler,) = answer(service).services[0].handlers
    assert handler.input is not None
    assert handler.output is not None
    assert handler.input.json_schema["properties"]["users"]["items"] == TEXT  # type: ignore[index]
    assert handler.output.json_schema["items"] == {"$ref": "#/$defs/User"}  # type: ignore[index]
    assert handler.output.json_schema["$defs"]["User"]["required"] == ["name"]  # type: ignore[index]


def test_workflow_retention_of_the_workflow_is_that_of_its_main_handler() -> None:
    flow = Workflow("Flow", workflow_retention=60)

    @flow.main
    async def run(ctx: WorkflowContext) -> None: ...

    @flow.shared
    async def peek() -> None: ...

    main, shared = answer(flow).services[0].handlers
    assert (main.type, main.workflow_completion_retention_ms) == (HandlerType.WORKFLOW, 60_000)
    assert (shared.type, shared.workflow_completion_retention_ms) == (HandlerType.SHARED, None)


def test_reading_it_gives_what_was_said() -> None:
    """Goal: no field is lost on the way. Method: the nouns before and after the wire."""
    services = [greeter()]
    for bidirectional in (True, False):
        content_type, body = discover(services, DISCOVERY_ACCEPT, bidirectional)
        assert parse_manifest(content_type, body) == manifest_of(services, bidirectional)


def test_the_newest_version_asked_for_is_given() -> None:
    content_type, _ = discover([greeter()], f"{V2}, {V3}", True)
    assert content_type == V3
    with pytest.raises(UnsupportedVersion):
        discover([greeter()], "*/*", True)


def test_an_older_server_is_not_told_less_in_silence() -> None:
    service = greeter()

    @service.handler(retry=InvocationRetry(max_attempts=3))
    async def careful(ctx: Context) -> None: ...

    with pytest.raises(UsageError, match="handler Greeter/careful sets retryPolicyMaxAttempts") as refused:
        discover([service], V3, True)
    assert refused.value.code == "bad_manifest"


class Foreign:
    """A serde of one's own, whose schema points elsewhere."""

    content_type = "application/json"

    def serialize(self, value: str, /) -> bytes:
        return value.encode()

    def deserialize(self, data: bytes, /) -> str:
        return data.decode()

    def schema(self) -> dict[str, object] | None:
        return {"$ref": "https://example.com/schema.json"}


def test_what_a_server_would_refuse_is_refused_here() -> None:
    service = Service("Foreign")

    @service.handler(output_serde=Foreign())
    async def give(ctx: Context) -> str:
        return "x"

    with pytest.raises(UsageError, match="a schema must hold all it refers to"):
        discover([service], DISCOVERY_ACCEPT, True)
    other = Service("Media")

    @other.handler(content_type="not a media type")
    async def odd(ctx: Context) -> str:
        return "x"

    with pytest.raises(UsageError, match="contentType"):
        discover([other], DISCOVERY_ACCEPT, True)


def test_a_function_on_lambda_does_not_stream() -> None:
    content_type, body = discover([greeter()], DISCOVERY_ACCEPT, False, lambda_compression="zstd")
    manifest = parse_manifest(content_type, body, over_lambda=True)
    assert manifest.lambda_compression == "zstd"
