"""Versions, bodies and browsers at the edge of the interface, and the few routes about the server itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from holdfast.admin.ports import AdminSettings
from holdfast.query.errors import QueryError

from .support import World

JSON = {"content-type": "application/json"}
QUERY = b'{"query": "select 1"}'


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path, AdminSettings(body_bytes_max=1000, ingress_endpoint="http://me:1/"))


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/health", 200),
        ("/v2/health", 200),
        ("/v3/health", 200),
        ("/v4/health", 200),
        ("/v1/health", 400),
        ("/v0/health", 400),
        ("/v5/health", 404),
        ("/v44/health", 404),
        ("/v4health", 404),
        ("/vx/health", 404),
        ("/v4/v4/health", 404),
        ("/nothing", 404),
    ],
)
def test_every_route_has_its_versions(world: World, path: str, status: int) -> None:
    response = world.request("GET", path)
    assert response.status_code == status
    assert response.content == b"" or status == 400


def test_a_wrong_method_is_told_which_is_right(world: World) -> None:
    response = world.request("POST", "/services")
    assert (response.status_code, response.headers["allow"], response.content) == (405, "GET", b"")


def test_the_version_tells_where_ingress_is(world: World) -> None:
    answer = world.request("GET", "/version").json()
    assert (answer["min_admin_api_version"], answer["max_admin_api_version"]) == (2, 4)
    assert answer["ingress_endpoint"] == "http://me:1/"
    assert not any(answer["features"].values())


def test_the_interface_describes_itself(world: World) -> None:
    document = world.request("GET", "/v4/openapi").json()
    assert {"/deployments", "/services/{service}", "/invocations/{invocation}/resume"} <= document[
        "paths"
    ].keys()


def test_large_bodies_are_refused_with_and_without_a_length(world: World) -> None:
    response = world.request("POST", "/query", content=b" " * 1001, headers=JSON)
    assert response.status_code == 413
    chunked = {**JSON, "transfer-encoding": "chunked"}
    response = world.request("POST", "/query", content=b" " * 1001, headers=chunked)
    assert response.status_code == 413
    assert "1000 bytes" in response.json()["message"]


@pytest.mark.parametrize("content_type", [None, "text/plain", "application/x-www-form-urlencoded", "jsonish"])
def test_a_page_cannot_post_without_asking(world: World, content_type: str | None) -> None:
    headers = {} if content_type is None else {"content-type": content_type}
    assert world.request("POST", "/query", content=QUERY, headers=headers).status_code == 415
    assert world.query.asked == []


@pytest.mark.parametrize(
    "content_type", ["application/json", "Application/JSON; charset=utf-8", "application/x+json"]
)
def test_json_has_several_names(world: World, content_type: str) -> None:
    response = world.request("POST", "/query", content=QUERY, headers={"content-type": content_type})
    assert response.status_code == 200
    assert world.query.asked == [("select 1", "*/*")]


@pytest.mark.parametrize(
    "body", [b"", b"{", b"\xff", b'{"query": 1}', b'{"query": "\\ud800"}', b"null", b"[]"]
)
def test_bodies_that_cannot_be_read(world: World, body: bytes) -> None:
    response = world.request("POST", "/query", content=body, headers=JSON)
    assert response.status_code in (400, 422)
    assert response.headers["content-type"].startswith("text/plain")


@pytest.mark.parametrize("status", [400, 429, 500])
def test_a_refused_query_says_why(world: World, status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(sql: str, accept: str) -> tuple[str, bytes]:
        raise QueryError(status, "Datafusion error: no")

    monkeypatch.setattr(world.query, "run", refuse)
    response = world.request("POST", "/query", content=QUERY, headers=JSON)
    assert response.status_code == status
    assert response.json() == {"message": "Datafusion error: no", "restate_code": None}
    assert ("retry-after" in response.headers) == (status == 429)


def test_pages_from_elsewhere_must_be_allowed(world: World, tmp_path: Path) -> None:
    asking = {"origin": "http://page", "access-control-request-method": "PATCH"}
    assert world.request("OPTIONS", "/services/S", headers=asking).status_code == 405
    (tmp_path / "open").mkdir()
    allowed = World(tmp_path / "open", AdminSettings(cors_origins=("http://page",)))
    response = allowed.request("OPTIONS", "/v4/services/S", headers=asking)
    assert response.headers["access-control-allow-origin"] == "http://page"
    other = allowed.request("OPTIONS", "/services/S", headers={**asking, "origin": "http://other"})
    assert "access-control-allow-origin" not in other.headers


def test_there_are_no_subscriptions(world: World) -> None:
    assert world.request("GET", "/v3/subscriptions").json() == {"subscriptions": []}
    assert world.request("GET", "/subscriptions/sub_1").status_code == 404
    body = {"source": "kafka://c/t", "sink": "service://S/h"}
    response = world.request("POST", "/subscriptions", body)
    assert (response.status_code, response.json()["restate_code"]) == (400, "META0009")
