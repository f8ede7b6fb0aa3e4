"""The code blocks of a Markdown file, as files and commands."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILE_NAME = re.compile(r"# ([\w/]+\.py)\n")


@dataclass(frozen=True)
class Block:
    """One fenced block. `heading` is that of its section, `line` where its fence is."""

    language: str
    text: str
    heading: str
    line: int


def blocks(document: Path) -> list[Block]:
    """All of them, in order."""
    text = document.read_text(encoding="utf-8")
    found = []
    for match in FENCE.finditer(text):
        before = text[: match.start()]
        headings = re.findall(r"^#+ (.*)$", re.sub(FENCE, "", before), re.MULTILINE)
        found.append(Block(match[1], match[2], headings[-1], before.count("\n") + 1))
    return found


def files(document: Path) -> dict[str, str]:
    """The Python blocks by the file name in their first line.

    Raises:
        AssertionError: a block without a name, or two of one name.
    """
    named: dict[str, str] = {}
    for block in blocks(document):
        if block.language == "python":
            name = FILE_NAME.match(block.text)
            assert name, f"{document.name}:{block.line}: the first line names no file, such as `# greeter.py`"
            assert name[1] not in named, f"{document.name}:{block.line}: there is a {name[1]} already"
            named[name[1]] = block.text
    return named


def commands(document: Path, heading: str) -> list[str]:
    """The shell lines of one section."""
    return [
        line
        for block in blocks(document)
        if block.language == "sh" and block.heading == heading
        for line in block.text.splitlines()
    ]
