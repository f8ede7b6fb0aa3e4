"""Load, slow and vanishing clients, start and shutdown."""

import asyncio
import json

import pytest

from holdfast.core.model import Success
from holdfast.ingress.errors import ListenError
from holdfast.ingress.exchange import IngressLimits
from holdfast.ingress.server import IngressServer
from ingress.support import CATALOG, FakeEngine, get, post, post_json, run, served, until


def test_an_overloaded_engine_gets_no_new_invocations() -> None:
    async def story() -> None:
        async with served() as on:
            on.engine.overloaded = True
            for path in ("/Greeter/echo", "/Greeter/echo/send"):
                reply = await on.ask(post(path))
                assert (reply.status, reply.headers["retry-after"]) == (429, "1")
            assert not on.engine.made
            assert (await on.ask(get("/restate/health"))).status == 200

    run(story())


def test_more_waiting_requests_than_allowed_are_shed() -> None:
    async def story() -> None:
        async with served(IngressLimits(concurrent_requests_max=2)) as on:
            waiting = [asyncio.ensure_future(on.ask(post("/Greeter/slow"))) for _ in range(2)]
            await until(lambda: on.server.waiting_count == 2)
            for request in (post("/Greeter/slow"), post("/restate/a/x/resolve"), get("/restate/attach/x")):
                assert (await on.ask(request)).status == 429
            on.engine.finish_all(Success(b"1"))
            assert [reply.status for reply in await asyncio.gather(*waiting)] == [200, 200]
            assert on.server.waiting_count == 0

    run(story())


def test_bodies_in_progress_are_bounded_together() -> None:
    async def story() -> None:
        async with served(IngressLimits(buffered_bytes_max=1000)) as on, on.client() as slow:
            await slow.send(post("/Greeter/echo", b"x" * 600)[:-10])
            await until(lambda: on.server.buffered_bytes == 590)
            assert (await on.ask(post("/Greeter/echo", b"x" * 600))).status == 429
            assert (await slow.ask(b"x" * 10)).status == 200
            assert on.server.buffered_bytes == 0

    run(story())


def test_a_client_that_leaves_cancels_its_watch() -> None:
    """Goal: nobody waits for the gone; the invocation itself goes on."""

    async def story() -> None:
        async with served() as on:
            async with on.client() as client:
                await client.send(post("/Greeter/slow"))
                await until(lambda: on.server.waiting_count == 1)
            await until(lambda: on.engine.watches[0].cancelled)
            assert on.server.waiting_count == 0
            on.engine.finish_all(Success(b"1"))

    run(story())


@pytest.mark.parametrize(
    ("sent", "status"),
    [(b"", None), (b"GET /a", 408), (post("/Greeter/echo", b"xxxx")[:-2], 408)],
)
def test_a_slow_client_is_let_go(sent: bytes, status: int | None) -> None:
    """Goal: a connection without a whole request ends. Method: deadlines of nothing, and the sweep's tick."""

    async def story() -> None:
        limits = IngressLimits(header_deadline_s=0, body_deadline_s=0, keep_alive_s=0)
        async with served(limits) as on, on.client() as client:
            await client.send(sent)
            if status is not None:
                assert (await client.reply()).status == status
            assert await client.ended()

    run(story())


def test_an_idle_connection_is_closed() -> None:
    async def story() -> None:
        async with served(IngressLimits(keep_alive_s=0)) as on, on.client() as client:
            assert (await client.ask(get("/restate/health"))).status == 200
            assert await client.ended()

    run(story())


def test_connections_over_the_limit_are_closed() -> None:
    async def story() -> None:
        async with served(IngressLimits(connections_max=1)) as on, on.client() as first:
            assert (await first.ask(get("/restate/health"))).status == 200
            async with on.client() as second:
                assert await second.ended()

    run(story())


def test_a_shutdown_lets_waiting_requests_finish() -> None:
    """Goal: what is answered within the grace is answered as ever, and the connection closes behind it."""

    async def story() -> None:
        async with served() as on, on.client() as client, on.client() as idle:
            await client.send(post("/Greeter/slow"))
            await until(lambda: on.server.waiting_count == 1)
            assert (await idle.ask(get("/restate/health"))).status == 200
            closing = asyncio.ensure_future(on.server.close(5))
            assert await idle.ended()
            with pytest.raises(OSError, match=r"[Cc]onnect"):
                await on.ask(get("/restate/health"))
            on.engine.finish_all(Success(b"1"))
            reply = await client.reply()
            assert (reply.status, reply.headers["connection"]) == (200, "close")
            assert await client.ended()
            await asyncio.wait_for(closing, 5)

    run(story())


def test_a_shutdown_refuses_what_outlasts_the_grace() -> None:
    async def story() -> None:
        async with served() as on, on.client() as client, on.client() as half:
            await client.send(post("/Greeter/slow"))
            await half.send(post("/Greeter/echo", b"12345")[:-1])
            await until(lambda: on.server.waiting_count == 1 and on.server.connection_count == 2)
            closing = asyncio.ensure_future(on.server.close(0.05))
            reply = await client.reply()
            assert (reply.status, reply.headers["retry-after"]) == (503, "1")
            assert json.loads(reply.body)["message"].startswith("the server is shutting down")
            assert await client.ended()
            assert (await half.ask(b"5")).status == 503
            assert on.engine.watches[0].cancelled
            await asyncio.wait_for(closing, 5)
            assert on.server.connection_count == 0

    run(story())


def test_a_taken_address_is_named() -> None:
    async def story() -> None:
        async with served() as on:
            other = IngressServer(FakeEngine(), CATALOG, IngressLimits(), asyncio.get_running_loop())
            with pytest.raises(ListenError, match=f"127.0.0.1:{on.port}: the address is in use"):
                await other.start("127.0.0.1", on.port)
            await other.close(0)

    run(story())


@pytest.mark.parametrize("host", ["::1", "[::1]", "localhost"])
def test_other_kinds_of_hosts(host: str) -> None:
    async def story() -> None:
        server = IngressServer(FakeEngine(), CATALOG, IngressLimits(), asyncio.get_running_loop())
        try:
            port = await server.start(host, 0)
        except ListenError:
            pytest.skip("no IPv6 here")
        reader, writer = await asyncio.open_connection(host.strip("[]"), port)
        writer.write(post_json("/Greeter/greet", b'"x"'))
        assert (await asyncio.wait_for(reader.readline(), 5)).startswith(b"HTTP/1.1 200")
        writer.close()
        await server.close(0)

    run(story())
