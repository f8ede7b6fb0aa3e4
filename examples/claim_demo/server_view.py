"""The server as its users see it: the ingress to call handlers, the admin API to look inside.

Everything here is plain HTTP; the README of this example shows the same requests with curl. Requests that
fail because a process is just starting are answered with None, and `until` asks again.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar, cast

import httpx

T = TypeVar("T")
POLL_S = 0.05
WAIT_MAX_S = 40.0
Json = dict[str, object]


class DemoError(Exception):
    """The demo cannot go on. The message says what was missing, or what did not happen in time."""


@dataclass(frozen=True)
class JournaledStep:
    """A step in the journal. `result_index` is None until its result is journaled."""

    name: str
    command_index: int
    result_index: int | None


def until(what: str, ask: Callable[[], T | None]) -> T:
    """Ask until the answer is something, and return it.

    Raises:
        DemoError: there was no answer within WAIT_MAX_S; says `what` was waited for.
    """
    deadline = time.monotonic() + WAIT_MAX_S
    while time.monotonic() < deadline:
        answer = ask()
        if answer is not None:
            return answer
        time.sleep(POLL_S)
    raise DemoError(f"waited {WAIT_MAX_S:.0f} s for {what}, in vain")


class ServerView:
    """A client of one server. `ingress` and `admin` are its ports on loopback."""

    def __init__(self, ingress: int, admin: int) -> None:
        self.ingress_url = f"http://127.0.0.1:{ingress}"
        self.admin_url = f"http://127.0.0.1:{admin}"
        self._http = httpx.Client(timeout=10, headers={"accept": "application/json"})

    def ready(self) -> bool | None:
        """True once both listeners answer."""
        healths = f"{self.admin_url}/health", f"{self.ingress_url}/restate/health"
        return all(self._get(url) is not None for url in healths) or None

    def register(self, service_url: str) -> bool | None:
        """Tell the server where the service is; True once it has found the handlers there."""
        return self._post(f"{self.admin_url}/deployments", {"uri": service_url}) is not None or None

    def call(self, path: str, body: Json) -> Json | None:
        """POST to the ingress: `/ClaimAgent/c1/run/send` enqueues, `/ClaimAgent/c1/approve` calls."""
        answer = self._post(f"{self.ingress_url}{path}", body)
        return None if answer is None else {"answer": answer}

    def submit(self, path: str, body: Json) -> str | None:
        """Enqueue a call without waiting for it. Returns the invocation id."""
        answer = self._post(f"{self.ingress_url}{path}/send", body)
        return None if answer is None else str(cast(Json, answer)["invocationId"])

    def output(self, service: str, key: str) -> Json | None:
        """The result of a workflow, once there is one."""
        response = self._get(f"{self.ingress_url}/restate/workflow/{service}/{key}/output")
        return None if response is None else cast(Json, response.json())

    def status(self, invocation: str) -> str | None:
        """`running`, `suspended`, `backing-off`, `completed` and so on (sys_invocation)."""
        rows = self.query(f"SELECT status FROM sys_invocation WHERE id = '{invocation}'")
        return str(rows[0]["status"]) if rows else None

    def journal(self, invocation: str) -> list[JournaledStep] | None:
        """The durable steps in the journal, in the order in which the handler made them (sys_journal)."""
        rows = self.query(
            f"SELECT \"index\", entry_type, name, entry_json FROM sys_journal WHERE id = '{invocation}' "
            'ORDER BY "index"'
        )
        if rows is None:
            return None
        results = {
            completion_id(row, "Notification", "Completion", "Run"): int(str(row["index"]))
            for row in rows
            if row["entry_type"] == "Notification: Run"
        }
        return [
            JournaledStep(
                name=str(row.get("name", "")),
                command_index=int(str(row["index"])),
                result_index=results.get(completion_id(row, "Command", "Run")),
            )
            for row in rows
            if row["entry_type"] == "Command: Run"
        ]

    def query(self, sql: str) -> list[Json] | None:
        """Rows of one SQL query on the admin API."""
        answer = self._post(f"{self.admin_url}/query", {"query": sql})
        return None if answer is None else cast(list[Json], cast(Json, answer)["rows"])

    def _get(self, url: str) -> httpx.Response | None:
        try:
            response = self._http.get(url)
        except httpx.TransportError:
            return None
        return response if response.status_code == 200 else None

    def _post(self, url: str, body: Json) -> object | None:
        try:
            response = self._http.post(url, json=body)
        except httpx.TransportError:
            return None
        return cast(object, response.json()) if response.is_success else None


def completion_id(row: Json, *path: str) -> int:
    """The id that ties a Run command to its result, from the row's `entry_json`."""
    entry = cast(Json, json.loads(str(row["entry_json"])))
    for name in path:
        entry = cast(Json, entry[name])
    return int(str(entry["completion_id"]))
