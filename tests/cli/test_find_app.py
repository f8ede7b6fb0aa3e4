"""Which file, which module, which app `holdfast dev` means."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from holdfast.cli.find_app import find_app, parse_target
from holdfast.cli.load_app import LoadError

SERVICE = """
import holdfast

{name} = holdfast.Service("{name}")

@{name}.handler
async def handle_{name}() -> str:
    return "{name}"
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty current directory, and no module of it left afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


def served(target: str, here: Path) -> list[str]:
    return [service.name for service in find_app(parse_target(target, here)).routes.services]


def file(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def test_services_without_an_app_are_served_together(here: Path) -> None:
    file(here / "two.py", SERVICE.format(name="First") + SERVICE.format(name="Second"))
    for target in ("two.py", "./two.py", "two", str(here / "two.py")):
        assert served(target, here) == ["First", "Second"]


def test_an_app_of_any_name_comes_before_services(here: Path) -> None:
    both = SERVICE.format(name="First") + SERVICE.format(name="Second")
    file(here / "named.py", both + "\nsmall = holdfast.app(Second)\n")
    assert served("named.py", here) == ["Second"]
    file(here / "several.py", both + "\none = holdfast.app(First)\ntwo = holdfast.app(Second)\n")
    with pytest.raises(LoadError, match=r"several\.py:one, several\.py:two"):
        served("several.py", here)
    assert served("several.py:two", here) == ["Second"]
    file(here / "usual.py", both + "\nother = holdfast.app(First)\napp = holdfast.app(Second)\n")
    assert served("usual.py", here) == ["Second"]


def test_a_file_of_a_package_has_its_name_there(here: Path) -> None:
    file(here / "shop" / "__init__.py", "")
    file(here / "shop" / "names.py", "NAME = 'Orders'\n")
    file(
        here / "shop" / "orders.py",
        "from .names import NAME\n" + SERVICE.format(name="Orders"),
    )
    assert served("shop/orders.py", here) == ["Orders"]
    assert parse_target("shop/orders.py", here).module == "shop.orders"
    assert parse_target("shop/__init__.py", here).module == "shop"
    assert parse_target("shop.orders", here).file == here / "shop" / "orders.py"


def test_a_file_that_something_else_hides(here: Path) -> None:
    file(here / "json.py", SERVICE.format(name="Json"))
    with pytest.raises(LoadError, match=r"json\.py cannot be imported: the name json belongs to .*; rename"):
        served("json.py", here)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("import holdfast\n", "has no app and no services with handlers"),
        ('import holdfast\nempty = holdfast.Service("Empty")\n', "has no app and no services with handlers"),
        ("import holdfast\napp = holdfast.app()\n", "has no services"),
        ("from greeter_that_is_nowhere import app\n", "importing nothing failed"),
    ],
)
def test_nothing_to_serve(text: str, words: str, here: Path) -> None:
    file(here / "nothing.py", text)
    with pytest.raises(LoadError, match=words):
        served("nothing.py", here)
