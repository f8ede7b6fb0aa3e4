"""Handlers that failed and are tried again, told in the terminal of `holdfast dev`.

A failed attempt is no error for anybody else: the caller waits, the server tries again. Whoever writes the
handler wants to know at once, and once: the same failure again is told at the 2nd, 4th, 8th ... attempt.
"""

from __future__ import annotations

import asyncio
import re
from contextlib import suppress
from pathlib import Path

import holdfast
from holdfast.cli.admin_client import Admin, AdminError, Row
from holdfast.cli.dev_terminal import Terminal

POLL_S = 0.5
FAILURES_MAX = 100
"""Invocations looked at: those changed last."""

_UNREACHABLE = "RT0010"
_QUERY = (
    "SELECT id, target, status, retry_count, last_failure, last_failure_error_code FROM sys_invocation "
    f"WHERE last_failure IS NOT NULL ORDER BY modified_at DESC LIMIT {FAILURES_MAX}"
)
_FRAME = re.compile(r' {2}File "(.*)", line \d+')


async def show_failures(admin: Admin, terminal: Terminal) -> None:
    """Until cancelled."""
    told: dict[str, tuple[str, int]] = {}
    while True:
        with suppress(AdminError):  # the server is about to stop, or busy: the next time will tell
            rows = await asyncio.to_thread(admin.query, _QUERY)
            present = {str(row["id"]) for row in rows}
            told = {id_: seen for id_, seen in told.items() if id_ in present}
            for row in rows:
                _tell(row, told, terminal)
        await asyncio.sleep(POLL_S)


def _tell(row: Row, told: dict[str, tuple[str, int]], terminal: Terminal) -> None:
    if row.get("last_failure_error_code") == _UNREACHABLE:
        return  # our own reload
    id_, text = str(row["id"]), str(row["last_failure"])
    retries = row.get("retry_count")
    attempts = max(1, retries) if isinstance(retries, int) else 1
    before, last = told.get(id_, ("", 0))
    if text == before and attempts < 2 * last:
        return
    told[id_] = (text, attempts)
    message, _, trace = text.partition("\n")
    shown = without_our_frames(trace) if text != before else ""
    often = f" ({attempts} attempts)" if attempts > 1 else ""
    terminal.failed(f"{row['target']} {id_} failed{often}: {message}", shown)


def without_our_frames(trace: str) -> str:
    """A traceback's text without the frames of Holdfast, with which it begins and may end."""
    ours = str(Path(holdfast.__file__).parent)
    kept: list[str] = []
    keep = True
    for line in trace.splitlines():
        if (frame := _FRAME.match(line)) is not None:
            keep = not frame[1].startswith(ours)
        elif not line.startswith("    "):
            keep = True
        if keep:
            kept.append(line)
    return "\n".join(kept)
