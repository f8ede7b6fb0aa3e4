"""What must not be scanned is not: by id, by list of ids, by object; and what nobody asks for is not
computed.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from query.story import Story, tell
from query.world import World

from holdfast.core.model import TargetKind
from holdfast.query.connection import Connection
from holdfast.query.plan import parse


@pytest.fixture(scope="module", params=[1, 4], ids=["one partition", "four partitions"])
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    world = World(tmp_path_factory.mktemp("data"), request.param)
    yield world
    world.close()


@pytest.fixture(scope="module")
def story(world: World) -> Story:
    return tell(world)


ID_TABLES = [
    "sys_invocation",
    "sys_invocation_status",
    "sys_invocation_state",
    "sys_journal",
    "sys_journal_events",
    "holdfast_step_metadata",
]


@pytest.mark.parametrize("table", ID_TABLES)
@pytest.mark.parametrize(
    "condition", ["t.id = '{0}'", "id IN ('{0}', '{1}')", "'{0}' = t.id AND t.id IN ('{0}')"]
)
def test_ids_are_looked_up(world: World, story: Story, table: str, condition: str) -> None:
    """Method: SQLite's own plan scans nothing; minted and derived ids alike."""
    where = condition.format(story.texts["derived"], story.texts["caller"])
    plan = world.plan(f"SELECT * FROM {table} t WHERE {where} LIMIT 100")
    files = [
        step for step in plan if " c" not in step.split(" USING")[0]
    ]  # the callee look-up is no scan either
    assert not [step for step in files if step.startswith("SCAN") and "CONSTANT" not in step], plan
    assert any("SEARCH i USING INTEGER PRIMARY KEY (rowid=?)" in step for step in plan), plan


def test_only_the_partition_that_can_have_an_id_is_asked(world: World, story: Story) -> None:
    connection = Connection(world.files)
    sql = parse(f"SELECT status FROM sys_invocation WHERE id = '{story.texts['done']}'", 0)
    rendered = sql.render(len(world.files), connection.rows_of)
    connection.close()
    asked = {n for n in range(len(world.files)) if f"p{n}." in rendered}
    assert asked == {world.partition_of(story.done)}


def test_derived_ids_are_found_through_their_alias(world: World, story: Story) -> None:
    text = story.texts["derived"]
    assert world.query(f"SELECT id, idempotency_key FROM sys_invocation WHERE id = '{text}'") == [
        {"id": text, "idempotency_key": "k-1"}
    ]
    assert len(world.query(f"SELECT index FROM sys_journal WHERE id = '{text}'")) == 2


def test_unknown_ids_give_nothing(world: World, story: Story) -> None:
    unknown = story.texts["done"][:-1] + ("a" if story.texts["done"][-1] != "a" else "b")
    for id_ in (unknown, "inv_bad", "", "dp_1"):
        assert world.query(f"SELECT id FROM sys_invocation WHERE id = '{id_}'") == []
    rows = world.query(f"SELECT id FROM sys_journal WHERE id IN ('{unknown}', '{story.texts['done']}')")
    assert {row["id"] for row in rows} == {story.texts["done"]}


@pytest.mark.parametrize(
    ("table", "condition"),
    [
        ("state", "service_name = 'Counter' AND service_key = 'k2'"),
        ("state", "service_name = 'Counter'"),
        ("state", "service_key = 'k2' AND service_name IN ('Counter', 'Flow')"),
        ("sys_inbox", "service_name = 'Counter' AND service_key = 'k2'"),
        ("sys_keyed_service_status", "service_name IN ('Counter')"),
    ],
)
def test_objects_are_looked_up(world: World, story: Story, table: str, condition: str) -> None:
    plan = world.plan(f"SELECT * FROM {table} WHERE {condition}")
    assert not [step for step in plan if step.startswith("SCAN")], plan
    assert any(step.startswith("SEARCH o USING") for step in plan), plan
    assert world.query(f"SELECT * FROM {table} WHERE {condition}")


def test_names_that_begin_alike_are_not_mixed_up(world: World, story: Story) -> None:
    request = world.request("Counter0/k/add", kind=TargetKind.OBJECT_EXCLUSIVE)
    world.start(request)
    rows = world.query("SELECT service_name FROM sys_keyed_service_status WHERE service_name = 'Counter'")
    assert {row["service_name"] for row in rows} == {"Counter"}


def test_a_condition_under_or_narrows_nothing(world: World, story: Story) -> None:
    text = story.texts["done"]
    rows = world.query(f"SELECT id FROM sys_invocation WHERE id = '{text}' OR status = 'pending'")
    assert {row["id"] for row in rows} == {text, story.texts["pending"]}
    others = world.query(f"SELECT COUNT(*) AS n FROM sys_invocation WHERE NOT (id = '{text}')")
    [every] = world.query("SELECT COUNT(*) AS n FROM sys_invocation")
    assert others == [{"n": every["n"] - 1}]


def test_only_mentioned_columns_are_computed(world: World) -> None:
    """Method: columns made by Python functions do not occur in what is run, unless somebody looks."""
    counted = parse("SELECT COUNT(1) FROM (SELECT * FROM sys_journal j LIMIT 9) WHERE j.entry_type = 'x'", 0)
    text = counted.render(1, lambda _: {})
    assert "hf_entry_type" in text
    assert "hf_entry_json" not in text
    assert "hf_id" not in text
    distinct = parse("SELECT COUNT(1) FROM (SELECT DISTINCT * FROM sys_journal)", 0).render(1, lambda _: {})
    assert "hf_entry_json" in distinct


def test_memory_is_copied_only_for_queries_that_look_at_it(world: World) -> None:
    assert parse("SELECT status FROM sys_invocation", 0).wants_attempts
    assert not parse("SELECT id FROM sys_invocation", 0).wants_attempts
    assert not parse("SELECT status FROM sys_invocation_status", 0).wants_attempts
    assert parse("SELECT id FROM sys_deployment", 0).wants_catalog
    assert not parse("SELECT * FROM sys_invocation", 0).wants_catalog


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT id FROM sys_invocation ORDER BY id",
        "SELECT id AS name FROM sys_invocation ORDER BY name",
        "SELECT id FROM sys_invocation ORDER BY 1",
        "SELECT DISTINCT id FROM sys_invocation_status ORDER BY id",
        "SELECT id FROM sys_invocation UNION SELECT id FROM sys_invocation_status ORDER BY id",
        "SELECT id, COUNT(*) AS n FROM sys_invocation GROUP BY id ORDER BY id",
        "SELECT x FROM (SELECT id AS x FROM sys_invocation) AS t ORDER BY x",
        "WITH ids AS (SELECT * FROM sys_invocation) SELECT id FROM ids ORDER BY id",
        "SELECT id FROM sys_invocation WHERE id LIKE 'inv_1%' ORDER BY id",
        "SELECT COALESCE(id, '') AS c FROM sys_invocation ORDER BY c",
        "SELECT id || '' AS c FROM sys_invocation_status ORDER BY c",
        "SELECT a.id FROM sys_invocation a JOIN sys_invocation_status b ON a.id = b.id ORDER BY a.id",
        "SELECT id FROM sys_invocation WHERE id IN (SELECT id FROM sys_invocation_status) ORDER BY id",
        "SELECT MIN(id) AS m FROM sys_invocation GROUP BY id ORDER BY MIN(id)",
    ],
)
def test_ids_are_texts_wherever_they_are_looked_at(world: World, story: Story, sql: str) -> None:
    """Goal: that ids travel as bytes is invisible. Method: every way to mention them gives the same texts in
    the same order."""
    known = sorted(row["t"] for row in world.query("SELECT CAST(id AS TEXT) AS t FROM sys_invocation"))
    assert set(story.texts.values()) - set(known) <= {story.texts["callee"]}
    assert [next(iter(row.values())) for row in world.query(sql)] == known


def test_bad_ids_in_conditions_match_nothing(world: World, story: Story) -> None:
    [every] = world.query("SELECT COUNT(*) AS n FROM sys_invocation")
    assert world.query("SELECT COUNT(*) AS n FROM sys_invocation WHERE id <> 'nonsense'") == [every]
    text = story.texts["done"]
    assert world.query(f"SELECT COUNT(*) AS n FROM sys_invocation WHERE id != '{text}'") == [
        {"n": every["n"] - 1}
    ]
    assert world.query(f"SELECT id FROM sys_invocation WHERE id IN ('nonsense', '{text}')") == [{"id": text}]


def test_joins_by_id_need_no_text(world: World, story: Story) -> None:
    sql = "SELECT COUNT(*) AS n FROM sys_journal j JOIN sys_invocation_status s ON s.id = j.id"
    assert "hf_id" not in parse(sql, 0).render(len(world.files), lambda _: {})
    assert world.query(sql) == world.query("SELECT COUNT(*) AS n FROM sys_journal")


def test_what_is_unique_of_a_first_value(world: World, story: Story) -> None:
    """Goal: each form of FIRST_VALUE says the same as looking for it by hand."""
    rows = world.query(
        "SELECT target_service_name AS s, FIRST_VALUE(id ORDER BY created_at) AS a, "
        "FIRST_VALUE(target ORDER BY created_at, id) AS b, LAST_VALUE(id ORDER BY created_at DESC) AS c "
        "FROM sys_invocation_status GROUP BY target_service_name"
    )
    for row in rows:
        by_hand = f"WHERE target_service_name = '{row['s']}' ORDER BY created_at LIMIT 1"
        [first] = world.query(f"SELECT id, target FROM sys_invocation_status {by_hand}")
        assert (row["a"], row["b"], row["c"]) == (first["id"], first["target"], first["id"])
    [whole] = world.query("SELECT FIRST_VALUE(target ORDER BY created_at) AS t FROM sys_invocation")
    assert whole == {"t": "Greeter/greet"}
    [some] = world.query("SELECT first_value(id) AS i, COUNT(*) AS n FROM sys_invocation")
    assert some["i"].startswith("inv_1")


def test_the_answers_of_two_journals_are_not_confused(world: World, story: Story) -> None:
    rows = world.query(
        "SELECT id, completed FROM sys_journal WHERE completed IS NOT NULL "
        f"AND id IN ('{story.texts['done']}', '{story.texts['suspended']}', '{story.texts['running']}')"
    )
    found = {row["id"]: row["completed"] for row in rows}
    assert found == {
        story.texts["done"]: True,
        story.texts["suspended"]: False,
        story.texts["running"]: False,
    }
