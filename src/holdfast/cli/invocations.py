"""`holdfast invocations`: see what runs, waits and failed on a server, and step in."""

from __future__ import annotations

import argparse
import json
import sys

from holdfast.cli import exit_codes
from holdfast.cli.admin_client import Admin, AdminError, Row, add_admin_options, quoted, segment
from holdfast.cli.commands import Commands
from holdfast.cli.exit_codes import complain
from holdfast.cli.invocation_row import failure_of, status_of
from holdfast.cli.table import cut, table

STATUSES = ("scheduled", "pending", "ready", "running", "backing-off", "suspended", "paused", "completed")
LIMIT_DEFAULT = 50
DEPTH_MAX = 20
FAILURE_CHARS = 80

_DONE = {
    "cancel": ("cancelled", "told to cancel; its handler decides when it ends"),
    "kill": ("killed", "being killed"),
    "pause": ("paused", "told to pause; pauses at its next wait"),
    "resume": ("resumed", "resumed"),
}
"""What is said of an operation: when it took effect at once, and when it goes on."""


def add_parser(commands: Commands) -> None:
    parser = commands.add_parser(
        "invocations", help="list, describe, cancel ... invocations", description=__doc__
    )
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    list_ = actions.add_parser("list", help="newest first")
    list_.add_argument("--status", action="append", choices=STATUSES, help="repeatable")
    list_.add_argument("--service", help="name of a service")
    list_.add_argument("--handler", help="name of a handler")
    list_.add_argument("--key", help="of an object or workflow")
    list_.add_argument("--limit", type=_count, default=LIMIT_DEFAULT, help=f"at most [{LIMIT_DEFAULT}]")
    list_.set_defaults(act=_list)
    describe = actions.add_parser("describe", help="one invocation with its journal as a tree")
    describe.add_argument("id", metavar="INVOCATION_ID")
    describe.add_argument(
        "--depth", type=_depth, default=0, help="called invocations to unfold, levels deep [0]"
    )
    describe.set_defaults(act=_describe)
    parsers = [list_, describe]
    for name, help_ in (
        ("cancel", "stop them, letting handlers undo what they did"),
        ("kill", "end them at once, undoing nothing"),
        ("pause", "make no more attempts until resumed"),
        ("resume", "go on now: paused or waiting for a retry"),
        ("restart", "run completed ones again, as new invocations"),
    ):
        one = actions.add_parser(name, help=help_)
        one.add_argument("ids", metavar="INVOCATION_ID", nargs="+")
        if name in ("resume", "restart"):
            one.add_argument("--deployment", metavar="ID", help="run there; or 'latest', 'keep'")
        if name == "restart":
            one.add_argument(
                "--from", dest="from_", type=_count, metavar="ENTRY", help="keep the journal up to this entry"
            )
        one.set_defaults(act=_operate)
        parsers.append(one)
    for one in parsers:
        add_admin_options(one)
        one.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """The command; its exit code."""
    try:
        code: int = arguments.act(Admin(arguments.admin), arguments)
    except AdminError as error:
        return complain(str(error), error.exit_code)
    return code


# ---------------------------------------------------------------- list


def _list(admin: Admin, arguments: argparse.Namespace) -> int:
    wanted = [
        f"{column} = {quoted(value)}"
        for column, value in (
            ("target_service_name", arguments.service),
            ("target_handler_name", arguments.handler),
            ("target_service_key", arguments.key),
        )
        if value is not None
    ]
    if arguments.status:
        wanted.append(f"status IN ({', '.join(map(quoted, arguments.status))})")
    where = f" WHERE {' AND '.join(wanted)}" if wanted else ""
    rows = admin.query(
        "SELECT id, status, target, created_at, completed_at, completion_result, completion_failure, "
        f"retry_count, last_failure, next_retry_at FROM sys_invocation{where} "
        f"ORDER BY created_at DESC LIMIT {arguments.limit}"
    )
    if arguments.json:
        for row in rows:
            print(json.dumps(row, ensure_ascii=False))
        return exit_codes.OK
    lines = [
        (
            str(row["id"]),
            status_of(row),
            cut(str(row["target"]), 60),
            _time(row),
            cut(failure_of(row), FAILURE_CHARS),
        )
        for row in rows
    ]
    print(table(("ID", "STATUS", "TARGET", "CREATED", "FAILURE"), lines))
    if len(rows) == arguments.limit:
        print(f"the first {len(rows)}; more with --limit", file=sys.stderr)
    return exit_codes.OK


def _time(row: Row) -> str:
    return str(row.get("created_at", ""))[:19].replace("T", " ")


# ---------------------------------------------------------------- describe


def _describe(admin: Admin, arguments: argparse.Namespace) -> int:
    from holdfast.cli.journal_text import as_json, as_text
    from holdfast.cli.journal_tree import described

    found = described(admin, arguments.id, arguments.depth)
    print(json.dumps(as_json(found), ensure_ascii=False) if arguments.json else as_text(found))
    return exit_codes.OK


# ---------------------------------------------------------------- operations


def _operate(admin: Admin, arguments: argparse.Namespace) -> int:
    code = exit_codes.OK
    for id_ in arguments.ids:
        try:
            said, new_id = _one(admin, arguments, id_)
        except AdminError as error:
            if error.exit_code != exit_codes.REFUSED:
                raise
            code = exit_codes.REFUSED
            if arguments.json:
                print(json.dumps({"id": id_, "ok": False, "message": str(error)}, ensure_ascii=False))
            else:
                complain(str(error), code)
            continue
        if arguments.json:
            new = {"new_id": new_id} if new_id else {}
            print(json.dumps({"id": id_, "ok": True, "message": said, **new}, ensure_ascii=False))
        else:
            print(f"{id_}  {said}{f' {new_id}' if new_id else ''}")
    return code


def _one(admin: Admin, arguments: argparse.Namespace, id_: str) -> tuple[str, str]:
    """(what happened, the new invocation's id or nothing)."""
    parameters: dict[str, str] = {}
    if getattr(arguments, "deployment", None):
        parameters["deployment"] = arguments.deployment
    path = f"invocations/{segment(id_)}/"
    if arguments.action == "restart":
        if arguments.from_ is not None:
            parameters["from"] = str(arguments.from_)
        _, answer = admin.send("PATCH", path + "restart-as-new", parameters=parameters)
        new_id = answer.get("new_invocation_id") if isinstance(answer, dict) else None
        return "restarted as", str(new_id)
    status, _ = admin.send("PATCH", path + arguments.action, parameters=parameters)
    at_once, later = _DONE[arguments.action]
    return (later if status == 202 else at_once), ""


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1 on")
    return int(text)


def _depth(text: str) -> int:
    if not text.isdecimal() or int(text) > DEPTH_MAX:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 0 to {DEPTH_MAX}")
    return int(text)
