"""Asking deployments: what is sent, what is tried again, and each way an answer can be unusable."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from protocol.vectors import load

from holdfast.catalog.contents import Discovered
from holdfast.catalog.discovery import ATTEMPTS_MAX, Discovery
from holdfast.catalog.errors import DiscoveryError
from holdfast.invoker.http.api import Endpoint, RequestFailed, Response, TransportFailure
from holdfast.protocol.errors import ManifestError
from holdfast.protocol.identity import RequestSigner, RequestVerifier

from .support import CONTENT_TYPE, handler, manifest, service

NOW_S = 1_795_370_396
VECTORS = load("discovery")["vectors"]
UNREACHABLE = RequestFailed(TransportFailure("svc:9080 cannot be reached: refused (META0003)", False, None))
ONLY_HTTP11 = RequestFailed(TransportFailure("not HTTP/2 (META0014): use_http_11", False, None))


def ok(body: bytes, content_type: str = CONTENT_TYPE, http_version: str = "HTTP/2.0") -> Response:
    return Response(200, {"content-type": content_type, "x-restate-server": "sdk/1"}, body, http_version)


class Answers:
    """A deployment that gives these answers in turn, the last one for ever; None never answers."""

    def __init__(self, *answers: Response | RequestFailed | None) -> None:
        self._answers = list(answers)
        self.paths: list[str] = []
        self.headers: list[list[tuple[str, str]]] = []

    async def request(
        self,
        endpoint: Endpoint,
        method: str,
        path: str,
        headers: Sequence[tuple[str, str]],
        body: bytes = b"",
        *,
        timeout_s: float,
        max_body_bytes: int,
    ) -> Response:
        assert (method, body) == ("GET", b"")
        self.paths.append(path)
        self.headers.append(list(headers))
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if answer is None:
            await asyncio.Event().wait()
        if isinstance(answer, RequestFailed):
            raise answer
        assert answer is not None
        return answer


def discover(
    answers: Answers,
    *,
    uri: str = "http://svc:9080/base",
    http11: bool = False,
    signer: RequestSigner | None = None,
    headers: tuple[tuple[str, str], ...] | None = None,
    deadline_s: float = 10.0,
) -> Discovered:
    discovery = Discovery(answers, lambda: NOW_S, signer=signer, first_pause_s=0.0, deadline_s=deadline_s)
    return asyncio.run(discovery.discover(Endpoint.parse(uri, http11), headers=headers))


def test_the_request_is_what_official_sdks_expect() -> None:
    answers = Answers(ok(manifest(service("S"))))
    found = discover(answers, headers=(("authorization", "Bearer x"),))
    sent = dict(answers.headers[0])
    captured = dict(VECTORS[0]["request_headers"])
    assert {name: captured[name] for name in ("accept", "x-restate-cluster-name")} == {
        name: sent[name] for name in ("accept", "x-restate-cluster-name")
    }
    assert sent["authorization"] == "Bearer x"
    assert answers.paths == ["/discover"], "the client adds the endpoint's base path"
    assert (found.uri, found.http_version, found.sdk_version) == (
        "http://svc:9080/base/",
        "HTTP/2.0",
        "sdk/1",
    )
    assert found.headers == (("authorization", "Bearer x"),)


def test_the_request_is_signed_when_there_is_a_key() -> None:
    signer = RequestSigner(Ed25519PrivateKey.generate())
    answers = Answers(ok(manifest(service("S"))))
    discover(answers, signer=signer)
    RequestVerifier([signer.public_key_text]).verify(answers.headers[0], "/base/discover", NOW_S)


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["description"][:30])
def test_manifests_of_official_sdks_are_understood(vector: dict[str, object]) -> None:
    http11 = "1.1" in str(vector["description"])
    body = json.dumps(vector["manifest"]).encode()
    assert discover(Answers(ok(body)), http11=http11).manifest.services


@pytest.mark.parametrize("spoken", ["HTTP/1.1", "HTTP/2.0"])
def test_the_deployment_is_known_by_the_version_it_spoke(spoken: str) -> None:
    """Over TLS it chooses: one that may use HTTP/2 can have answered in HTTP/1.1."""
    answers = Answers(ok(manifest(service("S")), http_version=spoken))
    assert discover(answers, uri="https://svc/", http11=False).http_version == spoken


@pytest.mark.parametrize(
    "failure", [UNREACHABLE, *(Response(s, {}, b"", "HTTP/2.0") for s in (408, 429, 500, 502, 503, 504))]
)
def test_a_deployment_that_is_still_starting_is_asked_again(failure: Response | RequestFailed) -> None:
    answers = Answers(failure, failure, ok(manifest(service("S"))))
    assert discover(answers).manifest.services[0].name == "S"
    assert len(answers.paths) == 3


@pytest.mark.parametrize("failure", [UNREACHABLE, Response(503, {}, b"", "HTTP/2.0")])
def test_patience_ends(failure: Response | RequestFailed) -> None:
    answers = Answers(failure)
    with pytest.raises(DiscoveryError) as refused:
        discover(answers)
    assert refused.value.code == "META0003"
    assert len(answers.paths) == ATTEMPTS_MAX


def test_a_deployment_that_hangs_is_given_up() -> None:
    with pytest.raises(DiscoveryError, match="no answer") as refused:
        discover(Answers(None), deadline_s=0.05)
    assert refused.value.code == "META0003"


@pytest.mark.parametrize("status", [301, 401, 404])
def test_other_statuses_are_final_and_shown(status: int) -> None:
    answers = Answers(Response(status, {}, b"nothing \xff here", "HTTP/2.0"))
    with pytest.raises(DiscoveryError, match=f"status {status}.*nothing") as refused:
        discover(answers)
    assert refused.value.code == "META0003"
    assert len(answers.paths) == 1


def test_an_http11_server_is_recognised() -> None:
    answers = Answers(ONLY_HTTP11)
    with pytest.raises(DiscoveryError, match="use_http_11") as refused:
        discover(answers)
    assert refused.value.code == "META0014"
    assert len(answers.paths) == 1


@pytest.mark.parametrize(
    ("code", "body"),
    [
        ("META0005", manifest(service("restateThings"))),
        ("META0005", manifest(service("OpenAPI"))),
        ("META0012", manifest(service("S"), versions=(1, 4))),
        ("META0012", manifest(service("S"), versions=(8, 9))),
        ("META0013", manifest(service("S"), versions=(7, 5))),
        ("META0013", b"<html>"),
        ("META0013", b"[]"),
        ("META0013", manifest(service("no spaces"))),
        ("META0013", manifest(service("S", handler("h", ty="EXCLUSIVE")))),
        ("META0013", manifest(service("S", documentation="\ud800"))),
        ("META0013", manifest(service("S", handler("h", input={"jsonSchema": {"$ref": "http://x"}})))),
    ],
)
def test_answers_that_cannot_be_registered(code: str, body: bytes) -> None:
    with pytest.raises(ManifestError) as refused:
        discover(Answers(ok(body)))
    assert refused.value.code == code


def test_a_schema_may_not_be_bottomless() -> None:
    schema: dict[str, object] = {}
    for _ in range(300):
        schema = {"not": schema}
    with pytest.raises(ManifestError, match="deeper") as refused:
        discover(Answers(ok(manifest(service("S", handler("h", input={"jsonSchema": schema}))))))
    assert refused.value.code == "META0013"


def test_another_content_type_is_not_a_manifest() -> None:
    with pytest.raises(ManifestError, match="text/html") as refused:
        discover(Answers(ok(b"<html>", "text/html")))
    assert refused.value.code == "META0013"
