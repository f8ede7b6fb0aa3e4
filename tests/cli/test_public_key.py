"""`holdfast public-key` prints what deployments are configured with."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

import holdfast
from holdfast.cli.main import main


def ended(*argv: str) -> int:
    with pytest.raises(SystemExit) as end:
        main(["public-key", *argv])
    assert isinstance(end.value.code, int)
    return end.value.code


def test_the_text_is_one_that_apps_take(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "key.pem").write_bytes(pem)
    assert ended(str(tmp_path / "key.pem")) == 0
    service = holdfast.Service("Any")

    @service.handler
    async def greet() -> str:
        return "hi"

    holdfast.app(service, identity_keys=[capsys.readouterr().out.strip()])


def test_what_is_no_key(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "key.pem").write_text("no key")
    assert ended(str(tmp_path / "key.pem")) == 3
    assert "identity key" in capsys.readouterr().err
    assert ended(str(tmp_path / "missing.pem")) == 3
