"""`holdfast`: the command line. One module per command."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from holdfast import __version__
from holdfast.cli import backup, serve


def main(argv: Sequence[str] | None = None) -> None:
    """Run a command and exit with its code (docs/errors.md, "Exit codes")."""
    parser = argparse.ArgumentParser(
        prog="holdfast", description="Durable execution for agents and services."
    )
    parser.add_argument("--version", action="version", version=f"holdfast {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    serve.add_parser(commands)
    backup.add_parser(commands)
    arguments = parser.parse_args(argv)
    sys.exit(arguments.run(arguments))


if __name__ == "__main__":
    main()
