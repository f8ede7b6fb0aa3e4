"""The guide, followed to the letter: its files are checked and run, its commands are typed in.

Goal: a newcomer who copies what is there gets what is promised. Method: the blocks are taken out of the
Markdown and put into an empty folder; nothing of this repository is on the path there.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import httpx
import pytest

from examples.claim_demo.processes import Child, Children, free_port
from examples.claim_demo.server_view import DemoError, ServerView, until
from tests.cli.dev_session import DevSession
from tests.docs.blocks import blocks, commands, files

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / "docs" / "guide.md"
README = ROOT / "README.md"
BIN = Path(sys.executable).parent
DEADLINE_S = 240
T = TypeVar("T")
LANGUAGES = {"python", "sh"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty folder with the guide's files in it."""
    home = tmp_path_factory.mktemp("guide")
    for name, text in files(GUIDE).items():
        (home / name).write_text(text, encoding="utf-8")
    return home


def run(folder: Path, *command: str, **environment: str) -> str:
    """What a command printed; it has to end well."""
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", **environment},
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}{done.stderr}"
    return done.stdout


def test_every_block_is_code_that_is_tested() -> None:
    """A block in a language nobody here runs would rot."""
    for document in (GUIDE, README):
        assert {block.language for block in blocks(document)} <= LANGUAGES
    assert len(files(GUIDE)) >= 10


def test_the_files_are_formatted_as_the_project_is(folder: Path) -> None:
    assert run(folder, "ruff", "format", "--check", "--config", str(ROOT / "ruff.toml"), ".")


@pytest.mark.slow
@pytest.mark.parametrize("checker", ["mypy", "pyright"])
def test_the_files_type_check(folder: Path, checker: str) -> None:
    """In the checkers' strict modes, as a user's project would be."""
    strict = {"typeCheckingMode": "strict", "venvPath": str(BIN.parents[1]), "venv": BIN.parent.name}
    (folder / "pyrightconfig.json").write_text(json.dumps(strict), encoding="utf-8")
    (folder / "mypy.ini").write_text("[mypy]\nstrict = true\n", encoding="utf-8")
    said = run(folder, sys.executable, "-m", checker, *(files(GUIDE) if checker == "mypy" else []))
    assert "no issues found" in said or "0 errors" in said


@pytest.mark.parametrize("name", [name for name in files(GUIDE) if name.startswith("test_")])
def test_its_tests_pass(folder: Path, name: str) -> None:
    assert "passed" in run(folder, sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", name)


def test_the_other_handlers_do_what_their_text_says(folder: Path) -> None:
    """Those that no test of the guide calls: one call each."""
    program = """
import holdfast.testing as testing
import racing, shop

async def scenario(env: testing.Harness) -> None:
    assert await env.call(racing.fastest, ["far away", "near"]) == "near was first"
    assert (await env.call(shop.order, shop.Order("tea", 2))).total == 20

testing.run([racing.app, shop.app], scenario)
testing.run([racing.app, shop.app], scenario, always_replay=True)
"""
    run(folder, sys.executable, "-c", program)


def test_the_first_example_of_the_readme_does_what_it_says(tmp_path: Path) -> None:
    (tmp_path / "greeter.py").write_text(files(README)["greeter.py"], encoding="utf-8")
    run(tmp_path, "ruff", "format", "--check", "--config", str(ROOT / "ruff.toml"), ".")
    program = """
import greeter
import holdfast.testing as testing

async def scenario(env: testing.Harness) -> None:
    assert (await env.call(greeter.greet, "Ada")).startswith("Hello Ada, your number is ")
    assert env.journal(greeter.greet).steps == ["randint"]

testing.crash_everywhere(greeter.app, scenario, always_replay=True)
"""
    run(tmp_path, sys.executable, "-c", program)


class Terminals:
    """The terminals of somebody who follows the guide: long commands run on, others are waited for."""

    def __init__(self, children: Children, folder: Path) -> None:
        self.children = children
        self.folder = folder
        self.ingress, self.admin, self.service = free_port(), free_port(), free_port()
        self.view = ServerView(self.ingress, self.admin)
        self.running: dict[str, Child] = {}

    def type_in(self, line: str) -> str:
        """One line of a shell block; the default ports become this test's."""
        words = line.split()
        if words[:2] == ["holdfast", "server"]:
            bind = ("--ingress-bind", f"127.0.0.1:{self.ingress}", "--admin-bind", f"127.0.0.1:{self.admin}")
            self._start("server", (*words, *bind))
            self.until("the server to answer", self.view.ready)
            return ""
        if words[:2] == ["holdfast", "serve"]:
            if "service" in self.running:
                self.running.pop("service").kill()
            self._start(words[2], (*words, "--port", str(self.service)))
            self.running["service"] = self.running[words[2]]
            self.until("the service to listen", self._listens)
            return ""
        assert words[0] == "curl", line
        for default, port in (("8080", self.ingress), ("9070", self.admin), ("9080", self.service)):
            line = line.replace(f"localhost:{default}", f"127.0.0.1:{port}")
        return run(self.folder, "sh", "-c", line.replace("curl ", "curl -sS --fail-with-body -m 60 ", 1))

    def until(self, what: str, ask: Callable[[], T | None]) -> T:
        """As `until`, with what the programs wrote when it is in vain."""
        try:
            return until(what, ask)
        except DemoError as error:
            error.add_note(self.children.tails())
            raise

    def restart(self, name: str) -> None:
        """kill -9, and the same command again."""
        self.running[name].kill()
        self.running[name].start()

    def _start(self, name: str, words: tuple[str, ...]) -> None:
        command = (str(BIN / words[0]), *words[1:])
        self.running[name] = child = self.children.add(name.replace(":", "-"), command, self.folder)
        child.start()

    def _listens(self) -> bool | None:
        try:
            return httpx.get(f"http://127.0.0.1:{self.service}/health", timeout=5).is_success or None
        except httpx.TransportError:
            return None


@pytest.fixture(scope="module")
def terminals(folder: Path) -> Iterator[Terminals]:
    with Children(folder) as children:
        yield Terminals(children, folder)


@pytest.mark.e2e
@pytest.mark.slow
def test_the_ten_minutes(folder: Path, terminals: Terminals) -> None:
    """Every command of the first part, in order, with the kills that the text asks for."""
    dev, server, service, register, call = commands(GUIDE, "A handler")
    with DevSession(folder, *dev.split()[2:]) as both:
        both.until_ready()
        assert f"curl localhost:{both.ingress}{call.partition('localhost:8080')[2]}" in both.said
        assert both.interrupt() == 0
    for line in (server, service, register):
        terminals.type_in(line)
    sent = json.loads(terminals.type_in(call.replace("/greet ", "/greet/send ")))["invocationId"]
    terminals.until("the step to be journaled", lambda: terminals.view.journal(sent))
    terminals.restart("service")
    terminals.restart("server")
    terminals.until("the server to answer", terminals.view.ready)
    answer = terminals.type_in(f"curl localhost:8080/restate/invocation/{sent}/attach")
    drawn = re.findall(r"drew (\d+)", (folder / "greeter-app.log").read_text())
    assert answer == f'"Hello Ada, your number is {drawn[-1]}"'

    serve, register, submit, approve, attach = commands(GUIDE, "An agent")
    terminals.type_in(serve)
    terminals.type_in(register)
    sent = json.loads(terminals.type_in(submit))["invocationId"]
    terminals.until("it to wait for the human", lambda: len(terminals.view.journal(sent) or []) == 4 or None)
    terminals.restart("service")
    terminals.restart("server")
    terminals.until("the server to answer", terminals.view.ready)
    terminals.type_in(approve)
    assert terminals.type_in(attach) == '"Done. refund: paid for order-7"'
    calls = re.findall(r"model call \d", (folder / "agent-app.log").read_text())
    assert calls == ["model call 1", "model call 3", "model call 4"]

    save, check = commands(GUIDE, "Upgrading code safely")
    run(folder, "sh", "-c", f"{save.replace('inv_1...', sent)} --admin http://127.0.0.1:{terminals.admin}")
    assert "1 ok, 0 not" in run(folder, "sh", "-c", check)


def test_the_install_lines_name_extras_that_exist() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for document in (GUIDE, README, ROOT / "docs" / "dependencies.md"):
        for named in re.findall(r"(?:holdfast|'\.)\[([\w,]+)\]", document.read_text()):
            assert set(named.split(",")) <= extras.keys(), f"{document.name}: holdfast[{named}]"
