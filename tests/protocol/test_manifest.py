"""Manifests: what official SDKs send is understood; what cannot be served is refused, and says where."""

import base64
import copy
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.protocol.errors import ManifestError
from holdfast.protocol.manifest import (
    DISCOVERY_ACCEPT,
    HandlerType,
    InputRule,
    Manifest,
    OnMaxAttempts,
    OutputRule,
    ProtocolMode,
    ServiceType,
    parse_manifest,
)
from protocol.vectors import load

V4 = "application/vnd.restate.endpointmanifest.v4+json"
DISCOVERIES = load("discovery")["vectors"]


def parse(value: object, **options: Any) -> Manifest:
    return parse_manifest(V4, json.dumps(value).encode(), **options)


def manifest(service: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    """A small valid manifest, with fields replaced."""
    greeter = {"name": "Greeter", "ty": "SERVICE", "handlers": [{"name": "greet"}]}
    return {
        "protocolMode": "BIDI_STREAM",
        "minProtocolVersion": 5,
        "maxProtocolVersion": 7,
        "services": [greeter | (service or {})],
    } | fields


@pytest.mark.parametrize("vector", DISCOVERIES, ids=lambda vector: vector["description"])
def test_manifests_of_official_sdks(vector: dict[str, Any]) -> None:
    sent = vector["manifest"]
    parsed = parse(sent)
    assert (parsed.min_protocol_version, parsed.max_protocol_version) == (5, 7)
    assert parsed.protocol_mode.value == sent["protocolMode"]
    assert [service.name for service in parsed.services] == [service["name"] for service in sent["services"]]
    for service, sent_service in zip(parsed.services, sent["services"], strict=True):
        assert service.type.value == sent_service["ty"]
        names = [handler["name"] for handler in sent_service["handlers"]]
        assert [handler.name for handler in service.handlers] == names


def test_discovery_asks_as_the_real_server_does() -> None:
    asked = dict(DISCOVERIES[0]["request_headers"])
    assert asked["accept"] == DISCOVERY_ACCEPT


def test_a_lambda_manifest() -> None:
    discovered = next(v for v in load("lambda")["vectors"] if v["event"]["path"] == "/discover")
    result = discovered["result"]
    body = base64.b64decode(result["body"])
    parsed = parse_manifest(result["headers"]["content-type"], body, over_lambda=True)
    assert parsed.protocol_mode is ProtocolMode.REQUEST_RESPONSE


def test_every_option_is_read() -> None:
    options = {
        "documentation": "says hello",
        "metadata": {"team": "a", "none": None},
        "inactivityTimeout": 1,
        "abortTimeout": 2,
        "journalRetention": 3,
        "enableLazyState": True,
        "retryPolicyInitialInterval": 5,
        "retryPolicyMaxInterval": 6,
        "retryPolicyMaxAttempts": 7,
        "retryPolicyExponentiationFactor": 2,
        "retryPolicyOnMaxAttempts": "KILL",
    }
    run = {
        "name": "run",
        "ty": "WORKFLOW",
        "workflowCompletionRetention": 9,
        "input": {"required": True, "contentType": "application/*", "jsonSchema": {"$ref": "#/$defs/A"}},
        "output": {"contentType": "text/plain; charset=utf-8", "setContentTypeIfEmpty": True},
    }
    look = {"name": "look", "ty": "SHARED", "input": {}, "output": None, "idempotencyRetention": 8}
    service = {"ty": "WORKFLOW", "handlers": [run | options, look], "ingressPrivate": True}
    parsed = parse(manifest(service | options, lambdaCompression="zstd"))
    (flow,) = parsed.services
    assert (parsed.lambda_compression, parsed.manifest_version) == ("zstd", 4)
    assert flow.type is ServiceType.WORKFLOW
    assert flow.options.ingress_private is True
    first, second = flow.handlers
    for read in (flow.options, first.options):
        assert (read.documentation, read.metadata) == ("says hello", (("team", "a"),))
        assert (read.inactivity_timeout_ms, read.abort_timeout_ms, read.journal_retention_ms) == (1, 2, 3)
        assert read.enable_lazy_state is True
        policy = read.retry_policy
        assert (policy.initial_interval_ms, policy.max_interval_ms, policy.max_attempts) == (5, 6, 7)
        assert (policy.exponentiation_factor, policy.on_max_attempts) == (2.0, OnMaxAttempts.KILL)
    assert first.workflow_completion_retention_ms == 9
    assert first.input == InputRule(True, "application/*", {"$ref": "#/$defs/A"})
    assert first.output == OutputRule("text/plain; charset=utf-8", True, None)
    assert (second.type, second.input, second.output) == (HandlerType.SHARED, InputRule(), None)
    assert second.options.idempotency_retention_ms == 8


def test_handlers_are_exclusive_or_the_workflow_unless_they_say_otherwise() -> None:
    assert parse(manifest()).services[0].handlers[0].type is None
    for ty, expected in (("VIRTUAL_OBJECT", HandlerType.EXCLUSIVE), ("WORKFLOW", HandlerType.WORKFLOW)):
        assert parse(manifest({"ty": ty})).services[0].handlers[0].type is expected


def test_a_shared_handler_of_a_plain_service_is_a_plain_one() -> None:
    """Code generated by the Java SDK says SHARED for every handler that is not exclusive."""
    assert parse(manifest(handler(ty="SHARED"))) == parse(manifest(handler()))


def test_null_means_absent_and_unknown_fields_are_ignored() -> None:
    service = {"documentation": None, "retryPolicyMaxAttempts": None, "ingressPrivate": None, "color": "red"}
    assert parse(manifest(service, lambdaCompression=None, more=[1])) == parse(manifest())


def handler(**fields: Any) -> dict[str, Any]:
    return {"handlers": [{"name": "greet"} | fields]}


@pytest.mark.parametrize(
    ("wrong", "code", "problem"),
    [
        ([], "META0013", "is a list; expected an object"),
        (manifest(protocolMode=None), "META0013", "protocolMode is missing"),
        (manifest(protocolMode="HALF"), "META0013", "protocolMode is 'HALF'; expected one of BIDI_STREAM"),
        (manifest(minProtocolVersion=None), "META0013", "minProtocolVersion is missing"),
        (manifest(minProtocolVersion=True), "META0013", "minProtocolVersion is True"),
        (manifest(maxProtocolVersion=7.0), "META0013", "maxProtocolVersion is 7.0"),
        (manifest(maxProtocolVersion=2**31), "META0013", "maxProtocolVersion is 2147483648"),
        (manifest(minProtocolVersion=7, maxProtocolVersion=5), "META0013", "above maxProtocolVersion 5"),
        (manifest(minProtocolVersion=8, maxProtocolVersion=9), "META0012", "versions 8 to 9"),
        (manifest(minProtocolVersion=1, maxProtocolVersion=4), "META0012", "upgrade the older"),
        (manifest(services=None), "META0013", "services is missing; expected a list"),
        (manifest(services=[3]), "META0013", "services[0] is 3; expected an object"),
        (manifest(services=manifest()["services"] * 2), "META0013", "services has 'Greeter' twice"),
        (manifest({"name": "restateThing"}), "META0005", "'restateThing' is reserved"),
        (manifest({"name": "OpenAPI"}), "META0005", "reserved"),
        (manifest({"name": "a/b"}), "META0013", "services[0].name is 'a/b'"),
        (manifest({"name": "a\n"}), "META0013", "services[0].name is"),
        (manifest({"name": "_"}), "META0013", "services[0].name is"),
        (manifest({"name": None}), "META0013", "services[0].name is missing"),
        (manifest({"ty": None}), "META0013", "services[0].ty is missing"),
        (manifest({"handlers": None}), "META0013", "services[0].handlers is missing"),
        (manifest({"metadata": {"a": 1}}), "META0013", "services[0].metadata.a is 1; expected text"),
        (manifest({"metadata": []}), "META0013", "services[0].metadata is a list; expected an object"),
        (manifest({"abortTimeout": -1}), "META0013", "services[0].abortTimeout is -1"),
        (manifest({"ingressPrivate": 1}), "META0013", "services[0].ingressPrivate is 1; expected true or"),
        (manifest({"handlers": [{"name": "a"}] * 2}), "META0013", "services[0].handlers has 'a' twice"),
        (manifest(handler(name="a.b")), "META0013", "services[0].handlers[0].name is 'a.b'"),
        (manifest(handler(ty="EXCLUSIVE")), "META0013", "handlers[0].ty is EXCLUSIVE, which a SERVICE"),
        (manifest(handler(ty="WORKFLOW") | {"ty": "VIRTUAL_OBJECT"}), "META0013", "ty is WORKFLOW"),
        (manifest(handler(ty="EXCLUSIVE") | {"ty": "WORKFLOW"}), "META0013", "ty is EXCLUSIVE"),
        (manifest(handler(workflowCompletionRetention=1)), "META0013", "only to the WORKFLOW handler"),
        (
            manifest(handler(idempotencyRetention=1) | {"ty": "WORKFLOW"}),
            "META0013",
            "use workflowCompletionRetention",
        ),
        (
            manifest(handler(ingressPrivate=False) | {"ingressPrivate": True}),
            "META0013",
            "inside a private service",
        ),
        (manifest(handler(input=[])), "META0013", "handlers[0].input is a list"),
        (manifest(handler(input={"contentType": "json"})), "META0013", "input.contentType is 'json'"),
        (manifest(handler(output={"contentType": "a/b\r\nx: y"})), "META0013", "output.contentType is"),
        (manifest(handler(input={"jsonSchema": 5})), "META0013", "input.jsonSchema is 5"),
        (
            manifest(handler(input={"jsonSchema": {"items": [{"$ref": "http://x/y.json"}]}})),
            "META0013",
            "refers to 'http://x/y.json'",
        ),
        (manifest(handler(retryPolicyExponentiationFactor=0)), "META0013", "expected a positive number"),
        (manifest(handler(retryPolicyExponentiationFactor=10**400)), "META0013", "is a huge number"),
        (manifest(handler(retryPolicyOnMaxAttempts="STOP")), "META0013", "expected one of PAUSE, KILL"),
    ],
)
def test_what_cannot_be_served_is_refused_and_says_where(wrong: object, code: str, problem: str) -> None:
    with pytest.raises(ManifestError) as refusal:
        parse(wrong)
    assert refusal.value.code == code
    assert problem in refusal.value.message


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe", b'{"minProtocolVersion": NaN}', b"[" * 100_000])
def test_what_is_not_json_is_refused(body: bytes) -> None:
    with pytest.raises(ManifestError, match="is not JSON") as refusal:
        parse_manifest(V4, body)
    assert refusal.value.code == "META0013"


@pytest.mark.parametrize(
    "content_type", ["application/json", V4 + "; charset=utf-8", "", V4.replace("4", "5")]
)
def test_another_content_type_is_not_a_manifest(content_type: str) -> None:
    with pytest.raises(ManifestError, match="Is this the address of an SDK endpoint"):
        parse_manifest(content_type, json.dumps(manifest()).encode())


def test_every_offered_content_type_is_accepted() -> None:
    offered = DISCOVERY_ACCEPT.split(", ")
    versions = [parse_manifest(t, json.dumps(manifest()).encode()).manifest_version for t in offered]
    assert versions == [1, 2, 3, 4]


def test_a_function_that_claims_to_stream_is_refused() -> None:
    with pytest.raises(ManifestError, match="cannot stream") as refusal:
        parse(manifest(), over_lambda=True)
    assert refusal.value.code == "META0015"


def test_old_sdks_that_over_report_are_not_believed() -> None:
    with pytest.raises(ManifestError, match="versions 1 to 1"):
        parse(manifest(), sdk_version="restate-sdk-typescript/1.2.0")
    parse(manifest(), sdk_version="restate-sdk-typescript/1.17.2")


def test_a_schema_may_refer_to_itself_and_mention_anything() -> None:
    schema = {
        "$id": "https://example.com/a.json",
        "properties": {"x": {"$ref": "https://example.com/a.json#/$defs/X"}, "$ref": {"type": "string"}},
        "examples": [{"$ref": "http://elsewhere"}],
        "$defs": {"X": True},
    }
    parsed = parse(manifest(handler(input={"contentType": "application/json", "jsonSchema": schema})))
    rule = parsed.services[0].handlers[0].input
    assert rule is not None
    assert rule.json_schema == schema


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(data=st.data(), value=json_values)
@settings(max_examples=300)
def test_any_value_anywhere_is_accepted_or_refused(data: st.DataObject, value: object) -> None:
    """Goal: a strange manifest never breaks registration. Method: replace one value of a real one."""
    wrong = copy.deepcopy(data.draw(st.sampled_from([vector["manifest"] for vector in DISCOVERIES])))
    node: Any = wrong
    while True:
        key = data.draw(st.sampled_from(sorted(node) if isinstance(node, dict) else range(len(node))))
        child = node[key]
        if not isinstance(child, dict | list) or not child or data.draw(st.integers(0, 4)) == 0:
            node[key] = value
            break
        node = child
    try:
        parse(wrong)
    except ManifestError as error:
        assert error.code in {"META0005", "META0012", "META0013"}  # noqa: PT017
