"""Queries only read, and end by themselves, whatever is asked."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest
from query.world import World

from holdfast.query import connection as bounds
from holdfast.query import runner as limits
from holdfast.query.connection import Connection
from holdfast.query.errors import QueryError
from holdfast.query.plan import SQL_BYTES_MAX
from holdfast.query.runner import JSON, QUERIES_RUNNING_MAX, QUERIES_WAITING_MAX


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path, seconds_max=0.2)
    world.start(world.request("Greeter/greet"))
    yield world
    world.close()


FOREVER = "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r) SELECT COUNT(*) FROM r"

WRITES = [
    "DELETE FROM state",
    "INSERT INTO state VALUES (1)",
    "UPDATE sys_invocation SET status = 'completed'",
    "CREATE TABLE t (x INT)",
    "DROP TABLE sys_invocation",
    "ATTACH 'other.sqlite' AS other",
    "PRAGMA journal_mode = DELETE",
    "VACUUM",
    "BEGIN",
    "COMMIT",
    "COPY state TO 'file'",
    "SET x = 1",
    "EXPLAIN SELECT 1",
    "WITH gone AS (DELETE FROM state RETURNING *) SELECT * FROM gone",
    "SELECT * INTO copy FROM state",
    "SELECT 1; DELETE FROM state",
    "TRUNCATE state",
]

PRIVATE = [
    "SELECT * FROM p0.invocation",
    "SELECT * FROM main.live",
    "SELECT * FROM invocation",
    "SELECT * FROM sqlite_master",
    "SELECT * FROM main.sqlite_master",
    "SELECT * FROM pragma_database_list",
    "SELECT * FROM json_each('[1]')",
    "SELECT * FROM sqlite_dbpage",
    "SELECT load_extension('x')",
    "SELECT * FROM state WHERE key = '' UNION SELECT * FROM p0.meta",
    'SELECT * FROM "p0"."invocation"',
    "SELECT (SELECT COUNT(*) FROM p0.invocation)",
    "SELECT 1 WHERE EXISTS (SELECT 1 FROM sqlite_schema)",
]


@pytest.mark.parametrize("sql", WRITES)
def test_writes_are_refused_as_no_query(world: World, sql: str) -> None:
    with pytest.raises(QueryError) as refused:
        world.query(sql)
    assert refused.value.status == 400


@pytest.mark.parametrize("sql", PRIVATE)
def test_only_the_public_tables_can_be_named(world: World, sql: str) -> None:
    with pytest.raises(QueryError) as refused:
        world.query(sql)
    assert refused.value.status in (400, 500)


@pytest.mark.parametrize(
    "text",
    [
        "' OR 1 = 1 --",
        "'; DELETE FROM state; --",
        "x' UNION SELECT 1 --",
        "\\' OR 1=1",
        "a''b",
        "{p}",
        "{callee}",
    ],
)
def test_texts_stay_texts(world: World, text: str) -> None:
    quoted = text.replace("'", "''")
    for column in ("service_name", "service_key"):
        assert world.query(f"SELECT key FROM state WHERE {column} = '{quoted}' AND service_name = 'x'") == []
    both = f"service_name = '{quoted}' AND service_key = '{quoted}'"
    assert world.query(f"SELECT key FROM sys_promise WHERE {both}") == []
    assert world.query(f"SELECT id FROM sys_invocation WHERE id = '{quoted}'") == []
    assert world.query(f"SELECT '{quoted}' AS t") == [{"t": text}]


@pytest.mark.parametrize(
    "sql", ["DELETE FROM p0.state", "ATTACH 'x' AS y", "PRAGMA p0.user_version", "CREATE TABLE main.t (x)"]
)
def test_the_connection_refuses_even_what_the_planner_let_through(world: World, sql: str) -> None:
    """Goal: two fences. Method: past the first one, straight to the connection."""
    connection = Connection(world.files)
    with pytest.raises(QueryError, match=r"not authorized|prohibited"):
        connection.run(sql, seconds_max=1.0, rows_max=1, bytes_max=1000)
    connection.close()


def test_the_files_are_opened_read_only(world: World) -> None:
    connection = Connection(world.files)
    connection._connection.authorizer = None
    with pytest.raises(apsw.ReadOnlyError):
        connection._connection.execute("DELETE FROM p0.state")
    connection.close()


@pytest.mark.parametrize(
    "sql",
    [
        FOREVER,
        "SELECT COUNT(*) FROM information_schema.columns a, information_schema.columns b, "
        "information_schema.columns c, information_schema.columns d",
        FOREVER.replace("COUNT(*)", "MAX(n)"),
    ],
)
def test_endless_queries_are_stopped(world: World, sql: str) -> None:
    with pytest.raises(QueryError, match="longer than") as refused:
        world.query(sql)
    assert refused.value.status == 500
    assert world.query("SELECT COUNT(*) AS n FROM sys_invocation") == [{"n": 1}]


def test_answers_are_bounded(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "ROWS_MAX", 10)
    with pytest.raises(QueryError, match="longer than 10 rows"):
        world.query("SELECT column_name FROM information_schema.columns")
    assert len(world.query("SELECT column_name FROM information_schema.columns LIMIT 10")) == 10
    monkeypatch.setattr(limits, "RESULT_BYTES_MAX", 100)
    with pytest.raises(QueryError, match="100 bytes"):
        world.query("SELECT column_name FROM information_schema.columns LIMIT 10")


def test_values_are_bounded(world: World) -> None:
    with pytest.raises(QueryError, match="too big"):
        world.query(f"SELECT length(zeroblob({bounds.VALUE_BYTES_MAX + 1}))")


def test_statements_are_bounded(world: World) -> None:
    with pytest.raises(QueryError, match="longer than") as long:
        world.query("SELECT 1 -- " + "x" * SQL_BYTES_MAX)
    assert long.value.status == 400
    for deep in ("(" * 5000 + "1" + ")" * 5000, " + ".join(["1"] * 20_000), "NOT " * 5000 + "1"):
        with pytest.raises(QueryError):
            world.query(f"SELECT {deep}")
    nested = "SELECT 1 AS x"
    for _ in range(80):
        nested = f"SELECT x FROM ({nested}) AS t"
    with pytest.raises(QueryError):
        world.query(nested)


def test_an_error_does_not_hold_the_files_log(world: World) -> None:
    """Goal: after a stopped query the writer can fold its log. Method: a truncating checkpoint leaves
    nothing.
    """
    with pytest.raises(QueryError):
        world.query(
            "SELECT i.id FROM sys_invocation i, information_schema.columns a, information_schema.columns b, "
            "information_schema.columns c, information_schema.columns d WHERE a.column_name = d.table_name"
        )
    world.start(world.request("Greeter/greet"))
    world.tables[0].database.checkpoint()
    log = world.files[0].with_name(world.files[0].name + "-wal")
    assert log.stat().st_size == 0


def test_a_refused_statement_leaves_nothing_in_the_log(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(QueryError):
        asyncio.run(world.runner.run("SET(*) AS n FROM sys_invocation", JSON))
    assert caplog.records == []


def test_too_many_queries_are_told_to_come_back(world: World) -> None:
    async def storm() -> list[tuple[str, bytes] | BaseException]:
        many = QUERIES_RUNNING_MAX + QUERIES_WAITING_MAX + 5
        runs = [world.runner.run("SELECT COUNT(*) AS n FROM sys_invocation", JSON) for _ in range(many)]
        return await asyncio.gather(*runs, return_exceptions=True)

    answers = asyncio.run(storm())
    refused = [a.status for a in answers if isinstance(a, QueryError)]
    assert refused == [429] * 5
    assert {a for a in answers if not isinstance(a, BaseException)} == {(JSON, b'{"rows":[{"n":1}]}')}


def test_the_event_loop_goes_on_while_queries_run(world: World) -> None:
    async def both() -> int:
        query = asyncio.ensure_future(world.runner.run(FOREVER, JSON))
        turns = 0
        while not query.done():
            await asyncio.sleep(0.001)
            turns += 1
        assert isinstance(query.exception(), QueryError)
        return turns

    assert asyncio.run(both()) > 5


def test_a_query_sees_what_is_committed_while_it_asks(world: World) -> None:
    before = world.query("SELECT COUNT(*) AS n FROM sys_invocation")
    world.start(world.request("Greeter/greet"))
    after = world.query("SELECT COUNT(*) AS n FROM sys_invocation")
    assert (before, after) == ([{"n": 1}], [{"n": 2}])


def test_missing_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(QueryError, match="cannot read the partitions"):
        Connection([tmp_path / "gone.sqlite"])
    assert not (tmp_path / "gone.sqlite").exists()
