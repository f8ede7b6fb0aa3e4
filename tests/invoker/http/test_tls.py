"""TLS: ALPN decides the protocol, certificates are verified, and failures say so."""

from __future__ import annotations

import asyncio
import datetime
import ssl
from ipaddress import ip_address
from pathlib import Path

import h2.events
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from holdfast.invoker.http import Endpoint, HttpClient, RequestFailed
from tests.invoker.http.conftest import Run
from tests.invoker.http.peers import PeerConnection, SocketPeer


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """For localhost and 127.0.0.1."""
    names = [x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))]
    return issue(tmp_path_factory.mktemp("tls"), names)


@pytest.fixture(scope="module")
def foreign_certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """For another host."""
    return issue(tmp_path_factory.mktemp("tls"), [x509.DNSName("other.test")])


def issue(folder: Path, names: list[x509.GeneralName]) -> Path:
    """A self-signed certificate, with its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName(names),
            critical=False,
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / "server.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    return path


def server_context(certificate: Path, *protocols: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    if protocols:
        context.set_alpn_protocols(protocols)
    return context


def trusting(certificate: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(certificate))


def answer(_: SocketPeer, connection: PeerConnection, event: h2.events.Event) -> None:
    if isinstance(event, h2.events.StreamEnded):
        assert event.stream_id is not None
        connection.respond(event.stream_id, b"over h2")


async def http11(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while line := await reader.readline():
        if line == b"\r\n":
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\nover h1")
    writer.close()


async def ask(
    port: int, http11: bool = False, host: str = "127.0.0.1", **contexts: ssl.SSLContext
) -> list[tuple[bytes, str]]:
    """Body and HTTP version of two answers, the second on the kept connection."""
    client = HttpClient(asyncio.get_running_loop(), **contexts)
    endpoint = Endpoint.parse(f"https://{host}:{port}", http11)
    try:
        responses = [
            await client.request(endpoint, "GET", "/", (), timeout_s=5, max_body_bytes=100) for _ in range(2)
        ]
        return [(response.body, response.http_version) for response in responses]
    finally:
        await client.close()


def test_alpn_chooses_http2(run: Run, certificate: Path) -> None:
    async def scenario() -> None:
        async with SocketPeer(answer, tls=server_context(certificate, "h2", "http/1.1")) as peer:
            assert await ask(peer.port, ssl_context=trusting(certificate)) == [(b"over h2", "HTTP/2.0")] * 2
            assert len(peer.connections) == 1

    run(scenario)


@pytest.mark.parametrize("registered_http11", [False, True])
@pytest.mark.parametrize("protocols", [(), ("http/1.1",)])
def test_a_server_without_h2_gets_http11(
    run: Run, certificate: Path, protocols: tuple[str, ...], registered_http11: bool
) -> None:
    async def scenario() -> None:
        server = await asyncio.start_server(
            http11, "127.0.0.1", 0, ssl=server_context(certificate, *protocols)
        )
        async with server:
            port = server.sockets[0].getsockname()[1]
            contexts = {"ssl_context": trusting(certificate), "ssl_context_http11": trusting(certificate)}
            assert await ask(port, registered_http11, **contexts) == [(b"over h1", "HTTP/1.1")] * 2

    run(scenario)


def test_registered_as_http11_never_offers_h2(run: Run, certificate: Path) -> None:
    async def scenario() -> None:
        context = server_context(certificate, "h2", "http/1.1")
        async with await asyncio.start_server(http11, "127.0.0.1", 0, ssl=context) as server:
            port = server.sockets[0].getsockname()[1]
            assert (
                await ask(port, True, ssl_context_http11=trusting(certificate))
                == [(b"over h1", "HTTP/1.1")] * 2
            )

    run(scenario)


def test_an_unknown_issuer_is_refused(run: Run, certificate: Path) -> None:
    async def scenario() -> None:
        async with SocketPeer(answer, tls=server_context(certificate, "h2")) as peer:
            with pytest.raises(RequestFailed, match=r"TLS .*(CERTIFICATE|certificate).*META0003"):
                await ask(peer.port)

    run(scenario)


def test_a_certificate_for_another_host_is_refused(run: Run, foreign_certificate: Path) -> None:
    async def scenario() -> None:
        async with SocketPeer(answer, tls=server_context(foreign_certificate, "h2")) as peer:
            with pytest.raises(RequestFailed, match=r"TLS .*(CERTIFICATE|certificate).*META0003"):
                await ask(peer.port, ssl_context=trusting(foreign_certificate))

    run(scenario)


def test_a_cleartext_server_behind_https_fails_plainly(run: Run, certificate: Path) -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async def scenario() -> None:
        async with await asyncio.start_server(refuse, "127.0.0.1", 0) as server:
            with pytest.raises(RequestFailed, match=r"TLS .*META0003"):
                await ask(server.sockets[0].getsockname()[1], ssl_context=trusting(certificate))

    run(scenario)
