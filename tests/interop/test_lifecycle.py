"""What an operator does to invocations and state: cancel, kill, pause, resume, restart, purge, query."""

import pytest
from harness import wait_until

from .flavor import Arrangement, Flavor, fresh

pytestmark = [pytest.mark.e2e, pytest.mark.interop]

UNKNOWN = "inv_1" + "0" * 33


def nested(flavor: Flavor) -> tuple[str, str]:
    """The ids of a caller and of its callee, once both wait."""
    caller = flavor.send("outer")
    callee = flavor.effects.wait_for(caller, "callee ")
    flavor.effects.wait_for(callee, "started")
    return caller, callee


def hung_up(flavor: Flavor) -> str:
    """The id of an invocation that waits for an awakeable nobody resolves."""
    invocation = flavor.send("waitAwakeable")
    flavor.effects.wait_for(invocation, "awakeable ")
    return invocation


def paused(flavor: Flavor) -> str:
    """The id of an invocation that ran out of attempts and waits for an operator."""
    invocation = flavor.send("untilFixed")
    flavor.admin.wait_status(invocation, "paused")
    return invocation


def journal(flavor: Flavor, invocation: str) -> list[str]:
    """The entry types of a journal, in order."""
    rows = flavor.admin.query(f"SELECT * FROM sys_journal WHERE id = '{invocation}' ORDER BY index")
    return [str(row["entry_type"]) for row in rows]


def fix(flavor: Flavor, invocation: str) -> None:
    with flavor.effects.path.open("a") as file:
        file.write(f"{invocation}\tfixed\n")


def test_cancel_reaches_the_callees_before_the_caller_cleans_up(flavor: Flavor) -> None:
    caller, callee = nested(flavor)
    assert flavor.admin.patch(caller, "cancel").status_code == 202
    code, message = flavor.failure(caller)
    assert code == 409
    # What a cancelled handler throws is its SDK's own; Java's says nothing but the code.
    assert "cancel" in message.lower() or message == "Error 409"
    assert flavor.effects.count(caller, "outer cleaned up") == 1
    assert flavor.admin.wait_status(callee, "completed")["completion_result"] == "failure"
    assert flavor.effects.count(callee, "cleaned up") == 1
    commands = [entry for entry in journal(flavor, caller) if entry.startswith("Command")]
    assert commands == [
        "Command: Input",
        "Command: Call",
        "Command: Run",
        "Command: SendSignal",
        "Command: Run",
        "Command: Output",
    ]


def test_cancel_from_a_handler(flavor: Flavor) -> None:
    caller, _ = nested(flavor)
    flavor.act("cancelOther", caller)
    assert flavor.failure(caller)[0] == 409
    assert flavor.effects.count(caller, "outer cleaned up") == 1


def test_cancel_before_the_first_attempt_ends_at_once(flavor: Flavor) -> None:
    scheduled = flavor.ingress.send(flavor.path("Actions", "steps"), 1, delay="1h")
    assert flavor.admin.status(scheduled) == "scheduled"
    assert flavor.admin.patch(scheduled, "cancel").status_code == 200
    row = flavor.admin.invocation(scheduled)
    assert row is None or row["completion_failure"] == "[409] canceled"
    assert flavor.effects.of(scheduled) == []


def test_kill_runs_no_cleanup_and_takes_the_callees_along(flavor: Flavor) -> None:
    caller, callee = nested(flavor)
    assert flavor.admin.patch(caller, "kill").status_code == 200
    assert flavor.failure(caller) == (409, "killed")
    assert flavor.admin.wait_status(callee, "completed")["completion_failure"] == "[409] killed"
    assert "cleaned up" not in flavor.effects.of(callee)
    assert "outer cleaned up" not in flavor.effects.of(caller)


def test_kill_frees_the_key(flavor: Flavor) -> None:
    key = fresh()
    holder = flavor.ingress.send(flavor.path("Counter", "hold", key))
    flavor.effects.wait_for(holder, "awakeable ")
    queued = flavor.ingress.send(flavor.path("Counter", "add", key), 1)
    flavor.admin.patch(holder, "kill")
    assert flavor.result(queued) == 1


def test_an_invocation_out_of_attempts_pauses_and_resumes(flavor: Flavor) -> None:
    invocation = paused(flavor)
    events = flavor.admin.query(f"SELECT * FROM sys_journal_events WHERE id = '{invocation}'")
    failures = [str(event["event_json"]) for event in events if event["event_type"] == "TransientError"]
    assert failures
    assert all("not fixed yet" in failure for failure in failures)
    assert "Paused" in [event["event_type"] for event in events]
    fix(flavor, invocation)
    assert flavor.admin.patch(invocation, "resume").status_code == 200
    assert flavor.result(invocation) == "fixed"
    assert flavor.effects.count(invocation, "before") == 1


def test_a_paused_invocation_can_be_cancelled(flavor: Flavor) -> None:
    invocation = paused(flavor)
    fix(flavor, invocation)
    flavor.admin.patch(invocation, "cancel")
    assert flavor.admin.wait_status(invocation, "completed")["id"] == invocation


def test_an_invocation_out_of_attempts_is_killed_when_its_policy_says_so(flavor: Flavor) -> None:
    response = flavor.post("killedByPolicy")
    assert response.status_code >= 400
    invocation = response.headers["x-restate-id"]
    assert flavor.admin.wait_status(invocation, "completed")["completion_result"] == "failure"


@pytest.mark.parametrize("flavor", ["Ts", "Py"], indirect=True)
def test_pause_by_hand_then_resume(flavor: Flavor) -> None:
    """Only a running attempt is paused; a suspended one has nothing to stop, and stays as it is."""
    invocation = hung_up(flavor)
    awakeable = flavor.effects.wait_for(invocation, "awakeable ")
    assert flavor.admin.patch(invocation, "pause").status_code == 202
    flavor.admin.wait_status(invocation, "paused")
    flavor.ingress.post(f"/restate/awakeables/{awakeable}/resolve", "meanwhile")
    assert flavor.ingress.output(invocation).status_code == 470
    assert flavor.admin.patch(invocation, "resume").status_code == 200
    assert flavor.result(invocation) == "meanwhile"


def test_restart_as_new_runs_everything_again(flavor: Flavor) -> None:
    first = flavor.send("steps", 2, fresh("kept"))
    flavor.result(first)
    response = flavor.admin.patch(first, "restart-as-new")
    assert response.status_code == 200
    second = response.json()["new_invocation_id"]
    assert second != first
    flavor.admin.wait_status(second, "completed")
    assert flavor.effects.of(second) == ["step 0", "step 1"]
    row = flavor.admin.invocation(second)
    assert row is not None
    assert (row["restarted_from"], row["invoked_by"]) == (first, "restart_as_new")


def test_restart_from_a_prefix_keeps_the_steps_before_it(flavor: Flavor, arrangement: Arrangement) -> None:
    first = flavor.send("steps", 4, fresh("kept"))
    flavor.result(first)
    commands = [
        row
        for row in flavor.admin.query(f"SELECT * FROM sys_journal WHERE id = '{first}' ORDER BY index")
        if str(row["entry_type"]) == "Command: Run"
    ]
    third_step = str(commands[2]["index"])
    response = flavor.admin.patch(first, "restart-as-new", **{"from": third_step})
    if arrangement.protocol_version < 6:
        assert response.status_code == 422, "below version 6 a copy draws other random numbers"
        return
    assert response.status_code == 200, response.text
    second = response.json()["new_invocation_id"]
    flavor.admin.wait_status(second, "completed")
    again = flavor.effects.of(second)
    assert again[-1] == "step 3"
    assert "step 0" not in again


def test_purge_forgets_a_finished_invocation(python: Flavor) -> None:
    finished = python.send("echo", 1, fresh("kept"))
    python.result(finished)
    assert python.admin.patch(finished, "purge").status_code == 200
    wait_until(lambda: python.admin.invocation(finished) is None, f"{finished} to be purged")
    assert python.ingress.output(finished).status_code == 404


def test_purge_journal_keeps_the_result(python: Flavor) -> None:
    finished = python.send("steps", 2, fresh("kept"))
    python.result(finished)
    journal = f"SELECT * FROM sys_journal WHERE id = '{finished}'"
    assert len(python.admin.query(journal)) >= 4
    assert python.admin.patch(finished, "purge-journal").status_code == 200
    wait_until(lambda: not python.admin.query(journal), "the journal to be purged")
    assert python.result(finished) == ["step 0", "step 1"]


@pytest.mark.parametrize("operation", ["cancel", "kill", "pause", "resume", "purge", "restart-as-new"])
def test_an_unknown_invocation_is_not_found(python: Flavor, operation: str) -> None:
    response = python.admin.patch(UNKNOWN, operation)
    assert response.status_code == 404
    assert UNKNOWN in response.json()["message"]
    assert python.admin.patch("inv_1short", operation).status_code == 400


def test_operations_that_come_too_late_or_too_early(python: Flavor) -> None:
    finished = python.send("echo", 1, fresh("kept"))
    python.result(finished)
    for operation in ("cancel", "kill", "resume"):
        assert python.admin.patch(finished, operation).status_code == 409
    running = hung_up(python)
    assert python.admin.patch(running, "purge").status_code == 409
    assert python.admin.patch(running, "restart-as-new").status_code == 409
    python.admin.patch(running, "kill")


def test_state_is_edited_by_the_operator(flavor: Flavor) -> None:
    key = fresh()
    flavor.on("Counter", key, "add", 1)
    path = f"/services/{flavor.prefix}Counter/state"
    edit = {"object_key": key, "new_state": {"total": list(b"41")}}
    assert flavor.admin.http.post(path, json=edit).status_code == 202
    wait_until(lambda: flavor.on("Counter", key, "get") == 41, "the edit to be applied")
    stale = {**edit, "new_state": {"total": list(b"0")}, "version": "stale"}
    flavor.admin.http.post(path, json=stale)
    assert flavor.on("Counter", key, "add", 1) == 42


def test_many_invocations_in_one_operation(python: Flavor) -> None:
    ids = [hung_up(python) for _ in range(3)]
    answer = python.admin.http.post(
        "/internal/invocations_batch_operations/kill", json={"invocation_ids": [*ids, UNKNOWN]}
    )
    assert answer.status_code == 200
    assert sorted(answer.json()["succeeded"]) == sorted(ids)
    assert [failed["invocation_id"] for failed in answer.json()["failed"]] == [UNKNOWN]


def test_invocations_are_queried_by_sql(flavor: Flavor) -> None:
    waiting = hung_up(flavor)
    row = flavor.admin.invocation(waiting)
    assert row is not None
    assert row["target"] == f"{flavor.prefix}Actions/waitAwakeable"
    assert row["target_service_ty"] == "service"
    assert row["invoked_by"] == "ingress"
    assert row["status"] in ("running", "suspended", "ready")
    counted = flavor.admin.query(
        "SELECT target_service_name AS name, COUNT(1) AS n FROM sys_invocation "
        f"WHERE id = '{waiting}' AND target LIKE '{flavor.prefix}%' GROUP BY target_service_name"
    )
    assert counted == [{"name": f"{flavor.prefix}Actions", "n": 1}]
    flavor.admin.patch(waiting, "kill")


def test_a_suspended_invocation_says_what_it_waits_for(flavors: dict[str, Flavor]) -> None:
    flavor = flavors["PyIdle"]
    waiting = hung_up(flavor)
    row = flavor.admin.wait_status(waiting, "suspended")
    assert row["suspended_waiting_for_signals"]
    flavor.admin.patch(waiting, "kill")


def test_the_journal_is_queried_by_sql(flavor: Flavor) -> None:
    invocation = flavor.send("steps", 1, fresh("kept"))
    flavor.result(invocation)
    assert journal(flavor, invocation) == [
        "Command: Input",
        "Command: Run",
        "Notification: Run",
        "Command: Output",
    ]
    [run] = flavor.admin.query(f"SELECT name FROM sys_journal WHERE id = '{invocation}' AND index = 1")
    assert run["name"] == "step 0"


def test_object_state_is_queried_by_sql(flavor: Flavor) -> None:
    key = fresh()
    flavor.on("Counter", key, "put", {"a": "x"})
    rows = flavor.admin.query(
        f"SELECT * FROM state WHERE service_name = '{flavor.prefix}Counter' AND service_key = '{key}'"
    )
    assert [(row["key"], row["value_utf8"], row["value"]) for row in rows] == [("a", '"x"', b'"x"'.hex())]


def test_deployments_and_services_are_listed(python: Flavor) -> None:
    services = {s["name"]: s for s in python.admin.get("/services").json()["services"]}
    assert services["PyCounter"]["ty"] == "VirtualObject"
    assert services["PyFlow"]["ty"] == "Workflow"
    assert services["PyActions"]["ty"] == "Service"
    assert services["PySecret"]["public"] is False
    deployment_id = services["PyCounter"]["deployment_id"]
    deployment = python.admin.get(f"/deployments/{deployment_id}").json()
    assert deployment["protocol_type"] == "BidiStream"
    assert deployment["sdk_version"].startswith("restate-sdk-python/")


def test_registering_what_does_not_answer_is_refused(python: Flavor) -> None:
    refused = python.admin.http.post("/deployments", json={"uri": "http://127.0.0.1:1/"})
    assert refused.status_code >= 400
    assert refused.json()["restate_code"] == "META0003"
