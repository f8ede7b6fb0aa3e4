"""The page about agents, followed to the letter: its files are checked and run.

Goal: a newcomer who copies what is there gets what is promised. Method: as for the guide.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.docs.blocks import blocks, files
from tests.docs.test_guide import BIN, LANGUAGES, ROOT, run

AGENTS = ROOT / "docs" / "agents.md"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty folder with the page's files in it."""
    home = tmp_path_factory.mktemp("agents")
    for name, text in files(AGENTS).items():
        (home / name).write_text(text, encoding="utf-8")
    return home


def test_every_block_is_code_that_is_tested(folder: Path) -> None:
    assert {block.language for block in blocks(AGENTS)} <= LANGUAGES
    assert run(folder, "ruff", "format", "--check", "--config", str(ROOT / "ruff.toml"), ".")


@pytest.mark.slow
def test_the_files_type_check(folder: Path) -> None:
    (folder / "mypy.ini").write_text("[mypy]\nstrict = true\n", encoding="utf-8")
    assert "no issues found" in run(folder, sys.executable, "-m", "mypy", *files(AGENTS))
    strict = {"typeCheckingMode": "strict", "venvPath": str(BIN.parents[1]), "venv": BIN.parent.name}
    (folder / "pyrightconfig.json").write_text(json.dumps(strict), encoding="utf-8")
    assert "0 errors" in run(folder, sys.executable, "-m", "pyright")


@pytest.mark.slow
@pytest.mark.e2e
def test_its_tests_pass(folder: Path) -> None:
    assert "6 passed" in run(
        folder, sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_claims.py"
    )


def test_a_payment_is_approved_as_the_text_says(folder: Path) -> None:
    program = """
import holdfast.testing as testing
import payments

async def scenario(env: testing.Harness) -> None:
    sent = await env.send(payments.wire, 900)
    await env.settle()
    journal = env.journal(sent)
    assert journal.steps == ["ask wire 900 USD"]
    awakeable = journal[1].metadata["awakeable_id"]
    await env.resolve_awakeable(awakeable, {"approved": True, "by": "Ada"})
    assert await sent.attach() == "wired 900, approved by Ada"

testing.run(payments.app, scenario)
"""
    run(folder, sys.executable, "-c", program)
