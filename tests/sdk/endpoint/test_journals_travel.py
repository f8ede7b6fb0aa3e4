"""A journal from a running server, replayed against the code that wrote it and against other code."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from harness import Effects, Server
from sdk.endpoint.ways import HOLDFAST, MODULE, TESTS

pytestmark = pytest.mark.e2e


def holdfast(*arguments: str | Path, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [HOLDFAST, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(TESTS), **env},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


@pytest.mark.parametrize("way", ["Granian", "Uvicorn"])
def test_a_journal_is_exported_and_replayed(
    way: str, server: Server, effects: Effects, tmp_path: Path
) -> None:
    with server.ingress() as ingress, server.admin() as admin:
        done = ingress.send(f"/{way}Trips/book", 3)
        ingress.attach(done)
        keyed = ingress.send(f"/{way}Ledger/it's/add", 4)
        ingress.attach(keyed)
        admin.wait_status(keyed, "completed")
    for invocation in (done, keyed):
        exported = holdfast(
            "journal", invocation, "--admin", server.admin_url, "--to", tmp_path / f"{invocation}.json"
        )
        assert exported.returncode == 0, exported.stderr
    same = holdfast("replay-check", f"{MODULE}:app", tmp_path, PREFIX=way)
    assert same.returncode == 0, same.stdout
    assert f"{way}Trips/book {done}: completed" in same.stdout
    assert f"{way}Ledger/it's/add {keyed}: completed" in same.stdout
    other = holdfast("replay-check", f"{MODULE}:app", tmp_path, PREFIX="Other")
    assert other.returncode == 1
    assert f"the app has no handler {way}Trips/book" in other.stdout


def test_what_cannot_be_exported(server: Server, tmp_path: Path) -> None:
    unknown = "inv_1hv0BfkPXgbN4uOwB6SSXNDvcoDodxyNyw"
    for arguments, code, words in [
        (("nonsense", "--admin", server.admin_url), 2, "no invocation id"),
        ((unknown, "--admin", server.admin_url), 2, "has no invocation"),
        ((unknown, "--admin", "http://127.0.0.1:1"), 7, "nothing listens"),
        ((unknown, "--admin", server.ingress_url), 8, "bad path"),
        ((unknown, "--admin", "file:///etc"), 2, "is no address"),
    ]:
        failed = holdfast("journal", *arguments)
        assert failed.returncode == code, failed.stderr
        assert words in failed.stderr
        assert "Traceback" not in failed.stderr
