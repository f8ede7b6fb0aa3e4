"""Steps, sleeps, calls, sends, combinators and failures, on every SDK and transport."""

import time

import pytest

from .flavor import Arrangement, Flavor, fresh

pytestmark = [pytest.mark.e2e, pytest.mark.interop]


def test_a_call_answers_what_the_handler_returned(flavor: Flavor) -> None:
    value = {"text": "hällo", "list": [1, 2.5, None, True]}
    assert flavor.act("echo", value) == value


def test_each_step_runs_once_and_in_order(flavor: Flavor) -> None:
    invocation = flavor.send("steps", 4)
    labels = [f"step {i}" for i in range(4)]
    assert flavor.result(invocation) == labels
    assert flavor.effects.of(invocation) == labels


def test_a_failing_step_is_retried_by_its_own_policy(flavor: Flavor) -> None:
    invocation = flavor.send("runFailsThenSucceeds", 3)
    assert flavor.result(invocation) == 4
    assert flavor.effects.count(invocation, "attempt") == 4


def test_a_step_gives_up_after_its_last_attempt(flavor: Flavor) -> None:
    invocation = flavor.send("runGivesUp")
    assert flavor.result(invocation) == "gave up"
    assert flavor.effects.count(invocation, "attempt") == 3


def test_a_terminal_failure_of_a_step_is_not_retried(flavor: Flavor) -> None:
    invocation = flavor.send("runFailsForGood")
    code, message = flavor.failure(invocation)
    assert code == 418
    assert "short and stout" in message
    assert flavor.effects.count(invocation, "attempt") == 1


def test_a_terminal_error_reaches_the_client_with_code_message_and_metadata(
    flavor: Flavor, arrangement: Arrangement
) -> None:
    if arrangement.protocol_version < 6:
        pytest.skip("failures have metadata from protocol version 6 on")
    flavor.needs("metadata")
    response = flavor.post("fails", {"message": "no", "code": 422, "metadata": {"field": "age"}})
    assert response.status_code == 422
    assert response.headers["content-type"] == "application/json"
    assert response.headers["x-restate-error-source"] == "invocation"
    body = response.json()
    assert (body["code"], body["message"], body["source"]) == (422, "no", "invocation")
    assert body["metadata"] == {"field": "age"}


def test_a_handler_that_fails_for_now_is_retried(flavor: Flavor) -> None:
    invocation = flavor.send("flaky", 2)
    assert flavor.result(invocation) == 3
    assert flavor.effects.count(invocation, "attempt") == 3


def test_a_retryable_error_names_its_own_delay(flavor: Flavor) -> None:
    started = time.monotonic()
    assert flavor.act("retryAfter", 300) == "recovered"
    assert time.monotonic() - started >= 0.3


def test_a_sleep_lasts_at_least_its_duration(flavor: Flavor) -> None:
    started = time.monotonic()
    assert flavor.act("nap", 200) == "rested"
    assert time.monotonic() - started >= 0.2


def test_a_handler_calls_another(flavor: Flavor) -> None:
    assert flavor.act("callEcho", {"deep": [1]}) == {"deep": [1]}


def test_calls_run_side_by_side_and_keep_their_order(flavor: Flavor) -> None:
    assert flavor.act("callMany", 12) == list(range(12))


def test_a_generic_call_reaches_an_object(flavor: Flavor) -> None:
    key = fresh()
    target = {"service": f"{flavor.prefix}Counter", "key": key, "handler": "add", "argument": 3}
    assert flavor.act("call", target) == 3
    assert flavor.act("call", target) == 6


def test_the_callee_s_failure_is_the_caller_s(flavor: Flavor) -> None:
    target = {
        "service": f"{flavor.prefix}Actions",
        "handler": "fails",
        "argument": {"message": "inner", "code": 418},
    }
    response = flavor.post("call", target)
    assert response.status_code == 418
    assert response.json()["message"] == "inner"


def test_a_send_is_detached_and_names_its_invocation(flavor: Flavor) -> None:
    target = {"service": f"{flavor.prefix}Actions", "handler": "echo", "argument": "sent"}
    callee = flavor.act("send", target)
    assert isinstance(callee, str)
    assert callee.startswith("inv_1")
    assert flavor.result(callee) == "sent"


def test_a_delayed_send_waits(flavor: Flavor) -> None:
    target = {"service": f"{flavor.prefix}Actions", "handler": "now", "delayMs": 400}
    before_ms = time.time() * 1000
    callee = flavor.act("send", target)
    ran_at_ms = flavor.result(str(callee))
    assert isinstance(ran_at_ms, int | float)
    assert ran_at_ms >= before_ms + 400


def test_two_sends_with_one_idempotency_key_are_one_invocation(flavor: Flavor) -> None:
    target = {
        "service": f"{flavor.prefix}Counter",
        "key": fresh(),
        "handler": "add",
        "argument": 1,
        "idempotencyKey": fresh("once"),
    }
    first, second = flavor.act("send", target), flavor.act("send", target)
    assert first == second
    assert flavor.result(str(first)) == 1
    assert flavor.on("Counter", str(target["key"]), "get") == 1


def test_a_handler_cancels_its_callee(flavor: Flavor) -> None:
    assert flavor.act("callThenCancel") == 409


def test_a_handler_attaches_to_a_running_invocation(flavor: Flavor) -> None:
    running = flavor.send("nap", 300)
    assert flavor.act("attachTo", running) == "rested"


def test_a_handler_attaches_to_a_finished_invocation(flavor: Flavor) -> None:
    finished = flavor.send("echo", "done", fresh("kept"))
    assert flavor.result(finished) == "done"
    assert flavor.act("attachTo", finished) == "done"


def test_random_numbers_are_the_same_on_every_attempt(flavor: Flavor) -> None:
    first, second = flavor.act("identity"), flavor.act("identity")
    assert isinstance(first, dict)
    assert isinstance(second, dict)
    assert first["drawn"] == first["journaled"]
    assert second["drawn"] == second["journaled"]
    assert first["drawn"] != second["drawn"]


def test_the_clock_is_journaled(flavor: Flavor) -> None:
    before_ms = time.time() * 1000
    now_ms = flavor.act("now")
    assert isinstance(now_ms, int | float)
    assert before_ms - 1 <= now_ms <= time.time() * 1000


def test_combinators_agree_with_the_journal(flavor: Flavor) -> None:
    assert flavor.act("combine") == {
        "race": "early",
        "any": "second",
        "all": ["a", "b", "c"],
        "settled": ["fine", "broken"],
    }


def test_a_timeout_beats_what_never_comes(flavor: Flavor) -> None:
    assert flavor.act("timeout", 50) == "timed out"


def test_request_headers_reach_the_handler(flavor: Flavor) -> None:
    headers = flavor.post("headers", headers={"x-flavor": "vanilla", "idempotency-key": fresh()}).json()
    assert headers["x-flavor"] == "vanilla"
    assert "idempotency-key" not in headers
    assert "host" not in headers


def test_a_large_value_survives_both_ways(flavor: Flavor) -> None:
    value = "x" * 1_500_000
    assert flavor.act("echo", value) == value
