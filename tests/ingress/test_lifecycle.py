"""Load, slow and vanishing clients, start and shutdown."""

import asyncio
import datetime
import ipaddress
import json
import ssl
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

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


def certificate(folder: Path) -> ssl.SSLContext:
    """A server context with a fresh certificate of 127.0.0.1, which lies in `folder`."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "holdfast test")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False
        )
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(private)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    context.set_alpn_protocols(["h2", "http/1.1"])
    return context


@pytest.mark.parametrize(("http2", "version"), [(True, "HTTP/2"), (False, "HTTP/1.1")])
def test_both_versions_over_tls(tmp_path: Path, http2: bool, version: str) -> None:
    server_context = certificate(tmp_path)
    trust = ssl.create_default_context(cafile=str(tmp_path / "cert.pem"))

    async def story() -> None:
        limits = IngressLimits(request_bytes_max=5_000_000)
        server = IngressServer(FakeEngine(), CATALOG, limits, asyncio.get_running_loop())
        port = await server.start("127.0.0.1", 0, ssl_context=server_context)
        async with httpx.AsyncClient(
            http2=http2, verify=trust, base_url=f"https://127.0.0.1:{port}"
        ) as client:
            body = b"x" * 2_000_000
            reply = await client.post("/Greeter/echo", content=body)
            assert (reply.http_version, reply.status_code, reply.content == body) == (version, 200, True)
            refused = await client.post("/Greeter/echo", content=b"x" * 5_000_001)
            assert refused.status_code == 413
        await server.close(0)

    run(story())
