"""State of virtual objects, eager and lazy, and the promises and state of workflows."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from harness import wait_until
from sdk_suite.family import Family, fresh

pytestmark = [pytest.mark.e2e, pytest.mark.interop]

stores = pytest.mark.parametrize("store", ["Store", "LazyStore"])


@stores
def test_state_is_set_read_and_listed(family: Family, store: str) -> None:
    object_ = f"{store}/{fresh()}"
    assert family.call(f"{object_}/total") is None
    assert family.call(f"{object_}/add", 2) == 2
    assert family.call(f"{object_}/add", 3) == 5
    assert family.call(f"{object_}/total") == 5
    assert family.call(f"{object_}/put", {"b": [1], "a": {"x": None}}) == ["a", "b", "total"]
    assert family.call(f"{object_}/keys") == ["a", "b", "total"]
    assert family.call(f"{object_}/read", "a") == {"x": None}


@stores
def test_state_is_cleared(family: Family, store: str) -> None:
    object_ = f"{store}/{fresh()}"
    family.call(f"{object_}/put", {"a": 1, "b": 2})
    assert family.call(f"{object_}/clear", "a") == [None, ["b"]]
    assert family.call(f"{object_}/clear_all") == ["after"]
    assert family.call(f"{object_}/keys") == ["after"]


@stores
def test_state_has_types(family: Family, store: str) -> None:
    object_ = f"{store}/{fresh()}"
    expected = ["Customer", "x", "Order", "b", "00ff"]
    assert family.call(f"{object_}/typed") == expected
    assert family.call(f"{object_}/typed_again") == expected


@stores
def test_reads_are_replayed(family: Family, store: str) -> None:
    object_ = f"{store}/{fresh()}"
    assert family.call(f"{object_}/steadily", 4) == [0, 1, 2, 3]
    assert family.call(f"{object_}/steadily", 2) == [4, 5]
    assert family.call(f"{object_}/unset_steadily") == [None, "x", ["steady"], None, ["none", "steady"]]


def test_one_exclusive_handler_at_a_time(family: Family) -> None:
    object_ = f"Store/{fresh()}"
    with ThreadPoolExecutor(8) as pool:
        totals = list(pool.map(lambda _: family.call(f"{object_}/add_slowly", 1), range(8)))
    assert sorted(str(total) for total in totals) == [str(total) for total in range(1, 9)]


def test_shared_handlers_run_beside_an_exclusive_one_and_cannot_write(family: Family) -> None:
    key = fresh("ключ/with slash").replace("/", "%2F")
    object_ = f"Store/{key}"
    holder = family.send(f"{object_}/hold")
    awakeable = family.effects.wait_for(holder, "awakeable ")
    assert "shared" in str(family.call(f"{object_}/writes_in_shared"))
    assert str(family.call(f"{object_}/key")).startswith("ключ/with slash")
    family.ingress.post(f"/restate/awakeables/{awakeable}/resolve", "done")
    assert family.result(holder) == "done"


def test_a_workflow_waits_for_a_promise(family: Family) -> None:
    workflow = f"Flow/{fresh()}"
    run = family.ingress.send(family.path(f"{workflow}/run"), "Ada")
    wait_until(lambda: family.call(f"{workflow}/status") == "waiting", "the workflow to wait")
    assert family.call(f"{workflow}/peek", "approval") is None
    family.call(f"{workflow}/approve", True)
    assert str(family.result(run)).startswith("Ada: True")
    assert family.call(f"{workflow}/status") == "approved"
    assert family.call(f"{workflow}/peek", "approval") is True


def test_a_rejected_promise_fails_the_workflow(family: Family) -> None:
    workflow = f"Flow/{fresh()}"
    run = family.ingress.send(family.path(f"{workflow}/run"), "Ada")
    family.call(f"{workflow}/reject", "not you")
    assert family.failure(run) == (403, "not you")


def test_a_workflow_runs_once_per_key(family: Family) -> None:
    workflow = f"Flow/{fresh()}"
    run = family.ingress.send(family.path(f"{workflow}/run"), "Ada")
    again = family.ingress.post(f"{family.path(workflow)}/run/send", "Eve")
    assert again.json()["invocationId"] == run
    assert again.json()["status"] == "PreviouslyAccepted"
    family.call(f"{workflow}/approve", False)
    assert str(family.result(run)).startswith("Ada: False")
    assert family.effects.of(run) == ["run"]


def test_a_promise_is_completed_once(family: Family) -> None:
    workflow = f"Flow/{fresh()}"
    assert family.call(f"{workflow}/twice") == [409, 409, "first", "first"]
    assert family.call(f"{workflow}/typed") == [None, "Order", 3]
    family.call(f"{workflow}/resolve_unawaited", "later")
    assert family.call(f"{workflow}/wait_for", "later") == "unawaited"
