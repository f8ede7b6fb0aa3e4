"""`holdfast`: the command line. One module per command."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from holdfast import __version__
from holdfast.cli import (
    backup,
    deployments,
    dev,
    exit_codes,
    invocations,
    journal,
    public_key,
    replay_check,
    serve,
    serve_app,
)
from holdfast.cli.exit_codes import complain


def main(argv: Sequence[str] | None = None) -> None:
    """Run a command and exit with its code (docs/errors.md, "Exit codes")."""
    parser = argparse.ArgumentParser(
        prog="holdfast", description="Durable execution for agents and services."
    )
    parser.add_argument("--version", action="version", version=f"holdfast {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    dev.add_parser(commands)
    serve.add_parser(commands)
    serve_app.add_parser(commands)
    deployments.add_parser(commands)
    invocations.add_parser(commands)
    backup.add_parser(commands)
    public_key.add_parser(commands)
    journal.add_parser(commands)
    replay_check.add_parser(commands)
    arguments = parser.parse_args(argv)
    try:
        code = arguments.run(arguments)
        sys.stdout.flush()
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("holdfast"):
            raise
        code = complain(
            f"this command needs the server extra ({error.name} is missing): pip install 'holdfast[server]'",
            exit_codes.CONFIG,
        )
    except BrokenPipeError:  # whoever read our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = exit_codes.OK
    sys.exit(code)


if __name__ == "__main__":
    main()
