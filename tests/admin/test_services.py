"""Services over HTTP: settings that operators change, state they replace, what callers are told."""

from __future__ import annotations

from pathlib import Path

import pytest

from holdfast.core.outcome import Done, Refused
from holdfast.core.records import ReplaceState

from .support import NOW_MS, Manifest, World, manifest_of


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World(tmp_path)
    serve(world, "plain", manifest_of("Plain"))
    serve(world, "object", manifest_of("Object", ty="VIRTUAL_OBJECT"))
    serve(world, "flow", manifest_of("Flow", ty="WORKFLOW"))
    return world


def serve(world: World, host: str, manifest: Manifest) -> None:
    world.deployments.serve(f"{host}:80", manifest)
    assert world.request("POST", "/deployments", {"uri": f"http://{host}"}).status_code == 201


def test_settings_change_at_once_and_are_shown(world: World) -> None:
    change = {
        "public": False,
        "idempotency_retention": "2d",
        "workflow_completion_retention": "1h",
        "journal_retention": "PT30M",
        "inactivity_timeout": "300ms",
        "abort_timeout": "1m 30s",
    }
    answer = world.request("PATCH", "/services/Flow", change)
    assert answer.status_code == 200
    expected = {**change, "journal_retention": "30m"}
    assert {key: answer.json()[key] for key in expected} == expected
    assert world.request("GET", "/services/Flow").json() == answer.json()
    handler = world.catalog.handler("Flow", "run")
    assert handler is not None
    assert (handler.public, handler.inactivity_timeout_ms, handler.workflow_retention_ms) == (
        False,
        300,
        3_600_000,
    )
    untouched = world.request("PATCH", "/services/Flow", {"public": None})
    assert untouched.json() == answer.json()


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"inactivity_timeout": "soon"}, 422),
        ({"inactivity_timeout": 300}, 422),
        ({"public": "maybe"}, 422),
        ([], 422),
        ({"workflow_completion_retention": "1d"}, 400),
    ],
)
def test_settings_that_make_no_sense_are_refused(world: World, body: object, status: int) -> None:
    before = world.request("GET", "/services/Object").json()
    assert world.request("PATCH", "/services/Object", body).status_code == status
    assert world.request("GET", "/services/Object").json() == before


def test_unknown_services_and_handlers(world: World) -> None:
    for path in (
        "/services/No",
        "/services/No/handlers",
        "/services/No/openapi",
        "/services/Plain/handlers/no",
    ):
        response = world.request("GET", path)
        assert response.status_code == 404
        assert "does not exist" in response.json()["message"]
    assert world.request("PATCH", "/services/No", {"public": True}).status_code == 404


def test_handlers_are_listed(world: World) -> None:
    listed = world.request("GET", "/services/Object/handlers").json()["handlers"]
    assert [(handler["name"], handler["ty"]) for handler in listed] == [("run", "Exclusive")]
    assert listed == [world.request("GET", "/services/Object/handlers/run").json()]


@pytest.mark.parametrize(
    ("rule", "description"),
    [
        (None, "*/*"),
        ({}, "none"),
        ({"contentType": "text/*"}, "text/*"),
        ({"contentType": "application/json", "jsonSchema": {"type": "integer"}}, "JSON integer"),
        (
            {"contentType": "application/json", "jsonSchema": {"title": "Order", "type": "object"}},
            "JSON 'Order'",
        ),
        ({"contentType": "application/json", "jsonSchema": True}, "application/json"),
    ],
)
def test_inputs_are_described(world: World, rule: object, description: str) -> None:
    manifest = manifest_of("D")
    manifest["services"] = [{"name": "D", "ty": "SERVICE", "handlers": [{"name": "h", "input": rule}]}]
    serve(world, "d", manifest)
    assert world.request("GET", "/services/D/handlers/h").json()["input_description"] == description


def test_state_is_replaced_in_key_order(world: World) -> None:
    body = {"object_key": "k/1", "new_state": {"b": [0, 255], "a": []}, "version": "v1"}
    response = world.request("POST", "/services/Object/state", body)
    assert (response.status_code, response.content) == (202, b"")
    address, record = world.engine.records[0]
    assert address == world.engine.owner_of_key("k/1")
    assert record == ReplaceState(NOW_MS, "Object/k/1", ((b"a", b""), (b"b", b"\x00\xff")), "v1")


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("Plain", {"object_key": "k", "new_state": {}}, 400),
        ("Object", {"object_key": "k", "new_state": {}, "scope": "s"}, 400),
        ("Object", {"object_key": "k", "new_state": {"a": [256]}}, 422),
        ("Object", {"new_state": {}}, 422),
        ("Gone", {"object_key": "k", "new_state": {"a": [1]}}, 404),
    ],
)
def test_state_that_cannot_be_is_refused(world: World, path: str, body: object, status: int) -> None:
    assert world.request("POST", f"/services/{path}/state", body).status_code == status
    assert world.engine.records == []


def test_what_a_deleted_service_left_may_be_cleared(world: World) -> None:
    assert (
        world.request("POST", "/services/Gone/state", {"object_key": "k", "new_state": {}}).status_code == 202
    )


def test_a_partition_that_cannot_commit_is_no_success(world: World) -> None:
    world.engine.answer = lambda _: Refused(503, "unavailable", "disk full")
    response = world.request("POST", "/services/Object/state", {"object_key": "k", "new_state": {}})
    assert (response.status_code, response.json()["message"]) == (503, "disk full")
    world.engine.answer = lambda _: Done(at_once=False)
    response = world.request("POST", "/services/Object/state", {"object_key": "k", "new_state": {}})
    assert response.status_code == 202


def test_callers_get_an_openapi_document(world: World) -> None:
    manifest = manifest_of("Api", ty="VIRTUAL_OBJECT")
    schema = {"type": "integer"}
    manifest["services"] = [
        {
            "name": "Api",
            "ty": "VIRTUAL_OBJECT",
            "documentation": "Adds things up.",
            "handlers": [
                {
                    "name": "add",
                    "input": {"required": True, "contentType": "application/json", "jsonSchema": schema},
                    "output": {},
                },
                {"name": "hidden", "ingressPrivate": True},
                {"name": "quiet", "input": {}},
            ],
        }
    ]
    serve(world, "api", manifest)
    document = world.request("GET", "/services/Api/openapi").json()
    assert document["info"] == {"title": "Api", "version": "1", "description": "Adds things up."}
    paths = document["paths"]
    assert sorted(paths) == [f"/Api/{{key}}/{h}" for h in ("add", "add/send", "quiet", "quiet/send")]
    add = paths["/Api/{key}/add"]["post"]
    named = {"$ref": "#/components/schemas/Api.add.input"}
    assert add["requestBody"] == {"required": True, "content": {"application/json": {"schema": named}}}
    assert document["components"]["schemas"] == {"Api.add.input": schema}
    assert "requestBody" not in paths["/Api/{key}/quiet"]["post"]
    assert list(paths["/Api/{key}/add/send"]["post"]["responses"]) == ["202"]
