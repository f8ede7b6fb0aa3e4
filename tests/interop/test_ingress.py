"""The ingress as clients meet it: idempotency, attach, output, lookup, sends, refusals.

These tests are about the server alone, so they run on one SDK (protocol, section 7).
"""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from .flavor import Flavor, fresh

pytestmark = [pytest.mark.e2e, pytest.mark.interop]

UNKNOWN = "inv_1" + "0" * 33


def test_an_idempotency_key_makes_a_call_happen_once(python: Flavor) -> None:
    key, once = fresh(), fresh("once")
    path = python.path("Counter", "add", key)
    answers = [python.ingress.post(path, 1, {"idempotency-key": once}) for _ in range(3)]
    assert [answer.json() for answer in answers] == [1, 1, 1]
    assert len({answer.headers["x-restate-id"] for answer in answers}) == 1
    assert "idempotency-expires" in answers[-1].headers
    assert python.on("Counter", key, "get") == 1


def test_concurrent_calls_with_one_key_share_one_result(python: Flavor) -> None:
    key, once = fresh(), fresh("once")
    path = python.path("Counter", "addSlowly", key)
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: python.ingress.call(path, 1, once), range(6)))
    assert answers == [1] * 6


def test_failures_are_remembered_under_the_key_too(python: Flavor) -> None:
    once = {"idempotency-key": fresh("once")}
    request = {"message": "kept", "code": 418}
    first, second = (python.post("fails", request, once) for _ in range(2))
    assert first.status_code == second.status_code == 418
    assert first.headers["x-restate-id"] == second.headers["x-restate-id"]


def test_a_send_says_accepted_then_previously_accepted(python: Flavor) -> None:
    path, once = python.path("Actions", "nap") + "/send", {"idempotency-key": fresh("once")}
    first, second = (python.ingress.post(path, 50, once) for _ in range(2))
    assert first.status_code == second.status_code == 202
    assert first.json()["status"] == "Accepted"
    assert second.json()["status"] == "PreviouslyAccepted"
    assert first.json()["invocationId"] == second.json()["invocationId"] == first.headers["x-restate-id"]


def test_the_newer_call_and_send_paths(python: Flavor) -> None:
    key = fresh()
    assert python.ingress.call(f"/restate/call/PyCounter/{key}/add", 2) == 2
    sent = python.ingress.post(f"/restate/send/PyCounter/{key}/add", 3)
    assert sent.status_code == 202
    assert python.result(sent.json()["invocationId"]) == 5


@pytest.mark.parametrize("delay", ["PT0.4S", "400ms"])
def test_a_delayed_send_runs_when_it_is_due(python: Flavor, delay: str) -> None:
    before_ms = time.time() * 1000
    sent = python.ingress.post(python.path("Actions", "now") + "/send", params={"delay": delay})
    assert sent.status_code == 202
    assert "executionTime" in sent.json()
    ran_at_ms = python.result(sent.json()["invocationId"])
    assert isinstance(ran_at_ms, int | float)
    assert ran_at_ms >= before_ms + 400


def test_a_delay_on_a_call_is_refused(python: Flavor) -> None:
    refused = python.ingress.post(python.path("Actions", "now"), params={"delay": "1s"})
    assert refused.status_code == 400


def test_output_says_not_ready_then_the_result(python: Flavor) -> None:
    invocation, awakeable_path = python.send("waitAwakeable", None, fresh("kept")), "/restate/awakeables"
    awakeable = python.effects.wait_for(invocation, "awakeable ")
    not_ready = python.ingress.output(invocation)
    assert not_ready.status_code == 470
    assert not_ready.json()["source"] == "ingress"
    python.ingress.post(f"{awakeable_path}/{awakeable}/resolve", "now")
    assert python.result(invocation) == "now"
    ready = python.ingress.output(invocation)
    assert (ready.status_code, ready.json()) == (200, "now")
    assert ready.headers["x-restate-id"] == invocation


def test_attach_and_output_by_idempotency_key(python: Flavor) -> None:
    key, once = fresh(), fresh("once")
    python.ingress.call(python.path("Counter", "add", key), 5, once)
    for how in ("attach", "output"):
        found = python.ingress.get(f"/restate/invocation/PyCounter/{key}/add/{once}/{how}")
        assert (found.status_code, found.json()) == (200, 5)


def test_targets_named_in_a_body(python: Flavor) -> None:
    key, once = fresh(), fresh("once")
    path = python.path("Counter", "add", key)
    invocation = python.ingress.post(path, 6, {"idempotency-key": once}).headers["x-restate-id"]
    target = {
        "target": "idempotentInvocation",
        "service": "PyCounter",
        "key": key,
        "handler": "add",
        "idempotencyKey": once,
    }
    assert python.ingress.call("/restate/lookup", target) == {"invocationId": invocation}
    assert python.ingress.call("/restate/attach", target) == 6
    by_id = {"target": "invocation", "invocationId": invocation}
    assert python.ingress.call("/restate/output", by_id) == 6


def test_workflow_targets_named_in_a_body(python: Flavor) -> None:
    key = fresh("flow")
    target = {"target": "workflow", "workflowName": "PyFlow", "workflowKey": key}
    run = python.ingress.send(python.path("Flow", "run", key), 1)
    assert python.ingress.call("/restate/lookup", target) == {"invocationId": run}
    assert python.ingress.post("/restate/output", target).status_code == 470
    python.on("Flow", key, "approve", 2)
    assert python.ingress.call("/restate/attach", target) == {"key": key, "input": 1, "decision": 2}


def test_an_unknown_invocation_is_not_found(python: Flavor) -> None:
    assert python.ingress.output(UNKNOWN).status_code == 404
    assert python.ingress.attach(UNKNOWN).status_code == 404
    assert python.ingress.output("inv_1short").status_code == 400


def test_a_private_service_answers_handlers_only(flavor: Flavor) -> None:
    refused = flavor.ingress.post(f"/{flavor.prefix}Secret/tell")
    assert refused.status_code == 400
    assert refused.headers["x-restate-error-source"] == "ingress"
    assert flavor.act("call", {"service": f"{flavor.prefix}Secret", "handler": "tell"}) == "told"


def test_input_has_to_match_the_handler(python: Flavor) -> None:
    path = python.path("Actions", "steps")
    wrong_type = python.ingress.post(path, b"1", {"content-type": "text/plain"})
    assert wrong_type.status_code == 400
    assert "input validation error" in wrong_type.json()["message"]
    assert (
        python.ingress.post(path, b"1", {"content-type": "application/json; charset=utf-8"}).status_code
        == 200
    )
    refused_send = python.ingress.post(f"{path}/send", b"1", {"content-type": "text/plain"})
    assert refused_send.status_code == 400


def test_a_handler_without_input_refuses_a_body(python: Flavor) -> None:
    path = python.path("Actions", "now")
    assert python.ingress.post(path, 1).status_code == 400
    assert python.ingress.post(path).status_code == 200


@pytest.mark.parametrize(
    ("path", "status", "message"),
    [
        ("/Nobody/home", 404, "service 'Nobody' not found"),
        ("/PyActions/nothing", 404, "handler 'nothing' was not found"),
        ("/PyActions", 400, "bad path"),
        ("/a/b/c/d/e/f/g/h/i", 400, "bad path"),
    ],
)
def test_a_wrong_path_says_what_is_wrong(python: Flavor, path: str, status: int, message: str) -> None:
    refused = python.ingress.post(path, 1)
    assert refused.status_code == status
    assert refused.headers["x-restate-error-source"] == "ingress"
    assert message in refused.json()["message"]


def test_other_methods_are_refused(python: Flavor) -> None:
    assert python.ingress.http.put(python.path("Actions", "echo"), json=1).status_code == 405


def test_health_lists_the_services(python: Flavor) -> None:
    listed = python.ingress.get("/restate/health").json()["services"]
    assert {"PyActions", "PyCounter", "PyFlow"} <= set(listed)


def test_any_origin_may_call(python: Flavor) -> None:
    origin = {"origin": "https://app.example"}
    preflight = python.ingress.http.options(
        python.path("Actions", "echo"), headers={**origin, "access-control-request-method": "POST"}
    )
    assert preflight.status_code == 200
    assert preflight.headers["access-control-allow-origin"] == origin["origin"]
    answer = python.ingress.post(python.path("Actions", "echo"), 1, origin)
    assert answer.headers["access-control-allow-origin"] == origin["origin"]
