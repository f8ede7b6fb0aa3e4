"""What the tables say of a server with one of everything in it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from query.story import Story, tell
from query.world import DAY_MS, World

from holdfast.storage.blobs import INLINE_BYTES_MAX


@pytest.fixture(
    scope="module",
    params=[(1, INLINE_BYTES_MAX), (3, INLINE_BYTES_MAX), (3, 2)],
    ids=["one partition", "three partitions", "all values are blobs"],
)
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    partitions, inline_bytes_max = request.param
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("holdfast.storage.blobs.INLINE_BYTES_MAX", inline_bytes_max)
        world = World(tmp_path_factory.mktemp("data"), partitions)
        yield world
        world.close()


@pytest.fixture(scope="module")
def story(world: World) -> Story:
    return tell(world)


def test_every_status_has_its_word(world: World, story: Story) -> None:
    found = {row["id"]: row["status"] for row in world.query("SELECT id, status FROM sys_invocation")}
    texts = story.texts
    expected = {
        "done": "completed", "failed": "completed", "suspended": "suspended", "running": "running",
        "ready": "ready", "backing_off": "backing-off", "paused": "paused", "scheduled": "scheduled",
        "holder": "ready", "pending": "pending", "run": "suspended", "derived": "completed",
        "caller": "suspended", "callee": "ready",
    }  # fmt: skip
    if len(world.files) > 1:
        # The call's message waits in the outbox when the callee lives elsewhere.
        found.setdefault(texts["callee"], "ready")
    assert found == {texts[name]: status for name, status in expected.items()}


def test_the_stored_half_speaks_of_invoked_and_inboxed(world: World, story: Story) -> None:
    rows = world.query("SELECT id, status, partition_key FROM sys_invocation_status")
    found = {row["id"]: row for row in rows}
    assert found[story.texts["running"]]["status"] == "invoked"
    assert found[story.texts["pending"]]["status"] == "inboxed"
    key = int.from_bytes(story.running[:8], "big")
    assert found[story.texts["running"]]["partition_key"] == key
    again = world.query(f"SELECT id FROM sys_invocation_status WHERE partition_key = {key}")
    assert again == [{"id": story.texts["running"]}]


def test_a_completed_invocation_whole(world: World, story: Story) -> None:
    [row] = world.query(f"SELECT * FROM sys_invocation WHERE id = '{story.texts['done']}'")
    assert row == {
        "id": story.texts["done"], "target": "Greeter/greet", "target_service_name": "Greeter",
        "target_handler_name": "greet", "target_service_ty": "service", "invoked_by": "ingress",
        "pinned_deployment_id": story.deployment, "pinned_service_protocol_version": 7,
        "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736", "journal_size": 4, "journal_commands_size": 3,
        "created_at": "2026-11-22T12:00:01.000Z", "modified_at": "2026-11-22T12:00:02.000Z",
        "running_at": "2026-11-22T12:00:01.000Z", "completed_at": "2026-11-22T12:00:02.000Z",
        "completion_retention": "PT86400S", "journal_retention": "PT86400S",
        "status": "completed", "completion_result": "success",
    }  # fmt: skip


def test_failures_are_told(world: World, story: Story) -> None:
    columns = "completion_result, completion_failure, last_failure, last_failure_error_code, retry_count"
    related = "last_failure_related_command_index, last_failure_related_command_name"
    sql = f"SELECT {columns}, {related}, last_failure_related_command_type FROM sys_invocation WHERE id = "
    [failed] = world.query(f"{sql}'{story.texts['failed']}'")
    assert failed == {"completion_result": "failure", "completion_failure": "[409] Cancelled"}
    [retried] = world.query(f"{sql}'{story.texts['backing_off']}'")
    assert retried == {
        "last_failure": "[500 Internal] boom\nat line 1",
        "last_failure_error_code": "RT0007",
        "retry_count": 1,
        "last_failure_related_command_index": 1,
        "last_failure_related_command_name": "step",
        "last_failure_related_command_type": "Run",
    }
    [event] = world.query(
        "SELECT after_journal_entry_index, event_type, event_json FROM sys_journal_events "
        f"WHERE id = '{story.texts['backing_off']}'"
    )
    assert (event["after_journal_entry_index"], event["event_type"]) == (1, "TransientError")
    assert json.loads(event["event_json"])["error_message"] == "boom"


def test_attempts_in_memory_are_joined(world: World, story: Story) -> None:
    rows = world.query("SELECT * FROM sys_invocation_state WHERE in_flight")
    assert rows == [
        {
            "partition_key": int.from_bytes(story.running[:8], "big"),
            "id": story.texts["running"],
            "in_flight": True,
            "retry_count": 1,
            "last_start_at": rows[0]["last_start_at"],
            "last_attempt_deployment_id": story.deployment,
            "last_attempt_server": "restate-sdk-x/1",
            "last_awaiting_on_future_json": '{"x":1}',
        }
    ]
    [waiting] = world.query(
        f"SELECT in_flight, next_retry_at FROM sys_invocation_state WHERE id = '{story.texts['backing_off']}'"
    )
    assert waiting["in_flight"] is False
    assert waiting["next_retry_at"] > "2026-11-22T12:01"


def test_what_a_suspended_one_waits_for(world: World, story: Story) -> None:
    [row] = world.query(
        "SELECT suspended_waiting_for_completions AS c, suspended_waiting_for_signals AS s, "
        f"suspended_waiting_future_json AS f FROM sys_invocation WHERE id = '{story.texts['suspended']}'"
    )
    assert (row["c"], row["s"]) == ([1], [1, 17])
    leaves = [{"CompletionId": 1}, {"SignalIndex": 1}, {"SignalIndex": 17}, {"SignalName": "mysig"}]
    assert json.loads(row["f"]) == {"FirstCompleted": [{"Single": leaf} for leaf in leaves]}


def test_a_journal(world: World, story: Story) -> None:
    rows = world.query(f"SELECT * FROM sys_journal WHERE id = '{story.texts['done']}' ORDER BY index")
    assert [(r["index"], r["entry_type"], r.get("name"), r.get("completed")) for r in rows] == [
        (0, "Command: Input", "", None),
        (1, "Command: Run", "step", True),
        (2, "Notification: Run", None, None),
        (3, "Command: Output", "", None),
    ]
    assert json.loads(rows[0]["entry_json"])["Command"]["Input"]["headers"] == [
        {"name": "accept", "value": "*/*"}
    ]
    assert rows[3]["raw"] == "72060a042268692 2".replace(" ", "")
    assert rows[3]["raw_length"] == 8
    [sleep] = world.query(
        "SELECT entry_type, completed, sleep_wakeup_at FROM sys_journal "
        f"WHERE id = '{story.texts['suspended']}' AND index = 1"
    )
    assert sleep == {
        "entry_type": "Command: Sleep",
        "completed": False,
        "sleep_wakeup_at": sleep["sleep_wakeup_at"],
    }
    assert sleep["sleep_wakeup_at"].startswith("2026-11-23T12:00:")


def test_a_call_names_whom_it_called(world: World, story: Story) -> None:
    rows = world.query(
        "SELECT index, entry_type, invoked_id, invoked_target, completed, entry_json FROM sys_journal "
        f"WHERE id = '{story.texts['caller']}' ORDER BY index DESC"
    )
    assert [r["entry_type"] for r in rows] == [
        "Notification: CallInvocationId",
        "Command: Call",
        "Command: Input",
    ]
    call = rows[1]
    assert (call["invoked_id"], call["invoked_target"]) == (story.texts["callee"], "Greeter/greet")
    assert call["completed"] is False
    request = json.loads(call["entry_json"])["Command"]["Call"]["request"]
    assert request["invocation_id"] == story.texts["callee"]
    if len(world.files) == 1:
        assert request["completion_retention_duration"] == {"secs": DAY_MS // 1000, "nanos": 0}


def test_state_and_its_object(world: World, story: Story) -> None:
    rows = world.query("SELECT * FROM state WHERE service_name = 'Counter' AND service_key = 'k2'")
    partition_key = rows[0]["partition_key"]
    assert partition_key == int.from_bytes(story.holder[:8], "big")
    common = {"partition_key": partition_key, "service_name": "Counter", "service_key": "k2"}
    assert rows == [
        {**common, "key": "bin", "key_length": 3, "value": "ff00", "value_length": 2},
        {**common, "key": "c", "key_length": 1, "value_utf8": "1", "value": "31", "value_length": 1},
    ]
    assert world.query("SELECT * FROM sys_keyed_service_status") == [
        {**common, "invocation_id": story.texts["holder"]}
    ]
    [waiting] = world.query("SELECT * FROM sys_inbox")
    assert (waiting["id"], waiting["service_key"]) == (story.texts["pending"], "k2")


def test_what_services_said_about_steps(world: World, story: Story) -> None:
    """Also by a column's own name, as it is asked for in other tables."""
    of = story.texts["done"]
    rows = world.query(f"SELECT * FROM holdfast_step_metadata WHERE invocation_id = '{of}'")
    assert rows == world.query("SELECT * FROM holdfast_step_metadata")
    [row] = rows
    assert (row["id"], row["invocation_id"], row["entry_index"], row["completion_id"]) == (of, of, 1, 1)
    assert json.loads(row["metadata"]) == {
        "kind": "model",
        "model": "m-1",
        "tokens_in": 7,
        "tokens_out": 3,
    }
    assert (row["model"], row["tokens_in"], row["tokens_out"]) == ("m-1", 7, 3)


def test_promises_completed_and_awaited(world: World, story: Story) -> None:
    rows = world.query("SELECT * FROM sys_promise WHERE service_name = 'Flow' ORDER BY key")
    common = {"partition_key": rows[0]["partition_key"], "service_name": "Flow", "service_key": "w1"}
    assert rows == [
        {
            **common,
            "key": "p",
            "completed": True,
            "completion_success_value": "7b227a223a317d",
            "completion_success_value_utf8": '{"z":1}',
        },
        {**common, "key": "q", "completed": False},
    ]


def test_the_catalog(world: World, story: Story) -> None:
    [row] = world.query("SELECT * FROM sys_service WHERE name = 'Greeter'")
    assert row == {
        "name": "Greeter", "revision": 1, "public": True, "ty": "service", "deployment_id": story.deployment
    }  # fmt: skip
    [row] = world.query("SELECT * FROM sys_deployment")
    assert row == {
        "id": story.deployment, "ty": "http", "endpoint": "http://127.0.0.1:9080/",
        "created_at": "2026-11-22T12:00:00.000Z", "min_service_protocol_version": 5,
        "max_service_protocol_version": 7, "services": ["Greeter", "Counter", "Flow"],
    }  # fmt: skip


def test_who_asked(world: World, story: Story) -> None:
    if len(world.files) > 1:
        pytest.skip("the callee may not have arrived")
    [row] = world.query(
        "SELECT invoked_by, invoked_by_service_name, invoked_by_id, invoked_by_target, created_at "
        f"FROM sys_invocation WHERE id = '{story.texts['callee']}'"
    )
    assert (row["invoked_by"], row["invoked_by_service_name"]) == ("service", "Greeter")
    assert (row["invoked_by_id"], row["invoked_by_target"]) == (story.texts["caller"], "Greeter/calls")


def test_pinned(world: World, story: Story, tmp_path: Path) -> None:
    assert world.runner.pinned(story.texts["done"]) == (story.deployment, 7)
    assert world.runner.pinned(story.texts["derived"]) == (story.deployment, 7)
    assert world.runner.pinned(story.texts["ready"]) is None
    assert world.runner.pinned("inv_1nonsense") is None


def test_flow_control_is_empty_but_there(world: World) -> None:
    for table in ("sys_locks", "sys_rules", "sys_scheduler", "sys_vqueues", "sys_user_limits"):
        assert world.query(f"SELECT * FROM {table}") == []
