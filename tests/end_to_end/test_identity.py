"""Who may ask whom: signed requests, certificates, and code that changed under its journal.

A deployment that knows its server's key refuses everybody else; the server says so under a code, and what was
accepted goes on as soon as the right key is back. An https deployment is served over HTTP/2 chosen by ALPN,
and one that cannot prove who it is is not served at all.
"""

from __future__ import annotations

import contextlib
import datetime
import ipaddress
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from harness import Admin, Effects, HoldfastServer, Ingress, Service, TypeScriptService, free_port, wait_until
from interop.conftest import why_no_typescript

from holdfast.protocol.identity import RequestSigner

from .lying_service import STEPS, LyingService
from .world import failure_codes

pytestmark = [pytest.mark.e2e, pytest.mark.interop]

SCRIPT = Path(__file__).with_name("signed_service.py")


class SignedService(Service):
    """`signed_service.py`, trusting the given keys."""

    def __init__(self, work_dir: Path, port: int | None = None, **env: str) -> None:
        chosen = port or free_port()
        log = work_dir / "signed.log"
        super().__init__("signed", [sys.executable, str(SCRIPT)], chosen, log, env)

    def _healthy(self) -> bool:
        # Its health page is behind the signature as well: that it listens is all a stranger can see.
        return _listens(self.port)


class SignedTypeScriptService(TypeScriptService):
    def _healthy(self) -> bool:
        return _listens(self.port)


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


@contextlib.contextmanager
def running(server: HoldfastServer) -> Iterator[tuple[Ingress, Admin]]:
    try:
        server.start()
        with server.ingress() as ingress, server.admin() as admin:
            yield ingress, admin
    finally:
        server.stop()


def new_key(file: Path) -> str:
    """Write a private key; its public form, as an SDK takes it."""
    key = Ed25519PrivateKey.generate()
    file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return RequestSigner(key).public_key_text


@pytest.mark.parametrize("language", ["Py", "Ts"])
def test_only_the_server_with_the_key_is_obeyed(language: str, tmp_path: Path) -> None:
    public_key = new_key(tmp_path / "key.pem")
    other_key = new_key(tmp_path / "other.pem")
    service: Service
    if language == "Py":
        service = SignedService(tmp_path, IDENTITY_KEYS=public_key)
    elif reason := why_no_typescript():
        pytest.skip(reason)
    else:
        service = SignedTypeScriptService(
            tmp_path, Effects(tmp_path / "none"), script="signed.mjs", env={"IDENTITY_KEYS": public_key}
        )
    keyed = {"HOLDFAST_IDENTITY_KEY_FILE": str(tmp_path / "key.pem")}
    wrong = {"HOLDFAST_IDENTITY_KEY_FILE": str(tmp_path / "other.pem")}
    assert other_key != public_key
    try:
        service.start()
        with running(HoldfastServer(tmp_path / "server", env=keyed)) as (ingress, admin):
            admin.register(service.uri)
            assert ingress.call("/Signed/serve", "Ada") == "Ada was here"
        refused: list[str] = []
        for stranger in ({}, wrong) if language == "Py" else ({},):
            with running(HoldfastServer(tmp_path / "server", env=stranger)) as (ingress, admin):
                invocation = ingress.send("/Signed/serve", "Eve")
                row = admin.wait_status(invocation, "paused")
                assert row["last_failure_error_code"] == "RT0012", row["last_failure"]
                assert "status 401" in str(row["last_failure"])
                assert failure_codes(admin, invocation) == ["RT0012"]
                answer = admin.http.post("/deployments", json={"uri": service.uri, "force": True})
                assert answer.status_code == 500
                assert answer.json()["restate_code"] == "META0003"
                assert "401" in answer.text
                assert "signature" in answer.text
                refused.append(invocation)
        with running(HoldfastServer(tmp_path / "server", env=keyed)) as (ingress, admin):
            for invocation in refused:
                assert admin.patch(invocation, "resume").status_code in (200, 202)
                assert ingress.attach(invocation).json() == "Eve was here"
    finally:
        service.stop()


def test_code_that_changed_under_its_journal_is_told_and_can_be_put_back(tmp_path: Path) -> None:
    old = SignedService(tmp_path, STEP="before", NAP_MS="1000")
    new = SignedService(tmp_path, old.port, STEP="after", NAP_MS="1000")
    server = HoldfastServer(tmp_path / "server")
    try:
        old.start()
        with running(server) as (ingress, admin):
            admin.register(old.uri)
            invocation = ingress.send("/Signed/serve", "Ada")
            sleeps = f"SELECT id FROM sys_journal WHERE id = '{invocation}' AND entry_type = 'Command: Sleep'"
            wait_until(lambda: admin.query(sleeps), "the step and the nap to be journaled")
            old.stop()
            new.start()  # while nobody is there the invocation may use up its retries
            admin.patch(invocation, "resume")
            row = admin.wait_status(invocation, "paused")
            assert row["last_failure_error_code"] == "RT0016", row["last_failure"]
            assert row["last_failure_related_command_index"] == 1
            new.stop()
            old.start()
            assert admin.patch(invocation, "resume").status_code in (200, 202)
            assert ingress.attach(invocation).json() == "Ada was here"
    finally:
        old.stop()
        new.stop()


# ---------------------------------------------------------------- certificates


def make_certificate(folder: Path) -> ssl.SSLContext:
    """A certificate for 127.0.0.1 that signs itself, as `cert.pem`, and a server's context with it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "holdfast tests")])
    now = datetime.datetime.now(datetime.UTC)
    alternative = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(alternative, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
    (folder / "cert-key.pem").write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "cert-key.pem")
    context.set_alpn_protocols(["h2"])
    return context


def test_a_deployment_over_tls_has_to_prove_itself(tmp_path: Path) -> None:
    context = make_certificate(tmp_path)
    trusting = {"SSL_CERT_FILE": str(tmp_path / "cert.pem")}
    with LyingService("Secure", ["serve"], {"retryPolicyMaxAttempts": 1}, tls=context) as secure:
        with running(HoldfastServer(tmp_path / "server", env=trusting)) as (ingress, admin):
            admin.register(secure.uri)
            assert ingress.call("/Secure/serve") == list(STEPS)
        with running(HoldfastServer(tmp_path / "server")) as (ingress, admin):
            invocation = ingress.send("/Secure/serve")
            row = admin.wait_status(invocation, "paused")
            assert row["last_failure_error_code"] == "RT0010"
            assert "certificate" in str(row["last_failure"]).lower()
            answer = admin.http.post("/deployments", json={"uri": secure.uri, "force": True})
            assert answer.json()["restate_code"] == "META0003"
            assert "certificate" in answer.text.lower()
        assert secure.attempts[invocation] == 0
        with running(HoldfastServer(tmp_path / "server", env=trusting)) as (ingress, admin):
            assert admin.patch(invocation, "resume").status_code in (200, 202)
            assert ingress.attach(invocation).json() == list(STEPS)


@pytest.mark.parametrize("content", [None, b"not a key"])
def test_a_key_that_cannot_be_used_is_a_configuration_error(content: bytes | None, tmp_path: Path) -> None:
    file = tmp_path / "key.pem"
    if content is not None:
        file.write_bytes(content)
    server = HoldfastServer(tmp_path / "server")
    command = [*server.process.command, "--identity-key-file", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=20)
    assert done.returncode == 3
    assert "identity-key-file" in done.stderr
    assert str(file) in done.stderr
    assert "Traceback" not in done.stderr
