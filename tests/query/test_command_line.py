"""The official command line's queries, as captured, against our tables: it reads answers by column name."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from protocol.vectors import load
from query.story import Story, tell
from query.world import World


def _captured() -> list[dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for vector in load("cli")["vectors"]:
        for request in vector["requests"]:
            if request["path"].endswith("/query"):
                found.setdefault(request["body"]["query"], request)
    return list(found.values())


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    world = World(tmp_path_factory.mktemp("data"))
    yield world
    world.close()


@pytest.fixture(scope="module")
def story(world: World) -> Story:
    return tell(world)


def _here(sql: str, story: Story) -> str:
    """The query with our ids in place of theirs; a list of ids becomes the list of all of ours."""
    every = ",".join(f"'{text}'" for text in story.texts.values())
    sql = re.sub(r"in \('inv_.*?'\)", f"in ({every})", sql)
    return re.sub(r"inv_1\w{33}", story.texts["caller"], sql)


@pytest.mark.parametrize("request_", _captured(), ids=lambda r: " ".join(r["body"]["query"].split())[:60])
def test_captured_query(request_: dict[str, Any], world: World, story: Story) -> None:
    """Each query is understood, and no column it answers with has another name or kind of value."""
    rows = world.query(_here(request_["body"]["query"], story))
    if request_["accept"] != "application/json":
        return
    theirs = {key: value for row in request_["response"]["rows"] for key, value in row.items()}
    ours = {key: value for row in rows for key, value in row.items()}
    for key in theirs.keys() & ours.keys():
        assert type(ours[key]) is type(theirs[key]), key
    asked_about_more = {"idempotency_key", "completion_result", "completion_failure", "promise_name"}
    if rows and theirs:
        assert theirs.keys() - ours.keys() <= asked_about_more


def test_counting_reaches_into_the_subquery(world: World, story: Story) -> None:
    """Goal: `inv.` outside the parentheses it was named in still means that table."""
    [row] = world.query(
        "SELECT COUNT(1) FROM (SELECT * FROM sys_invocation inv LIMIT 50000) "
        "WHERE inv.target_service_name IN ('Greeter') AND status IN ('suspended')"
    )
    assert row == {"count(Int64(1))": 2}


def test_first_value_with_an_order_is_an_aggregate(world: World, story: Story) -> None:
    rows = world.query(
        "SELECT target_service_name AS s, COUNT(1) AS n, MIN(created_at) AS oldest, "
        "FIRST_VALUE(id ORDER BY created_at ASC) AS first, FIRST_VALUE(id ORDER BY created_at DESC) AS last "
        "FROM sys_invocation WHERE target_service_name == 'Counter' GROUP BY target_service_name"
    )
    [created] = world.query(
        f"SELECT created_at FROM sys_invocation_status WHERE id = '{story.texts['holder']}'"
    )
    assert rows == [
        {
            "s": "Counter",
            "n": 2,
            "oldest": created["created_at"],
            "first": story.texts["holder"],
            "last": story.texts["pending"],
        }
    ]


def test_deployments_are_joined(world: World, story: Story) -> None:
    rows = world.query(
        "SELECT inv.id, dp.id IS NOT NULL as there FROM sys_invocation inv "
        "LEFT JOIN sys_deployment dp ON dp.id = inv.pinned_deployment_id "
        f"WHERE inv.id in ('{story.texts['done']}','{story.texts['ready']}') "
        "ORDER BY inv.created_at DESC, inv.id"
    )
    assert [(row["id"], row["there"]) for row in rows] == [
        (story.texts["ready"], False),
        (story.texts["done"], True),
    ]
