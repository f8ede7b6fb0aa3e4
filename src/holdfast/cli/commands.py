"""Where the commands of `holdfast` add themselves. argparse has this type under a private name only."""

from __future__ import annotations

import argparse
from typing import Protocol


class Commands(Protocol):
    """What `ArgumentParser.add_subparsers` returns, as far as a command needs it."""

    def add_parser(
        self,
        name: str,
        *,
        help: str,  # noqa: A002 - argparse's own keyword
        description: str | None,
    ) -> argparse.ArgumentParser:
        """The parser of one more command.

        Args:
            help: one line for the list of commands; `description` is the text of the command's own help.
        """
        ...
