"""Awakeables and named signals, completed by handlers and over HTTP, on every SDK and transport."""

import pytest

from .flavor import Flavor, fresh

pytestmark = [pytest.mark.e2e, pytest.mark.interop]


def waiting(flavor: Flavor) -> tuple[str, str]:
    """The ids of an invocation and of the awakeable it waits for."""
    invocation = flavor.send("waitAwakeable")
    return invocation, flavor.effects.wait_for(invocation, "awakeable ")


def test_an_awakeable_is_resolved_over_http(flavor: Flavor) -> None:
    invocation, awakeable = waiting(flavor)
    assert awakeable.startswith("sign_1")
    response = flavor.ingress.post(f"/restate/awakeables/{awakeable}/resolve", {"ok": 1})
    assert (response.status_code, response.content) == (202, b"")
    assert flavor.result(invocation) == {"ok": 1}


def test_an_awakeable_is_rejected_over_http(flavor: Flavor) -> None:
    invocation, awakeable = waiting(flavor)
    response = flavor.ingress.post(f"/restate/a/{awakeable}/reject", b"not today")
    assert response.status_code == 202
    assert flavor.failure(invocation) == (500, "not today")


def test_a_handler_resolves_an_awakeable(flavor: Flavor) -> None:
    invocation, awakeable = waiting(flavor)
    flavor.act("resolveAwakeable", {"id": awakeable, "value": [1, 2]})
    assert flavor.result(invocation) == [1, 2]


def test_a_handler_rejects_an_awakeable(flavor: Flavor) -> None:
    invocation, awakeable = waiting(flavor)
    flavor.act("rejectAwakeable", {"id": awakeable, "reason": "refused"})
    assert flavor.failure(invocation) == (500, "refused")


def test_only_the_first_completion_of_an_awakeable_counts(flavor: Flavor) -> None:
    invocation, awakeable = waiting(flavor)
    flavor.ingress.post(f"/restate/awakeables/{awakeable}/resolve", "first")
    assert flavor.result(invocation) == "first"
    again = flavor.ingress.post(f"/restate/awakeables/{awakeable}/resolve", "second")
    assert again.status_code == 202


def test_a_malformed_awakeable_id_is_refused(python: Flavor) -> None:
    assert python.ingress.post("/restate/awakeables/sign_1nonsense/resolve", 1).status_code == 400


def test_a_signal_reaches_the_handler_that_waits(flavor: Flavor) -> None:
    name = fresh("signal")
    invocation = flavor.send("waitSignal", name)
    flavor.effects.wait_for(invocation, "waiting")
    flavor.act("resolveSignal", {"id": invocation, "name": name, "value": {"n": 1}})
    assert flavor.result(invocation) == {"n": 1}


def test_a_rejected_signal_fails_the_handler(flavor: Flavor) -> None:
    name = fresh("signal")
    invocation = flavor.send("waitSignal", name)
    flavor.effects.wait_for(invocation, "waiting")
    flavor.act("rejectSignal", {"id": invocation, "name": name, "reason": "no signal"})
    assert flavor.failure(invocation) == (500, "no signal")
