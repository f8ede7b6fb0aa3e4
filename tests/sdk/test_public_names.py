"""`import holdfast`: which names it has, and what it does not load."""

import ast
import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path

import pytest

import holdfast

ROOT = Path(__file__).resolve().parents[2]
HOMES: dict[str, str] = holdfast._HOMES


@pytest.mark.parametrize("name", sorted(HOMES))
def test_every_name_is_there(name: str) -> None:
    assert getattr(holdfast, name) is getattr(import_module(HOMES[name]), name)
    assert name in dir(holdfast)


def test_type_checkers_are_told_the_same() -> None:
    """Goal: the block for type checkers and the table agree."""
    tree = ast.parse(Path(holdfast.__file__).read_text())
    told = {
        alias.name: node.module
        for block in ast.walk(tree)
        if isinstance(block, ast.If)
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert told == HOMES


def test_other_names_are_refused() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        holdfast.nothing  # type: ignore[attr-defined]  # noqa: B018


def test_the_version_is_that_of_the_distribution() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert holdfast.__version__ == project["version"]


@pytest.mark.parametrize(
    ("use", "forbidden"),
    [
        ("import holdfast", {"asyncio", "msgspec", "dataclasses"}),
        ("from holdfast import Service", {"asyncio", "pydantic"}),
        ("from holdfast import Service, Context, app, step", {"pydantic"}),
    ],
)
def test_what_is_not_needed_is_not_loaded(use: str, forbidden: set[str]) -> None:
    """Goal: a function in the cloud starts fast, and needs the base install alone."""
    always = {"httpx", "granian", "fastapi", "uvicorn", "apsw", "structlog", "sqlglot", "cryptography"}
    program = (
        f"import sys\n{use}\n"
        f"loaded = {sorted(forbidden | always)!r}\n"
        "print([name for name in loaded if name in sys.modules])\n"
        "print([name for name in sys.modules if name.startswith('holdfast.') "
        "and name.split('.')[1] not in ('sdk', 'protocol', 'client')])\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    assert ran.stdout == "[]\n[]\n"
