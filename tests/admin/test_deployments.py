"""Registering, changing and deleting deployments over HTTP."""

from __future__ import annotations

from pathlib import Path

import pytest

from holdfast.invoker.http.api import Response

from .support import World, manifest_of

OLD = {"uri": "http://old:80"}


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World(tmp_path)
    world.deployments.serve("old:80", manifest_of("S"))
    return world


def register(world: World, path: str = "/deployments", **fields: object) -> tuple[int, str]:
    response = world.request("POST", path, {**OLD, **fields})
    return response.status_code, response.json().get("id", "")


def test_force_is_off_by_default_except_on_the_old_interface(world: World) -> None:
    assert register(world)[0] == 201
    world.deployments.serve("old:80", manifest_of("S", "T"))
    asked = len(world.deployments.asked)
    for path in ("/deployments", "/v3/deployments", "/v4/deployments"):
        response = world.request("POST", path, OLD)
        assert response.status_code == 200
        assert response.json()["info"][0]["code"] == "META0004"
        assert "force" in response.json()["info"][0]["message"]
    assert register(world, "/v2/deployments", force=False)[0] == 409
    assert len(world.deployments.asked) == asked, "a known deployment need not even be up"
    assert world.catalog.service_names() == ["S"]
    assert register(world, "/v2/deployments")[0] == 200
    assert world.catalog.service_names() == ["S", "T"]


def test_a_refused_registration_names_its_code(world: World) -> None:
    register(world)
    world.deployments.serve("new:80", manifest_of("S", ty="VIRTUAL_OBJECT"))
    response = world.request("POST", "/deployments", {"uri": "http://new:80"})
    assert (response.status_code, response.json()["restate_code"]) == (409, "META0006")
    assert response.json()["message"].startswith("[META0006] ")
    allowed = world.request("POST", "/deployments", {"uri": "http://new:80", "breaking": True})
    assert allowed.status_code == 201


def test_a_dry_run_answers_as_if(world: World) -> None:
    status, _ = register(world, dry_run=True)
    assert status == 201
    assert world.request("GET", "/deployments").json() == {"deployments": []}
    register(world)
    assert register(world, dry_run=True, force=True)[0] == 200


def test_headers_are_sent_and_shown(world: World) -> None:
    status, id_ = register(world, additional_headers={"X-Key": "v"}, metadata={"commit": "c0ffee"})
    assert status == 201
    assert world.deployments.asked[0][1]["x-key"] == "v"
    shown = world.request("GET", f"/deployments/{id_}").json()
    assert (shown["additional_headers"], shown["metadata"]) == ({"x-key": "v"}, {"commit": "c0ffee"})


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"additional_headers": {"bad name": "v"}}, "additional_headers"),
        ({"additional_headers": {"x": "line\nbreak"}}, "additional_headers"),
        ({"additional_headers": {"Host": "elsewhere"}}, "additional_headers"),
        ({"uri": "ftp://host"}, "uri"),
        ({"uri": "http://user:pw@host"}, "uri"),
        ({"uri": "http://host/?q=1"}, "uri"),
        ({"uri": "http://host:99999"}, "uri"),
        ({"uri": None, "arn": "arn:aws:lambda:eu:1:function:f:1"}, "arn"),
    ],
)
def test_what_cannot_be_called_is_refused_before_asking(
    world: World, fields: dict[str, object], field: str
) -> None:
    response = world.request("POST", "/deployments", {**OLD, **fields})
    assert response.status_code == 400
    assert response.json()["message"].startswith(f"The request field '{field}' is invalid. Reason: ")
    assert world.deployments.asked == []


def test_a_deployment_without_an_answer_is_an_error_of_its_own(world: World) -> None:
    world.deployments.answers["old:80"] = Response(200, {"content-type": "text/html"}, b"<html>", "HTTP/2.0")
    response = world.request("POST", "/deployments", OLD)
    assert (response.status_code, response.json()["restate_code"]) == (500, "META0013")
    del world.deployments.answers["old:80"]
    response = world.request("POST", "/deployments", OLD)
    assert (response.status_code, response.json()["restate_code"]) == (500, "META0003")


@pytest.mark.parametrize("method", ["PATCH", "PUT"])
def test_a_deployment_moves_to_where_its_services_are(world: World, method: str) -> None:
    _, id_ = register(world)
    change = {"uri": "http://moved:81/base", "additional_headers": {"k": "v"}}
    nobody = world.request(method, f"/deployments/{id_}", change)
    assert (nobody.status_code, nobody.json()["restate_code"]) == (500, "META0003")
    world.deployments.serve("moved:81", manifest_of("Other"))
    wrong = world.request(method, f"/deployments/{id_}", change)
    assert (wrong.status_code, wrong.json()["restate_code"]) == (400, "META0016")
    world.deployments.serve("moved:81", manifest_of("S", "Other"))
    dry = world.request(method, f"/deployments/{id_}", {**change, "dry_run": True})
    assert dry.json()["uri"] == "http://moved:81/base/"
    assert world.request("GET", f"/deployments/{id_}").json()["uri"] == "http://old/"
    moved = world.request(method, f"/deployments/{id_}", change)
    assert moved.status_code == 200
    assert moved.json() == world.request("GET", f"/deployments/{id_}").json() == dry.json()
    assert [service["name"] for service in moved.json()["services"]] == ["S"]


def test_headers_change_without_asking(world: World) -> None:
    _, id_ = register(world)
    asked = len(world.deployments.asked)
    changed = world.request("PATCH", f"/deployments/{id_}", {"additional_headers": {"k": "v"}})
    assert changed.json()["additional_headers"] == {"k": "v"}
    kept = world.request("PATCH", f"/deployments/{id_}", {"uri": "http://old"})
    assert kept.json() == changed.json()
    assert len(world.deployments.asked) == asked


def test_overwriting_asks_again(world: World) -> None:
    _, id_ = register(world)
    world.deployments.serve("old:80", manifest_of("More"))
    updated = world.request("PATCH", f"/deployments/{id_}", {"overwrite": True})
    assert {s["name"]: s["revision"] for s in updated.json()["services"]} == {"More": 1}
    world.deployments.serve("old:80", manifest_of("More", versions=(6, 7)))
    refused = world.request("PATCH", f"/deployments/{id_}", {"overwrite": True})
    assert (refused.status_code, refused.json()["restate_code"]) == (400, "META0016")


def test_request_response_deployments_have_no_inactivity(world: World) -> None:
    manifest = manifest_of("S")
    manifest["protocolMode"] = "REQUEST_RESPONSE"
    handlers = [{"name": "h", "inactivityTimeout": 5}, {"name": "i"}]
    manifest["services"] = [{"name": "S", "ty": "SERVICE", "inactivityTimeout": 7, "handlers": handlers}]
    world.deployments.serve("old:80", manifest)
    register(world)
    shown = world.request("GET", "/services/S").json()
    assert shown["inactivity_timeout"] == "0s"
    assert [notice["code"] for notice in shown["info"]] == ["RT0021"]
    assert "7ms" in shown["info"][0]["message"]
    assert [handler.get("info", [{}])[0].get("code") for handler in shown["handlers"]] == ["RT0021", None]
    assert "inactivity_timeout" not in shown["handlers"][0]


def test_deleting_needs_force(world: World) -> None:
    _, id_ = register(world)
    assert world.request("DELETE", f"/deployments/{id_}").status_code == 501
    assert world.request("DELETE", f"/v4/deployments/{id_}?force=true").status_code == 202
    assert world.request("GET", f"/deployments/{id_}").status_code == 404
    assert world.request("DELETE", f"/deployments/{id_}?force=true").status_code == 404
    assert world.request("GET", "/services/S").status_code == 404
