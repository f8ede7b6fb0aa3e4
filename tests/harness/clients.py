"""The two HTTP interfaces of a server, as a test uses them (protocol, sections 7 and 8).

Thin on purpose: a method returns the `httpx.Response` where a test looks at status and headers, and plain
data where it does not. A body is JSON unless it is bytes.
"""

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self

import httpx

from .processes import wait_until

Json = None | bool | int | float | str | Sequence["Json"] | Mapping[str, "Json"]
Row = dict[str, "Json"]

REQUEST_DEADLINE_S = 30.0
TERMINAL_STATUSES = ("completed",)


class _Client:
    def __init__(self, url: str) -> None:
        self.url = url
        self.http = httpx.Client(
            base_url=url,
            timeout=REQUEST_DEADLINE_S,
            limits=httpx.Limits(max_connections=512, max_keepalive_connections=512),
            trust_env=False,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self.http.close()

    def get(self, path: str) -> httpx.Response:
        return self.http.get(path)


class Ingress(_Client):
    """Calls and sends; targets are paths such as `Counter/key/add`."""

    def post(
        self,
        path: str,
        body: object = None,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """POST `body`; None sends neither body nor content type."""
        if body is None:
            return self.http.post(path, headers=headers, params=params)
        if isinstance(body, bytes):
            return self.http.post(path, content=body, headers=headers, params=params)
        return self.http.post(path, json=body, headers=headers, params=params)

    def call(self, path: str, body: object = None, idempotency_key: str | None = None) -> "Json":
        """The decoded answer of a call that must succeed (None for an empty one)."""
        headers = {"idempotency-key": idempotency_key} if idempotency_key else None
        response = self.post(path, body, headers)
        assert response.status_code == 200, f"{path}: {response.status_code} {response.text}"
        answer: Json = response.json() if response.content else None
        return answer

    def send(
        self,
        path: str,
        body: object = None,
        idempotency_key: str | None = None,
        delay: str | None = None,
    ) -> str:
        """The invocation id of a send that must be accepted."""
        headers = {"idempotency-key": idempotency_key} if idempotency_key else None
        response = self.post(f"{path}/send", body, headers, {"delay": delay} if delay else None)
        assert response.status_code == 202, f"{path}: {response.status_code} {response.text}"
        invocation_id: str = response.json()["invocationId"]
        return invocation_id

    def attach(self, invocation_id: str) -> httpx.Response:
        return self.get(f"/restate/invocation/{invocation_id}/attach")

    def output(self, invocation_id: str) -> httpx.Response:
        return self.get(f"/restate/invocation/{invocation_id}/output")


class Admin(_Client):
    """Deployments, services, invocations and SQL."""

    def register(self, uri: str, *, http_11: bool = False, force: bool = True) -> "Row":
        body: dict[str, Json] = {"uri": uri, "force": force, "use_http_11": http_11}
        response = self.http.post("/deployments", json=body)
        assert response.status_code in (200, 201), f"register {uri}: {response.status_code} {response.text}"
        answer: Row = response.json()
        return answer

    def patch(self, invocation_id: str, what: str, **params: str) -> httpx.Response:
        """One of cancel, kill, pause, resume, purge, purge-journal, restart-as-new."""
        return self.http.patch(f"/invocations/{invocation_id}/{what}", params=params)

    def query(self, sql: str) -> list["Row"]:
        response = self.http.post("/query", json={"query": sql}, headers={"accept": "application/json"})
        assert response.status_code == 200, f"{sql}: {response.status_code} {response.text}"
        rows: list[Row] = response.json()["rows"]
        return rows

    def invocation(self, invocation_id: str) -> "Row | None":
        """The row of `sys_invocation`, or None when there is none."""
        rows = self.query(f"SELECT * FROM sys_invocation WHERE id = '{invocation_id}'")
        return rows[0] if rows else None

    def status(self, invocation_id: str) -> str | None:
        row = self.invocation(invocation_id)
        return None if row is None else str(row["status"])

    def wait_status(self, invocation_id: str, *statuses: str, deadline_s: float = 15.0) -> "Row":
        """The row once its status is one of `statuses`."""

        def probe() -> "Row | None":
            row = self.invocation(invocation_id)
            return row if row is not None and row["status"] in statuses else None

        try:
            return wait_until(probe, f"{invocation_id} to be {statuses}", deadline_s, 0.05)
        except TimeoutError as error:
            raise TimeoutError(f"{error}; the row is {self.invocation(invocation_id)}") from error
