"""`holdfast replay-check`: would the code as it is now replay these journals?

Journals are files that `holdfast journal` exports from a server, or that a test saves with
`env.journal(...).save(path)`. Exit code 0 when all of them replay, 1 when one does not.
"""

from __future__ import annotations

import argparse
import json
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from holdfast.cli import exit_codes
from holdfast.cli.commands import Commands
from holdfast.cli.exit_codes import complain

if TYPE_CHECKING:
    from holdfast.sdk.endpoint.app import App

_STEPS_SHOWN_MAX = 5


def add_parser(commands: Commands) -> None:
    parser = commands.add_parser(
        "replay-check", help="replay stored journals against the code as it is now", description=__doc__
    )
    parser.add_argument("app", metavar="MODULE:APP", help="the app, such as greeter:app for greeter.py")
    parser.add_argument(
        "journals", nargs="+", type=Path, metavar="FILE", help="journals, or directories with *.json files"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object per journal, on lines")
    parser.set_defaults(run=run)


@dataclass(frozen=True, slots=True)
class _Checked:
    """One file's outcome, as it is printed."""

    file: Path
    target: str
    invocation_id: str
    ok: bool
    outcome: str
    message: str
    steps: tuple[str, ...] = ()
    new_commands: int = 0


def run(arguments: argparse.Namespace) -> int:
    """The command; its exit code."""
    from holdfast.cli.load_app import LoadError, load_app

    try:
        files = _files(arguments.journals)
        app = load_app(arguments.app)
    except LoadError as error:
        sys.stderr.write(error.detail)
        return complain(str(error), exit_codes.CONFIG)
    except OSError as error:
        return complain(str(error), exit_codes.USAGE)
    checked: list[_Checked] = []
    for file in files:
        one = _check(app, file)
        checked.append(one)
        print(_as_json(one) if arguments.json else _as_text(one), flush=True)
    good = sum(one.ok for one in checked)
    if not arguments.json:
        print(f"{len(checked)} journals: {good} ok, {len(checked) - good} not")
    return exit_codes.OK if good == len(checked) else exit_codes.MISMATCH


def _files(given: list[Path]) -> list[Path]:
    """Raises FileNotFoundError: nothing to check."""
    files: list[Path] = []
    for path in given:
        if path.is_dir():
            inside = sorted(path.rglob("*.json"))
            if not inside:
                raise FileNotFoundError(f"{path} holds no *.json files")
            files += inside
        elif path.exists():
            files.append(path)
        else:
            raise FileNotFoundError(f"there is no {path}")
    return files


def _check(app: App, file: Path) -> _Checked:
    from holdfast.sdk.errors import UsageError
    from holdfast.sdk.journal_file import StoredJournal
    from holdfast.sdk.replay_check import replay_check

    try:
        journal = StoredJournal.load(file)
    except (OSError, UsageError) as error:
        return _Checked(file, "", "", False, "unreadable", str(error))
    replay = replay_check(app, journal)
    parts = (journal.service, journal.key, journal.handler)
    return _Checked(
        file,
        "/".join(part for part in parts if part is not None),
        journal.invocation_id,
        replay.ok,
        replay.outcome.value,
        replay.message,
        replay.steps,
        replay.new_commands,
    )


def _as_text(one: _Checked) -> str:
    head = f"{'ok' if one.ok else one.outcome:<10} {one.file}"
    if one.target:
        head += f"  {one.target} {one.invocation_id}"
    if not one.ok:
        return f"{head}\n{textwrap.indent(one.message, '    ')}"
    if not one.steps:
        return f"{head}: {one.outcome}"
    more = f" and {len(one.steps) - _STEPS_SHOWN_MAX} more" if len(one.steps) > _STEPS_SHOWN_MAX else ""
    return f"{head}: would run {', '.join(one.steps[:_STEPS_SHOWN_MAX])}{more}"


def _as_json(one: _Checked) -> str:
    return json.dumps(
        {
            "file": str(one.file),
            "target": one.target,
            "invocation_id": one.invocation_id,
            "ok": one.ok,
            "outcome": one.outcome,
            "message": one.message,
            "steps": one.steps,
            "new_commands": one.new_commands,
        },
        ensure_ascii=False,
    )
