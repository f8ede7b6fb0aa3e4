"""`holdfast replay-check` over files and directories: what it prints and how it exits."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from holdfast.cli.main import main
from holdfast.protocol.messages import InputCommandMessage, RunCommandMessage, Value
from holdfast.sdk.journal_file import StoredEntry, StoredJournal

APP = """
import holdfast

service = holdfast.Service("Shop")

@service.handler
async def order(ctx: holdfast.Context, item: str) -> str:
    return await ctx.run(STEP)

def charge() -> str:
    raise AssertionError("bodies never run")

def bill() -> str:
    raise AssertionError("bodies never run")

app = holdfast.app(service)
"""

INPUT = StoredEntry(0x0400, InputCommandMessage(value=Value(b'"tea"')).encode())
CHARGE = StoredEntry(0x0411, RunCommandMessage(1, "charge").encode())


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "old.py").write_text(APP.replace("STEP", "charge"))
    (tmp_path / "new.py").write_text(APP.replace("STEP", "bill"))
    (tmp_path / "journals" / "may").mkdir(parents=True)
    journal("begun", INPUT, CHARGE).save(tmp_path / "journals" / "may" / "begun.json")
    journal("fresh", INPUT).save(tmp_path / "journals" / "fresh.json")
    yield tmp_path
    for name in ("old", "new"):
        sys.modules.pop(name, None)


def journal(name: str, *entries: StoredEntry) -> StoredJournal:
    return StoredJournal("Shop", "order", None, f"inv_{name}", 7, 42, {}, entries)


def ended(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as end:
        main(["replay-check", *argv])
    assert isinstance(end.value.code, int)
    said = capsys.readouterr()
    return end.value.code, said.out, said.err


def test_a_directory_of_journals_against_code_that_fits(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = ended(capsys, "old:app", "journals")
    assert code == 0
    assert "fresh.json  Shop/order inv_fresh: would run charge" in out
    assert "begun.json  Shop/order inv_begun: would run charge" in out
    assert out.splitlines()[-1] == "2 journals: 2 ok, 0 not"


def test_code_that_does_not_fit_is_told_with_both_sides_and_the_line(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = ended(capsys, "new:app", "journals/may/begun.json", "journals/fresh.json")
    assert code == 1
    assert "mismatch   journals/may/begun.json" in out
    assert 'in the journal: Run "charge"' in out
    assert 'in the code:    Run "bill"' in out
    assert f"{here / 'new.py'}:8" in out or "new.py:8" in out
    assert out.splitlines()[-1] == "2 journals: 1 ok, 1 not"


def test_the_same_as_json_lines(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = ended(capsys, "new:app", "journals", "--json")
    rows = {row["invocation_id"]: row for row in map(json.loads, out.splitlines())}
    assert code == 1
    assert (rows["inv_fresh"]["ok"], rows["inv_fresh"]["steps"]) == (True, ["bill"])
    assert (rows["inv_begun"]["ok"], rows["inv_begun"]["outcome"]) == (False, "mismatch")


def test_files_that_are_no_journals(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "journals" / "notes.json").write_text("{}")
    code, out, _ = ended(capsys, "old:app", "journals")
    assert code == 1
    assert "unreadable journals/notes.json" in out
    assert ended(capsys, "old:app", "not-there")[0] == 2
    (here / "empty").mkdir()
    code, _, err = ended(capsys, "old:app", "empty")
    assert code == 2
    assert "empty holds no *.json files" in err


def test_an_app_that_cannot_be_loaded(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ended(capsys, "older:app", "journals")[0] == 3
