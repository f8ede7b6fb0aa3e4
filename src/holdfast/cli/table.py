"""Columns for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

ELLIPSIS = "…"


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns as wide as they need to be; the last one is not filled up."""
    widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
    lines = [heads, *rows]
    return "\n".join(
        "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def cut(text: str, length: int) -> str:
    """One line of at most `length` characters, without those that would steer a terminal."""
    line = " ".join(text.split())
    clean = "".join(character if character.isprintable() else "?" for character in line)
    return clean if len(clean) <= length else clean[: length - 1] + ELLIPSIS
