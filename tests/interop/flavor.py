"""The interop services as one SDK on one transport offers them, and short ways to reach them."""

import itertools
import uuid
from dataclasses import dataclass

import httpx
import pytest
from harness import LANGUAGES, Admin, Effects, Ingress
from harness.clients import Json

PREFIXES = tuple(
    f"{language}{transport}"
    for language in ("Ts", "Py", *(language.prefix for language in LANGUAGES))
    for transport in ("", "Idle", "Rr")
)

# What an SDK cannot offer, by language: handlers by name, and what `needs` is asked for.
LACKING = {
    ("Go", "retryAfter"): "the Go SDK has no error that names its own delay",
    ("Jv", "retryAfter"): "the Java SDK has no error that names its own delay",
    ("Jv", "metadata"): "the Java SDK's terminal error has no metadata",
    ("Rs", "metadata"): "the Rust SDK's terminal error has no metadata",
    ("Rs", "retryAfter"): "the Rust SDK has no error that names its own delay",
    ("Rs", "refusals of promises"): "the Rust SDK does not wait for what became of a promise it completes",
    ("Jv", "waitSignal"): "the Java SDK has no named signals",
}

_numbers = itertools.count()
_session = uuid.uuid4().hex[:8]


def fresh(what: str = "key") -> str:
    """A name no other test of any session uses."""
    return f"{what}-{_session}-{next(_numbers)}"


@dataclass(frozen=True)
class Arrangement:
    """How the server under test is set up; the whole suite runs once per arrangement."""

    protocol_version: int
    partitions: int

    def __str__(self) -> str:
        return f"v{self.protocol_version}-{self.partitions}p"


@dataclass(frozen=True)
class Flavor:
    """`prefix` names the services: `{prefix}Actions`, `{prefix}Counter` and so on."""

    prefix: str
    ingress: Ingress
    admin: Admin
    effects: Effects

    def path(self, service: str, handler: str, key: str | None = None) -> str:
        self.needs(handler)
        return "/" + "/".join(part for part in (f"{self.prefix}{service}", key, handler) if part is not None)

    def needs(self, feature: str) -> None:
        """Skip the test when the SDK cannot offer `feature`, a handler's name or a key of `LACKING`."""
        if reason := LACKING.get((self.prefix[:2], feature)):
            pytest.skip(reason)

    def act(self, handler: str, body: object = None) -> Json:
        """Call a handler of `Actions` that must succeed."""
        return self.ingress.call(self.path("Actions", handler), body)

    def post(
        self, handler: str, body: object = None, headers: dict[str, str] | None = None
    ) -> httpx.Response:
        return self.ingress.post(self.path("Actions", handler), body, headers)

    def send(self, handler: str, body: object = None, idempotency_key: str | None = None) -> str:
        return self.ingress.send(self.path("Actions", handler), body, idempotency_key)

    def on(self, service: str, key: str, handler: str, body: object = None) -> Json:
        """Call a keyed handler that must succeed."""
        return self.ingress.call(self.path(service, handler, key), body)

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
