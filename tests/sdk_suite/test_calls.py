"""Calls and sends between handlers, and what can be done with an invocation by its id."""

import pytest
from harness import wait_until
from harness.servers import chosen
from sdk_suite.family import Family, fresh

pytestmark = [pytest.mark.e2e, pytest.mark.interop]

UNKNOWN = "inv_1" + "0" * 33


def test_calls_by_reference(family: Family) -> None:
    assert family.call("Calls/by_reference") == {
        "echo": {"a": [1, None]},
        "ping": "pong",
        "order": ["Order", "TEA", 2],
        "parallel": [0, 1, 2, 3, 4],
    }


def test_calls_by_name(family: Family) -> None:
    key = fresh()
    assert family.call("Calls/by_name", key) == {
        "service": "x",
        "typed": "TEA",
        "object": [2, 5],
        "workflow": f"Ada: True ({key})",
    }


def test_a_failed_call_raises_what_the_callee_ended_with(family: Family) -> None:
    metadata = {"why": "sorry"} if family.version >= 6 else {}
    assert family.call("Calls/failure") == [418, "sorry", metadata]
    assert family.failure(family.send("Calls/failure_uncaught")) == (418, "sorry")


def test_headers_of_a_call(family: Family) -> None:
    headers = family.call("Calls/with_headers")
    assert isinstance(headers, dict)
    assert (headers["x-colour"], headers["x-shape"]) == ("blue", "round")


def test_a_call_with_an_idempotency_key_runs_once(family: Family) -> None:
    answer = family.call("Calls/idempotent", fresh())
    assert isinstance(answer, dict)
    results, ids = answer["results"], answer["ids"]
    assert isinstance(results, list)
    assert isinstance(ids, list)
    [id_] = {*results, *ids}
    assert family.effects.of(str(id_)) == ["once"]


def test_a_send(family: Family) -> None:
    sent = str(family.call("Calls/sends", 0))
    family.effects.wait_for(sent, "sent")


def test_a_delayed_send(family: Family) -> None:
    family.effects.wait_for(str(family.call("Calls/sends", 0.05)), "sent")
    later = str(family.call("Calls/sends", 3600))
    family.admin.wait_status(later, "scheduled")
    assert family.effects.of(later) == []


def test_a_callee_is_cancelled(family: Family) -> None:
    answer = family.call("Calls/cancels_a_callee")
    assert isinstance(answer, list)
    assert answer[1] == 409
    # It may have been cancelled before it began, or while a thread was about to write its first mark.
    marks = family.effects.of(str(answer[0]))
    assert "cleaned up" in marks or not marks


def test_what_was_sent_is_cancelled(family: Family) -> None:
    sent = str(family.call("Calls/cancels_a_send"))
    wait_until(lambda: family.admin.status(sent) in (None, "completed"), f"{sent} to end")


def test_attaching(family: Family) -> None:
    assert family.call("Calls/attaches") == {"attached": "TEA", "output": "TEA"}
    assert family.call("Calls/output_of_running") is None


def test_attaching_to_a_failure(family: Family) -> None:
    failed = family.send("Leaf/fails", "gone")
    assert family.call("Calls/attach_failure", failed) == [418, "gone"]


def test_attaching_to_what_does_not_exist(family: Family) -> None:
    answer = family.call("Calls/attach_failure", UNKNOWN)
    assert isinstance(answer, list)
    assert answer[0] == 404


def test_a_call_nobody_waits_for_goes_on(family: Family) -> None:
    callee = str(family.call("Calls/stops_waiting"))
    wait_until(lambda: family.admin.status(callee) in (None, "completed"), f"{callee} to end")
    assert "cleaned up" not in family.effects.of(callee)


def test_request(family: Family) -> None:
    response = family.post("Calls/request", {"a": 1}, {"x-Colour": "blue"})
    answer = response.json()
    assert answer["id"] == response.headers["x-restate-id"]
    assert answer["same"]
    assert answer["headers"]["x-colour"] == "blue"
    assert answer["value"] == {"a": 1}
    assert answer["body"] == '{"a":1}'


def test_request_with_an_idempotency_key(family: Family) -> None:
    key = fresh()
    answer = family.call("Calls/request", 1, {"idempotency-key": key})
    assert isinstance(answer, dict)
    # Version 7 has a field for it, which not every server of that version fills.
    told = {key} if chosen() == "holdfast" else {key, None}
    assert answer["idempotency_key"] in (told if family.version >= 7 else {None})
