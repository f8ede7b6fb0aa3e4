"""The dialect: what clients may write, and what they are told when they may not."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from query.world import NOON_MS, World

from holdfast.query.dialect import interval_ms
from holdfast.query.errors import QueryError
from holdfast.query.types import format_duration, format_timestamp, parse_timestamp


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Two completed greetings, at one and two seconds past noon, two pending counters, and 12:00:05 now."""
    world = World(tmp_path_factory.mktemp("data"))
    for target in ("Greeter/greet", "Greeter/greet", "Counter/a/add", "Counter/a/add"):
        world.start(world.request(target))
    world.tick()
    yield world
    world.close()


def _one(world: World, sql: str) -> object:
    [row] = world.query(sql)
    [value] = row.values()
    return value


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("MIN(created_at)", "2026-11-22T12:00:01.000Z"),
        ("now()", "2026-11-22T12:00:05.000Z"),
        ("now() - INTERVAL '1 day'", "2026-11-21T12:00:05.000Z"),
        ("now() + interval '1 hour 30 minutes'", "2026-11-22T13:30:05.000Z"),
        ("now() - MIN(created_at)", "PT4S"),
        ("date_trunc('hour', MAX(created_at))", "2026-11-22T12:00:00.000Z"),
        ("date_trunc('month', MAX(created_at))", "2026-11-01T00:00:00.000Z"),
        ("date_trunc('week', MAX(created_at))", "2026-11-16T00:00:00.000Z"),
        ("date_bin(INTERVAL '3 seconds', MAX(created_at))", "2026-11-22T12:00:03.000Z"),
        ("extract(epoch from MIN(created_at))", NOON_MS / 1000 + 1),
        ("extract(hour from MIN(created_at))", 12),
        ("CAST(MIN(created_at) AS TEXT)", "2026-11-22T12:00:01.000Z"),
        ("MIN(created_at)::date", "2026-11-22T00:00:00.000Z"),
        ("TIMESTAMP '2026-01-01'", "2026-01-01T00:00:00.000Z"),
        ("to_timestamp(1)", "1970-01-01T00:00:01.000Z"),
        ("COUNT(*)", 4),
        ("COUNT(*) > 3", True),
        ("SUM(CASE WHEN target_service_name = 'Greeter' THEN 1 ELSE 0 END)", 2),
        ("COUNT(*) FILTER (WHERE status = 'pending')", 1),
        ("COALESCE(MAX(completed_at), MIN(created_at))", "2026-11-22T12:00:01.000Z"),
        ("CASE WHEN COUNT(*) = 0 THEN now() ELSE MIN(created_at) END", "2026-11-22T12:00:01.000Z"),
        ("array_agg(target_service_key ORDER BY created_at DESC)", ["a", "a", None, None]),
        ("array_agg(created_at ORDER BY created_at)", [f"2026-11-22T12:00:0{n}.000Z" for n in (1, 2, 3, 4)]),
        ("CAST(COUNT(*) AS VARCHAR)", "4"),
        ("CAST('12' AS BIGINT)", 12),
        ("CAST(1 AS DOUBLE)", 1.0),
        ("CAST(COUNT(*) = 4 AS TEXT)", "true"),
        ("COUNT(DISTINCT target_service_name)", 2),
    ],
)
def test_expressions(world: World, expression: str, expected: object) -> None:
    source = "FROM sys_invocation" if "(" in expression.replace("now()", "") else ""
    assert _one(world, f"SELECT {expression} AS v {source} LIMIT 1") == expected


@pytest.mark.parametrize(
    ("condition", "count"),
    [
        ("created_at >= '2026-11-22T12:00:02Z'", 3),
        ("created_at > '2026-11-22 12:00:02'", 2),
        ("'2026-11-22T12:00:02Z' = created_at", 1),
        ("created_at BETWEEN '2026-11-22T12:00:02Z' AND '2026-11-22T14:00:03+02:00'", 2),
        ("created_at IN ('2026-11-22T12:00:01Z')", 1),
        ("now() - created_at > INTERVAL '2 seconds'", 2),
        ("now() - created_at >= '2 seconds'", 3),
        ("created_at > now() - INTERVAL '2' SECOND", 1),
        ("target LIKE 'Greeter/%'", 2),
        ("target LIKE 'greeter/%'", 0),
        ("target ILIKE 'greeter/%'", 2),
        ("target_service_key IS NULL", 2),
        ("status == 'ready' AND NOT (target_service_name = 'Greeter')", 1),
        ("id IN (SELECT id FROM sys_invocation_status WHERE status = 'inboxed')", 1),
        ("EXISTS (SELECT 1 FROM sys_inbox b WHERE b.id = sys_invocation.id)", 1),
        ('"sys_invocation"."target_handler_name" = \'add\'', 2),
        ("TARGET_HANDLER_NAME = 'add'", 2),
    ],
)
def test_conditions(world: World, condition: str, count: int) -> None:
    assert _one(world, f"SELECT COUNT(*) FROM sys_invocation WHERE {condition}") == count


def test_windows_ctes_joins_and_unions(world: World) -> None:
    rows = world.query(
        "WITH ranked AS (SELECT target_service_name AS s, created_at, ROW_NUMBER() OVER "
        "(PARTITION BY target_service_name ORDER BY created_at DESC) AS n FROM sys_invocation) "
        "SELECT s, created_at FROM ranked WHERE n = 1 ORDER BY s"
    )
    assert rows == [
        {"s": "Counter", "created_at": "2026-11-22T12:00:04.000Z"},
        {"s": "Greeter", "created_at": "2026-11-22T12:00:02.000Z"},
    ]
    joined = world.query(
        "SELECT ss.id, sst.in_flight FROM sys_invocation_status ss "
        "LEFT JOIN sys_invocation_state sst USING (id) "
        "WHERE ss.target_service_name = 'Counter' ORDER BY ss.created_at"
    )
    assert [row.get("in_flight") for row in joined] == [False, None]
    assert world.query("SELECT NULL AS at UNION ALL SELECT MAX(created_at) FROM sys_invocation")[1] == {
        "at": "2026-11-22T12:00:04.000Z"
    }
    assert world.query("SELECT 1 AS one; ") == [{"one": 1}]
    assert (
        len(world.query("SELECT i.*, j.index FROM sys_invocation i JOIN sys_journal j ON j.id = i.id")) == 4
    )
    numbers = "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 5)"
    assert world.query(f"{numbers} SELECT SUM(n) AS s FROM r") == [{"s": 15}]


def test_columns_are_described(world: World) -> None:
    rows = world.query(
        "SELECT column_name, data_type FROM information_schema.columns "
        "WHERE table_name = 'sys_journal_events'"
    )
    assert {row["column_name"]: row["data_type"] for row in rows}["appended_at"].startswith("Timestamp")
    assert len(world.query("SELECT table_name FROM information_schema.tables")) >= 18


@pytest.mark.parametrize(
    ("sql", "status", "part"),
    [
        ("select * from nope", 500, "table 'restate.public.nope' not found"),
        ("select nope from state", 500, "nope"),
        ("select * from sys_invocation where", 400, "SQL error"),
        ("selec", 400, ""),
        ("", 400, "one SQL statement"),
        ("select 1; select 2", 400, "found 2"),
        ("select * from sys_invocation natural join sys_journal", 500, "NATURAL"),
        ("select created_at > 'yesterday' from sys_invocation", 500, "not a timestamp"),
        ("select now() - interval '1 month'", 500, "INTERVAL"),
        ("select * from generate_series(1, 3)", 500, "not supported"),
        ("select cast(id as json) from state", 500, "CAST"),
        ("select missing_function(1)", 500, "missing_function"),
        ('select "created" from sys_invocation', 500, "created"),
    ],
)
def test_refusals_say_what_is_wrong(world: World, sql: str, status: int, part: str) -> None:
    with pytest.raises(QueryError) as refused:
        world.query(sql)
    assert refused.value.status == status
    assert part in refused.value.message


@given(st.integers(0, 253_402_300_799_999))
def test_instants_survive_being_written(at_ms: int) -> None:
    assert parse_timestamp(format_timestamp(at_ms)) == at_ms


@given(st.integers(-(10**12), 10**12))
def test_durations_are_iso(ms: int) -> None:
    text = format_duration(ms)
    assert text.startswith("-PT" if ms < 0 else "PT")
    assert round(float(text.strip("-PTS")) * 1000) == abs(ms)


@given(
    st.lists(
        st.tuples(st.integers(0, 99), st.sampled_from(["week", "days", "hours", "min", "s"])), min_size=1
    )
)
def test_intervals_add_up(parts: list[tuple[int, str]]) -> None:
    total = sum(interval_ms(f"{number} {unit}") for number, unit in parts)
    assert interval_ms(" ".join(f"{number} {unit}" for number, unit in parts)) == total
