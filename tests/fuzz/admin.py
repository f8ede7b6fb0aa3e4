"""The admin interface, asked by a stranger: whatever the request, never a 500 of ours and never an exception.

Behind it are a real catalog and real discovery, a deployment that answers, and an engine that says done.
"""

from __future__ import annotations

import asyncio
import atexit
import tempfile
from collections.abc import Hashable
from functools import cache
from pathlib import Path
from urllib.parse import quote

import httpx
from admin.support import World, manifest_of

from holdfast.core.outcome import Done, Restarted
from holdfast.core.records import RestartAsNew

ADDRESS = "127.0.0.1:9080"
_loop = asyncio.new_event_loop()
ID = "inv_1iHZYHtDYT0X5WRTC1P8lYhz6cXuGuR2k7"

REQUESTS = (
    'POST /deployments {"uri": "http://127.0.0.1:9080", "force": true, "additional_headers": {"a": "b"}}',
    'POST /deployments {"uri": "http://127.0.0.1:9080", "use_http_11": true, "dry_run": true}',
    'POST /deployments {"arn": "arn:aws:lambda:eu-central-1:123456789012:function:f:1"}',
    'PATCH /services/S {"public": false, "idempotency_retention": "1d", "inactivity_timeout": "10s"}',
    'POST /services/S/state {"object_key": "k", "new_state": {"a": [1, 2]}, "version": "x"}',
    "PATCH /deployments/dp_1 {}",
    "DELETE /deployments/dp_1?force=true",
    "GET /deployments",
    "GET /deployments/dp_1",
    "GET /services",
    "GET /services/S",
    "GET /services/S/handlers",
    "GET /services/S/handlers/run",
    "GET /services/S/openapi",
    "GET /v3/version",
    "GET /openapi",
    f"PATCH /invocations/{ID}/cancel",
    f"PATCH /invocations/{ID}/kill",
    f"PATCH /invocations/{ID}/purge",
    f"PATCH /invocations/{ID}/restart-as-new?from=3&deployment=latest",
    f"PATCH /invocations/{ID}/resume?deployment=keep",
    f"DELETE /invocations/{ID}?mode=Kill",
    'POST /query {"query": "SELECT id FROM sys_invocation"}',
    'POST /subscriptions {"source": "kafka://c/t", "sink": "service://S/h"}',
)


def requests() -> list[bytes]:
    """Method, target and JSON body, separated by spaces."""
    return [b"\x00" + request.encode() for request in REQUESTS]


@cache
def _world() -> World:
    folder = tempfile.TemporaryDirectory()
    atexit.register(folder.cleanup)
    world = World(Path(folder.name))
    world.deployments.serve(ADDRESS, manifest_of("S"))
    world.engine.answer = lambda record: (
        Restarted(record.new_id) if isinstance(record, RestartAsNew) else Done()
    )
    return world


def admin(data: bytes) -> Hashable:
    """One request."""
    line = data[1:].decode("utf-8", "replace")
    method, _, rest = line.partition(" ")
    target, _, body = rest.partition(" ")
    if not (method.isascii() and method.isalpha()):
        method = "GET"
    return _loop.run_until_complete(asyncio.wait_for(_ask(method, target, body.encode()), 20))


async def _ask(method: str, target: str, body: bytes) -> Hashable:
    world = _world()
    world.engine.records.clear()
    world.deployments.asked.clear()
    world.query.asked.clear()
    path, _, query = target.partition("?")
    url = f"http://admin/{quote(path.lstrip('/'), safe='/:%')}?{quote(query, safe='=&%')}"
    # Exceptions of the application come out here, as they are.
    transport = httpx.ASGITransport(app=world.app)
    async with httpx.AsyncClient(transport=transport) as client:
        headers = {"content-type": "application/json"} if body else {}
        answer = await client.request(method, url, content=body, headers=headers)
    if answer.status_code >= 500:
        # Said on purpose: a deployment that cannot be reached is a 500 to the tools that read it.
        assert answer.json()["restate_code"], f"{answer.status_code} {answer.text}"
    return method, answer.status_code, answer.text[:12], len(world.engine.records)
