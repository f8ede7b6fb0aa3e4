"""The official ingress clients, unmodified (protocol, section 7.9)."""

import asyncio
import json
import subprocess

import pytest
import restate
from harness import NODE, Server
from harness.servers import SERVICES
from harness.services import POLYFILL

from .conftest import why_no_typescript
from .flavor import Flavor, fresh

pytestmark = [pytest.mark.e2e, pytest.mark.interop]

CLIENT_DEADLINE_S = 30
JSON = {"content-type": "application/json"}


def test_the_typescript_client(server: Server, python: Flavor) -> None:
    if NODE is None or (reason := why_no_typescript()):
        pytest.skip(reason or "no `node` on the PATH")
    key = fresh("client")
    ran = subprocess.run(
        [NODE, "--import", str(POLYFILL), "client.mjs", server.ingress_url, "Py", key],
        cwd=SERVICES / "typescript",
        capture_output=True,
        text=True,
        timeout=CLIENT_DEADLINE_S,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert [json.loads(line) for line in ran.stdout.splitlines()] == [
        {"hello": "client"},
        2,
        2,
        "Accepted",
        5,
        "Accepted",
        False,
        {"key": key, "input": "order", "decision": "yes"},
        True,
        {"status": 422, "text": "refused"},
    ]


def test_the_python_client(server: Server, python: Flavor) -> None:
    key = fresh("client")

    async def use() -> list[object]:
        async with restate.create_client(server.ingress_url) as client:
            called = await client.generic_call("PyCounter", "add", b"4", key, headers=JSON)
            sent = await client.generic_send(
                "PyCounter", "add", b"1", key, idempotency_key=fresh("once"), headers=JSON
            )
            return [json.loads(called), sent.invocation_id]

    called, invocation = asyncio.run(use())
    assert called == 4
    assert python.result(str(invocation)) == 5
