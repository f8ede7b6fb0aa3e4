"""Captured requests and answers of the official server and tools, asked of ours.

Ids, order and times are the capture's own; keys, types, status codes, content types and texts must agree.
"""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pytest
from protocol.vectors import load

from holdfast.core.model import InvocationId
from holdfast.core.operate import COMPLETED, NOT_FOUND, NOT_RUNNING
from holdfast.core.outcome import Answer, Done, Restarted
from holdfast.core.records import Pause, Record, RestartAsNew
from holdfast.invoker.http.api import Response
from holdfast.protocol.ids import encode_invocation_id

from .support import World

TS_CAPTURED, PY_CAPTURED = "dp_177VfnNcVPxBTuxCPJm5HJn", "dp_12bjEbHYEo55nF4NhPAfItz"
ADMIN = load("admin")["vectors"]
CLI = [(v["command"], request) for v in load("cli")["vectors"] for request in v["requests"]]
UNKNOWN = "inv_1dNor6BzQ8YS5VHlHr1vjGaRaaXR499nfV"
DONE_LONG_AGO = "inv_1dNor6BzQ8YS5VHlHr1vjGaRaaXR499nfU"


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Both official SDKs' deployments, registered as in the capture."""
    world = World(tmp_path)
    discoveries = load("discovery")["vectors"]
    world.deployments.serve("127.0.0.1:9180", discoveries[0]["manifest"])
    world.deployments.serve("127.0.0.1:9181", discoveries[1]["manifest"], "restate-sdk-python/1.3.0")
    for port in (9180, 9181):
        assert world.request("POST", "/deployments", {"uri": f"http://127.0.0.1:{port}"}).status_code == 201
    return world


def ours(world: World, text: str, *captured_ids: str) -> str:
    """`text` with the capture's deployment ids replaced by ours."""
    for captured, deployment in zip(captured_ids, world.catalog.deployments(), strict=False):
        text = text.replace(captured, deployment.id)
    return text


def of_capture(id_: InvocationId, record: Record) -> Answer:
    """What the captured server knew of the two invocations its requests name."""
    text = encode_invocation_id(id_)
    if text == UNKNOWN:
        return NOT_FOUND
    return NOT_RUNNING if isinstance(record, Pause) else COMPLETED


EXACT = {"name", "ty", "public", "input_description", "output_description", "input_json_schema"}


def agree(captured: Any, answered: Any, path: str = "$") -> None:
    """The same keys and types everywhere, the same values for `EXACT`; lists are matched by name or id.

    Captured lists are sometimes cut short, so ours may hold more.
    """
    match captured:
        case dict():
            assert captured.keys() == answered.keys(), path
            for key, part in captured.items():
                if key in EXACT:
                    assert part == answered[key], f"{path}.{key}"
                else:
                    agree(part, answered[key], f"{path}.{key}")
        case list():
            mine = {part.get("name", part.get("uri")): part for part in answered}
            for part in captured:
                name = part.get("name", part.get("uri"))
                assert name in mine, f"{path}[{name}]"
                agree(part, mine[name], f"{path}[{name}]")
        case _:
            assert type(captured) is type(answered), path


# Texts that name the internals of the captured server.
OWN_WORDS = ("META0003", "Failed to deserialize")


@pytest.mark.parametrize("vector", ADMIN, ids=lambda vector: vector["request"][:70])
def test_requests_are_answered_as_captured(world: World, vector: dict[str, Any]) -> None:
    request = vector["request"]
    if "/query" in request:
        world.query.rows[""] = []
    world.engine.answer = lambda record: of_capture(world.engine.records[-1][0], record)
    if "batch_operations" in request:
        world.engine.answer = lambda _: NOT_FOUND
    if "/state" in request:
        world.engine.answer = lambda _: Done()
    method, path, headers, body = parse(ours(world, request, TS_CAPTURED))
    if "127.0.0.1:9070" in request:
        world.deployments.answers["127.0.0.1:9070"] = Response(404, {}, b"", "HTTP/2.0")
    response = world.request(method, path, content=body, headers=headers)
    captured = dict(vector["headers"])
    if "/query" in request:
        assert json.loads(body or b"")["query"] == world.query.asked[0][0]
        return
    assert response.status_code == vector["status"], response.text
    assert response.headers.get("content-type") == captured.get("content-type")
    assert response.headers.get("location") == (
        captured.get("location") and ours(world, captured["location"], TS_CAPTURED)
    )
    if len(vector["body"]) > 600 or any(words in vector["body"] for words in OWN_WORDS):
        return
    expected = ours(world, vector["body"], TS_CAPTURED)
    if captured.get("content-type") == "application/json":
        assert json.loads(response.text) == json.loads(expected)
    else:
        assert response.text == expected


def parse(request: str) -> tuple[str, str, dict[str, str], bytes | None]:
    """Method, path, headers and body of a curl-like line; the body is everything after `-d`."""
    line, _, body = request.partition(" -d ")
    method, path, headers = "GET", "", {}
    words = iter(shlex.split(line.replace(": ", ":")))
    for word in words:
        if word.startswith("-X"):
            method = word[2:]
        elif word == "-H":
            name, _, value = next(words).partition(":")
            headers[name] = value
        else:
            path = word
    return method, path, headers, body.encode() if body else None


@pytest.mark.parametrize(("command", "request_"), CLI, ids=lambda v: v if isinstance(v, str) else v["path"])
def test_the_official_command_line_is_understood(
    world: World, command: str, request_: dict[str, Any]
) -> None:
    def answer(record: Record) -> Answer:
        if isinstance(record, RestartAsNew):
            return Restarted(record.new_id)
        return Done(at_once=request_["status"] == 200)

    world.engine.answer = answer
    body = request_.get("body")
    response = world.request(
        request_["method"],
        ours(world, request_["path"], TS_CAPTURED, PY_CAPTURED),
        content=None if body is None else json.dumps(body).encode(),
        headers={
            "accept": request_["accept"],
            **({} if body is None else {"content-type": "application/json"}),
        },
    )
    if request_["path"].endswith("/query"):
        assert world.query.asked == [(body["query"], request_["accept"])]
        return
    assert response.status_code == request_["status"], response.text
    assert response.headers.get("content-type") == request_["response_content_type"]
    if "response" in request_:
        agree(request_["response"], response.json())


def test_a_whole_service_is_described_as_captured(world: World) -> None:
    """Goal: equal to the letter, apart from order, the deployment's id and one server setting."""
    captured = next(request["response"] for _, request in CLI if request["path"] == "/v4/services/PyGreeter")
    answered = world.request("GET", "/v4/services/PyGreeter").json()
    assert answered["inactivity_timeout"] == "1m"
    captured["deployment_id"], captured["inactivity_timeout"] = answered["deployment_id"], "1m"
    for described in (captured, answered):
        described["handlers"].sort(key=lambda handler: handler["name"])
    assert answered == captured
