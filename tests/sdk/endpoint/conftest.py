"""One signing server and one process for each way to serve an app, for the whole session."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from harness import Effects, Server, new_server
from sdk.endpoint.ways import WAYS, Deployed

from holdfast.protocol.identity import RequestSigner


@pytest.fixture(scope="session")
def work_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("endpoint")


@pytest.fixture(scope="session")
def effects(work_dir: Path) -> Effects:
    return Effects(work_dir / "side-effects.txt")


@pytest.fixture(scope="session")
def key_file(work_dir: Path) -> Path:
    key = Ed25519PrivateKey.generate()
    file = work_dir / "key.pem"
    file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return file


@pytest.fixture(scope="session")
def signer(key_file: Path) -> RequestSigner:
    return RequestSigner.from_pem(key_file.read_bytes())


@pytest.fixture(scope="session")
def deployed(work_dir: Path, effects: Effects, signer: RequestSigner) -> Iterator[dict[str, Deployed]]:
    """By name; every one obeys only the server with the key."""
    env = {"SIDE_EFFECTS_FILE": str(effects.path), "IDENTITY_KEYS": signer.public_key_text}
    found = {way.name: Deployed(way, work_dir, env) for way in WAYS}
    try:
        for service in found.values():
            service.process.start()
        for service in found.values():
            service.wait_healthy()
        yield found
    finally:
        for service in found.values():
            service.stop()


@pytest.fixture(scope="session")
def server(work_dir: Path, key_file: Path, deployed: dict[str, Deployed]) -> Iterator[Server]:
    """It signs, and knows every way."""
    settings = ("HOLDFAST_IDENTITY_KEY_FILE", "RESTATE_REQUEST_IDENTITY_PRIVATE_KEY_PEM_FILE")
    started = new_server(work_dir / "server", dict.fromkeys(settings, str(key_file)))
    try:
        started.start()
        with started.admin() as admin:
            for service in deployed.values():
                admin.register(service.app_uri, http_11=service.http_11)
        yield started
    finally:
        started.stop()
