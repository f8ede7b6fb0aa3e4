"""`holdfast backup`: copy a data directory while a server uses it."""

from __future__ import annotations

import argparse
from pathlib import Path

from holdfast.cli import exit_codes
from holdfast.cli.commands import Commands
from holdfast.cli.exit_codes import complain


def add_parser(commands: Commands) -> None:
    parser = commands.add_parser(
        "backup", help="copy the databases while they are in use", description=__doc__
    )
    parser.add_argument("--data-dir", type=Path, required=True, help="the server's data directory")
    parser.add_argument("--to", type=Path, required=True, help="a directory to make; must not exist")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Copy every database file; each copy is consistent as of one commit."""
    from holdfast.storage.backup import copy_data_dir
    from holdfast.storage.database import StorageError

    try:
        files = copy_data_dir(arguments.data_dir, arguments.to)
    except (StorageError, OSError) as error:
        return complain(str(error), exit_codes.STORAGE)
    for file in files:
        print(file)
    return exit_codes.OK
