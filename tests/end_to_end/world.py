"""What the fault tests share: a watchman over a healthy service, and the journal as an operator reads it."""

from __future__ import annotations

import json
import re
import threading
import time
from pathlib import Path
from typing import Self

import httpx
from harness import Admin, Server, wait_until

from .lying_service import STEPS

ROOT = Path(__file__).resolve().parents[2]
ERROR_DOCS = (ROOT / "docs" / "errors.md").read_text()
DOCUMENTED = frozenset(re.findall(r"^\| ((?:RT|HF|META)\d{4}) \|", ERROR_DOCS, re.MULTILINE))
PAUSE_S = 0.01


class Watchman:
    """Calls a healthy handler again and again for as long as it is open.

    Promises that a failed or wrong answer is remembered in `complaints`; `served` counts the right ones.
    """

    def __init__(self, server: Server, path: str) -> None:
        self.served = 0
        self.complaints: list[str] = []
        self._server = server
        self._path = path
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(30)

    def sees_service(self) -> None:
        """Return after a few more answers; nobody else's trouble may stop them."""
        goal = self.served + 3
        wait_until(lambda: self.served >= goal, f"{self._path} to be served")
        assert self.complaints == []

    def _watch(self) -> None:
        with self._server.ingress() as ingress:
            while not self._over.is_set():
                try:
                    answer = ingress.post(self._path)
                    if answer.status_code == 200 and answer.json() == list(STEPS):
                        self.served += 1
                    else:
                        self.complaints.append(f"{answer.status_code} {answer.text}")
                except httpx.TransportError as error:
                    self.complaints.append(repr(error))
                time.sleep(PAUSE_S)


def failure_codes(admin: Admin, invocation_id: str) -> list[str]:
    """The codes of an invocation's failure events, in order."""
    rows = admin.query(
        f"SELECT event_json FROM sys_journal_events WHERE id = '{invocation_id}' "
        "AND event_type = 'TransientError' ORDER BY appended_at"
    )
    return [json.loads(str(row["event_json"]))["restate_doc_error_code"] for row in rows]


def event_types(admin: Admin, invocation_id: str) -> list[str]:
    rows = admin.query(
        f"SELECT event_type FROM sys_journal_events WHERE id = '{invocation_id}' ORDER BY appended_at"
    )
    return [str(row["event_type"]) for row in rows]


def entry_types(admin: Admin, invocation_id: str) -> list[str]:
    """The journal, entry by entry."""
    rows = admin.query(f"SELECT entry_type FROM sys_journal WHERE id = '{invocation_id}' ORDER BY index")
    return [str(row["entry_type"]) for row in rows]
