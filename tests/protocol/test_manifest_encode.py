"""Manifests written are read back as the same, in every version; nothing is dropped in silence."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.protocol.errors import ManifestError, UnsupportedVersion
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
    is_reserved,
    parse_manifest,
)
from holdfast.protocol.manifest_encode import (
    MANIFEST_CONTENT_TYPES,
    choose_manifest_version,
    encode_manifest,
)
from protocol.vectors import load

milliseconds = st.none() | st.integers(0, 2**63 - 1)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
media_types = st.none() | st.sampled_from(["application/json", "*/*", "text/plain;charset=utf-8"])
schemas = st.sampled_from([None, True, {}, {"$ref": "#/$defs/A", "$defs": {"A": {"type": "string"}}}])
retries = st.builds(
    RetryPolicyManifest,
    milliseconds,
    milliseconds,
    st.none() | st.integers(0, 2**31 - 1),
    st.none() | st.floats(1, 100),
    st.none() | st.sampled_from(OnMaxAttempts),
)
options = st.builds(
    Options,
    st.none() | texts,
    st.dictionaries(texts, texts, max_size=3).map(lambda m: tuple(m.items())),
    *[milliseconds] * 4,
    st.none() | st.booleans(),
    st.none() | st.booleans(),
    retries,
)
names = st.from_regex(r"[a-zA-Z][a-zA-Z0-9_]{0,10}", fullmatch=True).filter(lambda n: not is_reserved(n))
HANDLER_TYPES = {
    ServiceType.SERVICE: [None],
    ServiceType.VIRTUAL_OBJECT: [HandlerType.EXCLUSIVE, HandlerType.SHARED],
    ServiceType.WORKFLOW: [HandlerType.WORKFLOW, HandlerType.SHARED],
}


@st.composite
def services(draw: st.DrawFn) -> ServiceManifest:
    type_ = draw(st.sampled_from(ServiceType))
    own = draw(options)
    handlers = []
    for name in draw(st.lists(names, unique=True, max_size=3)):
        kind = draw(st.sampled_from(HANDLER_TYPES[type_]))
        of_handler = draw(options)
        retention = None
        if kind is HandlerType.WORKFLOW:
            of_handler = replace(of_handler, idempotency_retention_ms=None)
            retention = draw(milliseconds)
        if own.ingress_private and of_handler.ingress_private is False:
            of_handler = replace(of_handler, ingress_private=None)
        input_ = draw(st.none() | st.builds(InputRule, st.booleans(), media_types, schemas))
        output = draw(st.none() | st.builds(OutputRule, media_types, st.booleans(), schemas))
        handlers.append(HandlerManifest(name, kind, input_, output, of_handler, retention))
    return ServiceManifest(draw(names), type_, tuple(handlers), own)


manifests = st.builds(
    Manifest,
    st.sampled_from(ProtocolMode),
    st.just(5),
    st.just(7),
    st.lists(services(), unique_by=lambda s: s.name, max_size=3).map(tuple),
    st.none() | st.just("zstd"),
)


@given(manifests)
def test_what_is_written_is_read(manifest: Manifest) -> None:
    assert parse_manifest(MANIFEST_CONTENT_TYPES[4], encode_manifest(manifest)) == manifest


@given(manifests, st.integers(1, 3))
def test_older_versions_say_the_same_or_refuse(manifest: Manifest, version: int) -> None:
    """Goal: only documentation and metadata may be missing. Method: compare with those taken out."""
    older = replace(manifest, manifest_version=version)
    try:
        body = encode_manifest(older)
    except ManifestError as error:
        refused = error.message
    else:
        read = parse_manifest(MANIFEST_CONTENT_TYPES[version], body)
        kept = older if version >= 2 else silent(older)
        assert replace(read, manifest_version=version) == kept
        return
    assert "upgrade the server, or remove the option" in refused


def silent(manifest: Manifest) -> Manifest:
    """Without documentation and metadata."""

    def quiet(options: Options) -> Options:
        return replace(options, documentation=None, metadata=())

    return replace(
        manifest,
        services=tuple(
            replace(
                service,
                options=quiet(service.options),
                handlers=tuple(replace(h, options=quiet(h.options)) for h in service.handlers),
            )
            for service in manifest.services
        ),
    )


@pytest.mark.parametrize("vector", load("discovery")["vectors"], ids=lambda v: v["description"][:30])
def test_manifests_of_official_sdks_survive(vector: dict[str, object]) -> None:
    body = json.dumps(vector["manifest"]).encode()
    read = parse_manifest(MANIFEST_CONTENT_TYPES[4], body)
    assert parse_manifest(MANIFEST_CONTENT_TYPES[4], encode_manifest(read)) == read


@pytest.mark.parametrize(
    ("accept", "version"),
    [
        (DISCOVERY_ACCEPT, 4),
        (MANIFEST_CONTENT_TYPES[1], 1),
        (MANIFEST_CONTENT_TYPES[2], 2),
        (f"{MANIFEST_CONTENT_TYPES[3]}, {MANIFEST_CONTENT_TYPES[2]};q=0.5", 3),
        (f"application/vnd.restate.endpointmanifest.v9+json,{MANIFEST_CONTENT_TYPES[4].upper()} ", 4),
    ],
)
def test_the_newest_version_asked_for_is_given(accept: str, version: int) -> None:
    assert choose_manifest_version(accept) == version


@pytest.mark.parametrize(
    "accept", ["", "*/*", "application/json", "application/vnd.restate.endpointmanifest.v9+json"]
)
def test_a_request_that_names_no_version_is_told_which_there_are(accept: str) -> None:
    with pytest.raises(UnsupportedVersion, match=r"endpointmanifest\.v4"):
        choose_manifest_version(accept)
