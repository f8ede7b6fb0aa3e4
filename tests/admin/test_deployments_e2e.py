"""Invocations that an operator moves between deployments of a real server."""

from __future__ import annotations

from pathlib import Path

import pytest
from harness import Effects, PythonService, new_server

pytestmark = [pytest.mark.e2e, pytest.mark.interop]


def test_an_invocation_moves_to_the_latest_deployment_and_restarts_from_a_prefix(tmp_path: Path) -> None:
    """Goal: what a deployment began, another goes on with. Method: the first one is dead by then."""
    effects = Effects(tmp_path / "effects")
    for folder in ("old", "new"):
        (tmp_path / folder).mkdir()
    old, new = PythonService(tmp_path / "old", effects), PythonService(tmp_path / "new", effects)
    server = new_server(tmp_path / "server")
    server.start()
    try:
        old.start()
        new.start()
        with server.admin() as admin, server.ingress() as ingress:
            admin.register(old.uri)
            invocation = ingress.send("PyActions/waitAwakeable")
            awakeable = effects.wait_for(invocation, "awakeable ")
            assert admin.patch(invocation, "pause").status_code in (200, 202)
            admin.wait_status(invocation, "paused")
            latest = admin.register(new.uri)["id"]
            old.stop()
            assert admin.patch(invocation, "resume", deployment="latest").status_code == 200
            assert ingress.post(f"/restate/awakeables/{awakeable}/resolve", "hello").status_code == 202
            row = admin.wait_status(invocation, "completed")
            assert (row["completion_result"], row["pinned_deployment_id"]) == ("success", latest)
            assert effects.count(invocation, f"awakeable {awakeable}") == 1

            journal = admin.query(f"SELECT index, entry_type FROM sys_journal WHERE id = '{invocation}'")
            runs = [int(str(entry["index"])) for entry in journal if entry["entry_type"] == "Command: Run"]
            restarted = admin.patch(invocation, "restart-as-new", **{"from": str(runs[0])})
            assert restarted.status_code == 200, restarted.text
            copy = restarted.json()["new_invocation_id"]
            admin.wait_status(copy, "running", "suspended")
            assert effects.of(copy) == [], "the copied step does not run again"
            assert admin.patch(copy, "restart-as-new", **{"from": "1"}).status_code == 409
            assert admin.patch(invocation, "restart-as-new", **{"from": "999"}).status_code == 400
    finally:
        server.stop()
        for service in (old, new):
            service.stop()
