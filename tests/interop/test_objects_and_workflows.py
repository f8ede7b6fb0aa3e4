"""Virtual object state and order, workflow promises, on every SDK and transport."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from .flavor import Flavor, fresh

pytestmark = [pytest.mark.e2e, pytest.mark.interop]

COUNTERS = ("Counter", "LazyCounter")


@pytest.mark.parametrize("counter", COUNTERS)
def test_state_is_kept_per_key(flavor: Flavor, counter: str) -> None:
    one, other = fresh(), fresh()
    assert flavor.on(counter, one, "get") is None
    assert flavor.on(counter, one, "add", 2) == 2
    assert flavor.on(counter, one, "add", 3) == 5
    assert flavor.on(counter, other, "add", 7) == 7
    assert flavor.on(counter, one, "get") == 5


@pytest.mark.parametrize("counter", COUNTERS)
def test_keys_are_listed_cleared_and_all_cleared(flavor: Flavor, counter: str) -> None:
    key = fresh()
    assert flavor.on(counter, key, "put", {"b": 1, "a": "", "ü": None}) == ["a", "b", "ü"]
    flavor.on(counter, key, "clear", "b")
    assert flavor.on(counter, key, "keys") == ["a", "ü"]
    flavor.on(counter, key, "clearAll")
    assert flavor.on(counter, key, "keys") == []


@pytest.mark.parametrize("counter", COUNTERS)
def test_one_key_is_never_updated_by_two_at_once(flavor: Flavor, counter: str) -> None:
    key = fresh()
    with ThreadPoolExecutor(8) as pool:
        totals = list(pool.map(lambda _: flavor.on(counter, key, "addSlowly", 1), range(8)))
    assert sorted(str(total) for total in totals) == [str(i) for i in range(1, 9)]
    assert flavor.on(counter, key, "get") == 8


def test_one_key_works_in_the_order_of_arrival(flavor: Flavor) -> None:
    key = fresh()
    holder = flavor.ingress.send(flavor.path("Counter", "hold", key))
    awakeable = flavor.effects.wait_for(holder, "awakeable ")
    queued = [flavor.ingress.send(flavor.path("Counter", "append", key), i) for i in range(5)]
    assert flavor.ingress.output(queued[0]).status_code == 470
    assert flavor.ingress.post(f"/restate/awakeables/{awakeable}/resolve", "go").status_code == 202
    assert flavor.result(queued[-1]) == [0, 1, 2, 3, 4]


def test_a_shared_handler_does_not_wait_for_an_exclusive_one(flavor: Flavor) -> None:
    key = fresh()
    flavor.on("Counter", key, "add", 1)
    holder = flavor.ingress.send(flavor.path("Counter", "hold", key))
    awakeable = flavor.effects.wait_for(holder, "awakeable ")
    assert flavor.on("Counter", key, "get") == 1
    flavor.ingress.post(f"/restate/awakeables/{awakeable}/resolve", "done")
    assert flavor.result(holder) == "done"


def test_an_odd_key_travels_unharmed(flavor: Flavor) -> None:
    key = fresh("a b/ü%") + "?#"
    encoded = "".join(f"%{byte:02X}" for byte in key.encode())
    assert flavor.ingress.call(f"/{flavor.prefix}Counter/{encoded}/add", 4) == 4
    target = {"service": f"{flavor.prefix}Counter", "key": key, "handler": "add", "argument": 1}
    assert flavor.act("call", target) == 5


def test_a_workflow_waits_for_its_promise(flavor: Flavor) -> None:
    key = fresh("order")
    run = flavor.ingress.send(flavor.path("Flow", "run", key), {"item": 1})
    flavor.effects.wait_for(run, "run")
    assert flavor.on("Flow", key, "peek") is None
    assert flavor.on("Flow", key, "stage") == "waiting"
    assert flavor.on("Flow", key, "approve", {"by": "ann"}) is None
    assert flavor.result(run) == {"key": key, "input": {"item": 1}, "decision": {"by": "ann"}}
    assert flavor.on("Flow", key, "peek") == {"by": "ann"}
    assert flavor.on("Flow", key, "stage") == "decided"


def test_a_promise_resolved_early_is_not_lost(flavor: Flavor) -> None:
    key = fresh("early")
    flavor.on("Flow", key, "approve", "before")
    assert flavor.on("Flow", key, "run", 0) == {"key": key, "input": 0, "decision": "before"}


def test_a_rejected_promise_fails_the_workflow(flavor: Flavor) -> None:
    key = fresh("rejected")
    run = flavor.ingress.send(flavor.path("Flow", "run", key), 0)
    flavor.on("Flow", key, "reject", "too dear")
    code, message = flavor.failure(run)
    assert code == 500
    assert "too dear" in message


def test_a_promise_is_completed_once(flavor: Flavor) -> None:
    flavor.needs("refusals of promises")
    key = fresh("twice")
    flavor.on("Flow", key, "approve", 1)
    response = flavor.ingress.post(flavor.path("Flow", "approve", key), 2)
    assert response.status_code == 409
    assert flavor.on("Flow", key, "peek") == 1


def test_a_workflow_runs_once_per_key(flavor: Flavor) -> None:
    key = fresh("once")
    path = flavor.path("Flow", "run", key)
    first = flavor.ingress.post(f"{path}/send", "a")
    second = flavor.ingress.post(f"{path}/send", "b")
    assert (first.status_code, first.json()["status"]) == (202, "Accepted")
    assert (second.status_code, second.json()["status"]) == (202, "PreviouslyAccepted")
    assert first.json()["invocationId"] == second.json()["invocationId"]
    called = flavor.ingress.post(path, "c")
    assert called.status_code == 409
    flavor.on("Flow", key, "approve", "yes")
    for how in ("attach", "output"):
        done = flavor.ingress.get(f"/restate/workflow/{flavor.prefix}Flow/{key}/{how}")
        if how == "attach" or done.status_code == 200:
            assert done.json() == {"key": key, "input": "a", "decision": "yes"}
