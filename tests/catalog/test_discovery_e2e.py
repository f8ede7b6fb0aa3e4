"""Discovery of real deployments: the official SDKs on their usual servers, through our HTTP client."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from harness import Effects, PythonService, Service, TypeScriptService, free_port
from harness.services import NODE

from holdfast.catalog.catalog import Catalog
from holdfast.catalog.contents import Change, Discovered
from holdfast.catalog.discovery import Discovery
from holdfast.catalog.errors import DiscoveryError
from holdfast.catalog.model import Mode
from holdfast.invoker.http import Endpoint, HttpClient

pytestmark = pytest.mark.e2e

DEADLINE_S = 30.0


def ask(uri: str, *, http11: bool) -> Discovered:
    async def once() -> Discovered:
        http = HttpClient(asyncio.get_running_loop())
        try:
            discovery = Discovery(http, lambda: 1_795_370_396, first_pause_s=0.01)
            return await discovery.discover(Endpoint.parse(uri, http11))
        finally:
            await http.close()

    return asyncio.run(asyncio.wait_for(once(), DEADLINE_S))


def python(folder: Path, *, request_response: bool) -> Service:
    return PythonService(folder, Effects(folder / "effects"), request_response=request_response)


def typescript(folder: Path, *, request_response: bool) -> Service:
    if NODE is None:
        pytest.skip("no node on the PATH")
    return TypeScriptService(folder, Effects(folder / "effects"), request_response=request_response)


@pytest.mark.parametrize("request_response", [False, True])
@pytest.mark.parametrize("make", [python, typescript])
def test_an_official_sdk_registers(
    tmp_path: Path, make: Callable[..., Service], request_response: bool
) -> None:
    deployment = make(tmp_path, request_response=request_response)
    deployment.start()
    try:
        found = ask(deployment.uri, http11=deployment.http_11)
    finally:
        deployment.stop()
    assert found.sdk_version is not None
    assert found.sdk_version.startswith("restate-sdk-")
    catalog = Catalog.open(tmp_path / "meta.sqlite")
    registered = catalog.register(found, force=False, breaking=False, dry_run=False, now_ms=1)
    assert registered.change is Change.CREATED
    expected = Mode.REQUEST_RESPONSE if request_response else Mode.BIDI_STREAM
    assert registered.deployment.mode is expected
    catalog.close()
    again = Catalog.open(tmp_path / "meta.sqlite")
    assert again.services() == list(catalog.services())
    assert (
        again.register(found, force=False, breaking=False, dry_run=False, now_ms=2).change is Change.UNCHANGED
    )
    again.close()


def test_nobody_there() -> None:
    port = free_port()
    with pytest.raises(DiscoveryError, match=str(port)) as refused:
        ask(f"http://127.0.0.1:{port}", http11=False)
    assert refused.value.code == "META0003"


def test_a_server_that_speaks_only_http11_is_told_apart() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(24)
        writer.write(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    async def story() -> None:
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        http = HttpClient(asyncio.get_running_loop())
        try:
            discovery = Discovery(http, lambda: 1, first_pause_s=0.01)
            with pytest.raises(DiscoveryError, match="use_http_11") as refused:
                await discovery.discover(Endpoint.parse(f"http://127.0.0.1:{port}", http11=False))
            assert refused.value.code == "META0014"
        finally:
            await http.close()
            server.close()

    asyncio.run(asyncio.wait_for(story(), DEADLINE_S))
