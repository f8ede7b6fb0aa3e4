"""The services of one protocol version on one transport, and short ways to reach them."""

import itertools
import uuid
from dataclasses import dataclass

import httpx
from harness import Admin, Effects, Ingress, wait_until
from harness.clients import Json

PREFIXES = tuple(f"V{version}{mode}" for version in (7, 6, 5) for mode in ("", "Idle", "Rr"))
"""`V7` full duplex over HTTP/2, `V7Idle` likewise but suspending at every await, `V7Rr` over HTTP/1.1."""

_numbers = itertools.count()
_session = uuid.uuid4().hex[:8]


def fresh(what: str = "key") -> str:
    """A name no other test of any session uses."""
    return f"{what}-{_session}-{next(_numbers)}"


@dataclass(frozen=True)
class Family:
    """`prefix` names the services: `{prefix}Steps` and so on. Paths leave it out: `Steps/kinds`."""

    prefix: str
    ingress: Ingress
    admin: Admin
    effects: Effects

    @property
    def version(self) -> int:
        return int(next(letter for letter in self.prefix if letter.isdigit()))

    def path(self, path: str) -> str:
        return f"/{self.prefix}{path}"

    def call(self, path: str, body: object = None, headers: dict[str, str] | None = None) -> Json:
        """The decoded answer of a call that must succeed (None for an empty one)."""
        response = self.post(path, body, headers)
        assert response.status_code == 200, f"{path}: {response.status_code} {response.text}"
        answer: Json = response.json() if response.content else None
        return answer

    def post(self, path: str, body: object = None, headers: dict[str, str] | None = None) -> httpx.Response:
        return self.ingress.post(self.path(path), body, headers)

    def send(self, path: str, body: object = None, idempotency_key: str | None = None) -> str:
        """The invocation's id. With an idempotency key its result is kept, for `result` and `failure`."""
        return self.ingress.send(self.path(path), body, idempotency_key or fresh("sent"))

    def result(self, invocation_id: str) -> Json:
        """Wait for a success and give its value."""
        response = self.ingress.attach(invocation_id)
        assert response.status_code == 200, f"{invocation_id}: {response.status_code} {response.text}"
        value: Json = response.json() if response.content else None
        return value

    def failure(self, invocation_id: str) -> tuple[int, str]:
        """Wait for a failure and give its code and message."""
        response = self.ingress.attach(invocation_id)
        assert response.status_code >= 400, f"{invocation_id}: {response.status_code} {response.text}"
        return response.status_code, response.json()["message"]

    def started(self, path: str, body: object = None, mark: str = "started") -> str:
        """An invocation that has left its mark, of which the journal knows, and waits."""
        invocation = self.send(path, body)
        self.effects.wait_for(invocation, mark)
        self.settle(invocation)
        return invocation

    def settle(self, invocation_id: str) -> None:
        """Return once the results of all steps so far are in the journal."""

        def probe() -> bool:
            sql = f"SELECT entry_type FROM sys_journal WHERE id = '{invocation_id}'"
            kinds = [row["entry_type"] for row in self.admin.query(sql)]
            return kinds.count("Command: Run") == kinds.count("Notification: Run")

        wait_until(probe, f"the steps of {invocation_id} to be journaled")

    def journal(self, invocation_id: str) -> list[tuple[str, str]]:
        """Entry type and name of every command, in order."""
        rows = self.admin.query(f"SELECT * FROM sys_journal WHERE id = '{invocation_id}' ORDER BY index")
        return [
            (kind.removeprefix("Command: "), str(row["name"] or ""))
            for row in rows
            if (kind := str(row["entry_type"])).startswith("Command: ")
        ]
