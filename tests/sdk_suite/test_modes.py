"""That the transports of the suite are what their names say: else the other tests would show nothing."""

import pytest
from harness import Server
from harness.servers import chosen
from sdk_suite.family import Family

pytestmark = [pytest.mark.e2e, pytest.mark.interop]


def test_the_server_is_the_one_asked_for(server: Server) -> None:
    assert server.name == chosen()
    command = " ".join(server.process.command)
    assert ("restate-server" in command) == (chosen() == "restate")
    assert server.process.alive


def test_who_suspends_and_who_does_not(family: Family) -> None:
    invocation = family.started("Calls/awaits", mark="awakeable ")
    awakeable = family.effects.wait_for(invocation, "awakeable ")
    if family.prefix.endswith(("Idle", "Rr")):
        family.admin.wait_status(invocation, "suspended")
    else:
        assert family.admin.status(invocation) == "running"
    family.ingress.post(f"/restate/awakeables/{awakeable}/resolve", {"item": "tea", "count": 1})
    assert family.result(invocation) == ["Order", "tea", 1]
