"""Beside deployments of other protocol versions and of the official SDK, on one server."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import Effects, PythonService, Server
from sdk_suite.family import PREFIXES, Family, fresh

pytestmark = [pytest.mark.e2e, pytest.mark.interop]


@pytest.fixture(scope="module")
def official(server: Server, work_dir: Path, effects: Effects) -> Iterator[str]:
    """The interop services on the official Python SDK; the name of one of them."""
    service = PythonService(work_dir, effects)
    try:
        service.start()
        with server.admin() as admin:
            admin.register(service.uri)
        yield "PyActions"
    finally:
        service.stop()


def act(family: Family, official: str, handler: str, body: object = None) -> object:
    return family.ingress.call(f"/{official}/{handler}", body)


def test_calls_between_versions_and_transports(family: Family) -> None:
    for prefix in PREFIXES:
        target = {"service": f"{prefix}Leaf", "handler": "order", "argument": {"item": "tea", "count": 1}}
        assert family.call("Calls/anybody", target) == {"item": "TEA", "count": 2}
        failing = {"service": f"{prefix}Leaf", "handler": "fails", "argument": "sorry"}
        answer = family.call("Calls/anybody", failing)
        assert isinstance(answer, list)
        # What a callee ended with is the server's: also callers of versions without metadata are told it.
        metadata = {"why": "sorry"} if not prefix.startswith("V5") else {}
        assert answer == [418, "sorry", metadata]


def test_calls_to_the_official_sdk(family: Family, official: str) -> None:
    echo = {"service": official, "handler": "echo", "argument": {"a": [1, None, "ö"]}}
    assert family.call("Calls/anybody", echo) == {"a": [1, None, "ö"]}
    add = {"service": "PyCounter", "handler": "add", "key": fresh(), "argument": 3}
    assert family.call("Calls/anybody", add) == 3
    fails = {"service": official, "handler": "fails", "argument": {"message": "no", "code": 451}}
    answer = family.call("Calls/anybody", fails)
    assert isinstance(answer, list)
    assert answer[:2] == [451, "no"]


def test_calls_from_the_official_sdk(family: Family, official: str) -> None:
    order = {"service": f"{family.prefix}Leaf", "handler": "order", "argument": {"item": "tea", "count": 1}}
    assert act(family, official, "call", order) == {"item": "TEA", "count": 2}
    assert act(family, official, "call", {"service": f"{family.prefix}Leaf", "handler": "ping"}) == "pong"
    bad = family.ingress.post(f"/{official}/call", {**order, "argument": {"item": 7}})
    assert bad.status_code == 400


def test_awakeables_across_sdks(family: Family, official: str) -> None:
    theirs = family.ingress.send(f"/{official}/waitAwakeable", idempotency_key=fresh())
    family.call("Calls/resolves", family.effects.wait_for(theirs, "awakeable "))
    assert family.result(theirs) == {"item": "coffee", "count": 2}
    ours = family.started("Calls/awaits", mark="awakeable ")
    awakeable = family.effects.wait_for(ours, "awakeable ")
    act(family, official, "resolveAwakeable", {"id": awakeable, "value": {"item": "tea", "count": 1}})
    assert family.result(ours) == ["Order", "tea", 1]


def test_signals_across_sdks(family: Family, official: str) -> None:
    theirs = family.ingress.send(f"/{official}/waitSignal", "order", idempotency_key=fresh())
    family.effects.wait_for(theirs, "waiting")
    family.call("Calls/signals", theirs)
    assert family.result(theirs) == {"item": "tea", "count": 1}
    ours = family.started("Calls/awaits_signals", mark="waiting")
    for item in ("a", "b"):
        value = {"item": item, "count": 1}
        act(family, official, "resolveSignal", {"id": ours, "name": "order", "value": value})
    act(family, official, "rejectSignal", {"id": ours, "name": "stop", "reason": "enough"})
    assert family.result(ours) == ["a", "b", 500, "enough"]


def test_attaching_and_cancelling_across_sdks(family: Family, official: str) -> None:
    ours = family.send("Leaf/effect", "attached to")
    assert act(family, official, "attachTo", ours) == ours
    sleeping = family.started("Ends/sleeps")
    act(family, official, "cancelOther", sleeping)
    assert family.failure(sleeping)[0] == 409
    theirs = family.ingress.send(f"/{official}/cleanup", idempotency_key=fresh())
    family.effects.wait_for(theirs, "started")
    family.settle(theirs)
    family.call("Calls/cancels", theirs)
    assert family.failure(theirs)[0] == 409
    assert family.effects.count(theirs, "cleaned up") == 1
