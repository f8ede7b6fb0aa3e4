"""Awakeables and named signals: completed over HTTP and by handlers, with values and with failures."""

import pytest
from sdk_suite.family import Family

pytestmark = [pytest.mark.e2e, pytest.mark.interop]


def waiting(family: Family) -> tuple[str, str]:
    """An invocation that waits, and the id of its awakeable."""
    invocation = family.send("Calls/awaits")
    return invocation, family.effects.wait_for(invocation, "awakeable ")


def test_resolved_over_http(family: Family) -> None:
    invocation, awakeable = waiting(family)
    family.ingress.post(f"/restate/awakeables/{awakeable}/resolve", {"item": "tea", "count": 1})
    assert family.result(invocation) == ["Order", "tea", 1]


def test_rejected_over_http(family: Family) -> None:
    invocation, awakeable = waiting(family)
    family.ingress.http.post(f"/restate/awakeables/{awakeable}/reject", content="no tea")
    code, message = family.failure(invocation)
    assert (code, message) == (500, "no tea")


def test_resolved_by_a_handler(family: Family) -> None:
    invocation, awakeable = waiting(family)
    family.call("Calls/resolves", awakeable)
    assert family.result(invocation) == ["Order", "coffee", 2]


def test_rejected_by_a_handler(family: Family) -> None:
    invocation, awakeable = waiting(family)
    family.call("Calls/rejects", awakeable)
    assert family.failure(invocation) == (503, "no coffee")


def test_resolved_with_nothing(family: Family) -> None:
    for by_http in (True, False):
        invocation = family.started("Calls/awaits_anything", mark="awakeable ")
        awakeable = family.effects.wait_for(invocation, "awakeable ")
        if by_http:
            answer = family.ingress.http.post(f"/restate/awakeables/{awakeable}/resolve")
            assert answer.status_code == 202, answer.text
        else:
            family.call("Calls/resolves_with_nothing", awakeable)
        assert family.result(invocation) == ["came", None]


def test_two_at_once_in_either_order(family: Family) -> None:
    invocation = family.send("Calls/awaits_two")
    ids = [family.effects.wait_for(invocation, f"{label} ") for label in ("first", "second")]
    for id_, value in reversed(list(zip(ids, "ab", strict=True))):
        family.ingress.post(f"/restate/awakeables/{id_}/resolve", value)
    assert family.result(invocation) == ["a", "b"]


def test_an_invocation_may_complete_its_own(family: Family) -> None:
    assert family.call("Calls/awaits_itself") == "from within"


def test_named_signals_come_in_order(family: Family) -> None:
    invocation = family.send("Calls/awaits_signals")
    family.effects.wait_for(invocation, "waiting")
    family.call("Calls/signals", invocation)
    assert family.result(invocation) == ["tea", "coffee", 429, "enough"]
