"""`holdfast serve` refuses what it cannot serve, in the user's terms. That it serves is tried in
tests/sdk/endpoint, for real."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from holdfast.cli import serve_app
from holdfast.cli.main import main

APP = """
import holdfast

service = holdfast.Service("Greeter")

@service.handler
async def greet(name: str) -> str:
    return name

app = holdfast.app(service)
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty current directory, and no module of it left afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(serve_app, "configure_logging", lambda level: None)
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        file = getattr(sys.modules[name], "__file__", None) or ""
        if file.startswith(str(tmp_path)):
            del sys.modules[name]


def ended(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str]:
    with pytest.raises(SystemExit) as end:
        main(["serve", *argv])
    assert isinstance(end.value.code, int)
    return end.value.code, capsys.readouterr().err


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("shop", "does not read MODULE:APP"),
        ("dir/shop.py:app", "dir.shop:app"),
        ("nowhere:app", "no module nowhere"),
        ("nowhere.at.all:app", "no module nowhere"),
        ("shop:application", "its apps: app"),
        ("shop:service", "an instance of Service"),
        ("shop:holdfast", "an instance of module"),
    ],
)
def test_what_names_no_app(target: str, words: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "shop.py").write_text(APP)
    code, said = ended(capsys, target)
    assert (code, "Traceback" in said) == (3, False)
    assert words in said


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("import json\nimport not_installed_here\n", "No module named 'not_installed_here'"),
        ("def app(:\n", "SyntaxError"),
        ("def f():\n    raise ValueError('mine')\nf()\n", "ValueError: mine"),
        ("raise SystemExit(7)\n", "SystemExit: 7"),
    ],
)
def test_an_error_of_the_users_module_is_shown_as_theirs_alone(
    text: str, line: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "broken.py").write_text(text)
    code, said = ended(capsys, "broken:app")
    assert code == 3
    assert line in said
    assert "importing broken failed" in said
    files = [row for row in said.splitlines() if row.strip().startswith("File ")]
    assert files
    assert all(str(here / "broken.py") in row for row in files)


def test_a_port_that_is_taken(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "shop.py").write_text(APP)
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        code, said = ended(capsys, "shop:app", "--port", str(port))
    assert code == 4
    assert f"port {port} of 127.0.0.1 is taken" in said


def test_an_address_that_is_not_ours(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "shop.py").write_text(APP)
    code, said = ended(capsys, "shop:app", "--host", "192.0.2.1")
    assert code == 4
    assert "192.0.2.1" in said


def test_the_port_variable_is_looked_at_and_checked(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (here / "shop.py").write_text(APP)
    monkeypatch.setenv("PORT", "eighty")
    code, said = ended(capsys, "shop:app")
    assert code == 3
    assert "'eighty' is no port" in said
    with socket.create_server(("127.0.0.1", 0)) as other:
        monkeypatch.setenv("PORT", str(other.getsockname()[1]))
        assert ended(capsys, "shop:app")[0] == 4


@pytest.mark.parametrize(
    ("module", "options", "extra"),
    [("hpack", [], "serve"), ("httptools", [], "serve"), ("granian", ["--server", "granian"], "granian")],
)
def test_without_its_server_it_says_what_to_install(
    module: str,
    options: list[str],
    extra: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    code, said = ended(capsys, "shop:app", *options)
    assert code == 3
    assert f"pip install 'holdfast[{extra}]'" in said
