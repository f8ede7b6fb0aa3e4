"""The listener: real sockets, on the loop of the test."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import httpx
import pytest

from holdfast.admin.server import AdminServer

from .support import World

DEADLINE_S = 10.0


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::"])
def test_it_serves_until_closed(tmp_path: Path, host: str) -> None:
    async def story() -> None:
        before = signal.getsignal(signal.SIGTERM)
        server = AdminServer(World(tmp_path).app)
        port = await server.start(host, 0)
        url = f"http://{'127.0.0.1' if host == '::' else host}:{port}"
        async with httpx.AsyncClient(timeout=DEADLINE_S, trust_env=False) as client:
            assert (await client.get(f"{url}/v4/health")).status_code == 200
            assert signal.getsignal(signal.SIGTERM) is before
            await server.close()
            with pytest.raises(httpx.TransportError):
                await client.get(f"{url}/health")
        await server.close()
        assert not [task for task in asyncio.all_tasks() if task.get_name() == "admin"]

    asyncio.run(asyncio.wait_for(story(), DEADLINE_S))


def test_a_taken_address_is_named(tmp_path: Path) -> None:
    async def story() -> None:
        app = World(tmp_path).app
        first, second = AdminServer(app), AdminServer(app)
        port = await first.start("127.0.0.1", 0)
        with pytest.raises(OSError, match=rf"cannot listen on 127\.0\.0\.1:{port}"):
            await second.start("127.0.0.1", port)
        await second.close()
        await first.close()

    asyncio.run(asyncio.wait_for(story(), DEADLINE_S))
