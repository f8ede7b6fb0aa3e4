"""`holdfast deployments`: where handlers are, as a running server knows it."""

from __future__ import annotations

import argparse
import json
from typing import cast

from holdfast.cli import exit_codes
from holdfast.cli.admin_client import Admin, AdminError, Json, add_admin_options
from holdfast.cli.commands import Commands
from holdfast.cli.exit_codes import complain
from holdfast.cli.table import table


def add_parser(commands: Commands) -> None:
    parser = commands.add_parser("deployments", help="register or list deployments", description=__doc__)
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    register = actions.add_parser("register", help="tell the server where handlers are")
    register.add_argument("uri", metavar="URI", help="such as http://localhost:9080")
    register.add_argument("--force", action="store_true", help="replace what is registered at this address")
    register.add_argument("--breaking", action="store_true", help="allow changes that break callers")
    register.add_argument("--dry-run", action="store_true", help="say what would happen; change nothing")
    register.add_argument("--http1", action="store_true", help="the deployment speaks HTTP/1.1 only")
    register.add_argument(
        "--header",
        action="append",
        default=[],
        type=_header,
        metavar="NAME=VALUE",
        help="sent along; repeatable",
    )
    list_ = actions.add_parser("list", help="list deployments and their services")
    for one, action in ((register, _register), (list_, _list)):
        add_admin_options(one)
        one.set_defaults(run=run, act=action)


def run(arguments: argparse.Namespace) -> int:
    """The command; its exit code."""
    try:
        arguments.act(Admin(arguments.admin), arguments)
    except AdminError as error:
        return complain(str(error), error.exit_code)
    return exit_codes.OK


def _register(admin: Admin, arguments: argparse.Namespace) -> None:
    body: dict[str, Json] = {
        "uri": arguments.uri,
        "force": arguments.force,
        "breaking": arguments.breaking,
        "dry_run": arguments.dry_run,
        "use_http_11": arguments.http1,
    }
    if arguments.header:
        body["additional_headers"] = dict(arguments.header)
    answer = cast("dict[str, Json]", admin.request("POST", "deployments", body))
    if arguments.json:
        print(json.dumps(answer, ensure_ascii=False))
        return
    print(f"{answer['id']}  {arguments.uri}{'  (dry run)' if arguments.dry_run else ''}")
    for service in _objects(answer.get("services")):
        handlers = ", ".join(str(handler["name"]) for handler in _objects(service.get("handlers")))
        print(f"  {service['ty']} {service['name']}, revision {service['revision']}: {handlers}")
    for notice in _objects(answer.get("info")):
        print(f"  {notice.get('code')}: {notice.get('message')}")


def _list(admin: Admin, arguments: argparse.Namespace) -> None:
    answer = cast("dict[str, Json]", admin.request("GET", "deployments"))
    rows = _objects(answer.get("deployments"))
    if arguments.json:
        for row in rows:
            print(json.dumps(row, ensure_ascii=False))
        return
    lines = [
        (
            str(row["id"]),
            str(row.get("uri", "")),
            str(row["created_at"])[:19].replace("T", " "),
            ", ".join(f"{s['name']} ({s['revision']})" for s in _objects(row.get("services"))),
        )
        for row in rows
    ]
    print(table(("ID", "URI", "CREATED", "SERVICES (REVISION)"), lines))


def _objects(value: Json) -> list[dict[str, Json]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _header(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise argparse.ArgumentTypeError(f"{text!r} does not read NAME=VALUE")
    return name, value
