"""`holdfast journal`: save an invocation's journal from a running server, for `holdfast replay-check`.

Takes the entries as they are on the wire, so the server has to keep them like that; Holdfast does. Export
invocations that are suspended, paused or completed; one that runs may grow while it is read.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from holdfast.cli import exit_codes
from holdfast.cli.admin_client import Admin, AdminError, add_admin_option
from holdfast.cli.commands import Commands
from holdfast.cli.exit_codes import complain


def add_parser(commands: Commands) -> None:
    parser = commands.add_parser("journal", help="save an invocation's journal", description=__doc__)
    parser.add_argument("invocation", metavar="INVOCATION_ID", help="inv_...")
    add_admin_option(parser)
    parser.add_argument("--to", type=Path, metavar="FILE", help="[standard output]")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """The command; its exit code."""
    from holdfast.cli.journal_export import ExportError, export

    try:
        text = export(arguments.invocation, Admin(arguments.admin))
        if arguments.to is None:
            sys.stdout.write(text)
        else:
            arguments.to.write_text(text, encoding="utf-8")
    except AdminError as error:
        return complain(str(error), error.exit_code)
    except ExportError as error:
        return complain(str(error), exit_codes.USAGE)
    except OSError as error:
        return complain(str(error), exit_codes.STORAGE)
    return exit_codes.OK
