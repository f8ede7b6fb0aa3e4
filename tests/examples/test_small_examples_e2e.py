"""The small examples as a user runs them: `holdfast server`, `holdfast serve`, and the requests they show."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from examples.claim_demo.processes import Child, Children, free_port
from examples.claim_demo.server_view import ServerView, until
from examples.claim_demo.stage import HOLDFAST, server_command
from tests.examples.performance import ROOT

pytestmark = pytest.mark.e2e
NAMES = ["greeter", "counter", "approval", "saga", "fan_out", "reminders"]


class World:
    """A server and one process per example."""

    def __init__(self, children: Children, folder: Path) -> None:
        ports = free_port(), free_port()
        self.server = children.add("server", server_command(folder / "data", *ports), folder)
        self.view = ServerView(*ports)
        self.services: dict[str, tuple[Child, int]] = {}
        for name in NAMES:
            port = free_port()
            command = (*HOLDFAST, "serve", f"examples.{name}:app", "--port", str(port))
            self.services[name] = children.add(name, command, ROOT), port
        self.server.start()
        for child, _ in self.services.values():
            child.start()
        until("the server to answer", self.view.ready)
        for _, port in self.services.values():
            until("a service to be found", lambda port=port: self.view.register(f"http://127.0.0.1:{port}"))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("examples")
    with Children(folder) as children:
        yield World(children, folder)


@pytest.fixture
def ingress(world: World) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=world.view.ingress_url, timeout=60) as client:
        yield client


def test_greeter(ingress: httpx.Client) -> None:
    """Calls, a send attached to later, and one run per idempotency key."""
    assert ingress.post("/Greeter/greet", json="Ada").json().startswith("Hello Ada, your number is ")
    sent = ingress.post("/Greeter/greet/send", json="Ada")
    assert sent.status_code == 202
    answer = ingress.get(f"/restate/invocation/{sent.json()['invocationId']}/attach")
    assert answer.json().startswith("Hello Ada, your number is ")
    key = {"idempotency-key": "ada-1"}
    first, second = (ingress.post("/Greeter/greet", json="Ada", headers=key).json() for _ in range(2))
    assert first == second


def test_a_greeting_outlives_its_service(world: World, ingress: httpx.Client) -> None:
    """Goal: kill -9 in the middle costs nothing. Method: the service and its workers, while it sleeps."""
    sent = ingress.post("/Greeter/greet/send", json="Grace").json()["invocationId"]
    service, _ = world.services["greeter"]
    drawn = until("the number to be drawn", lambda: finished(world.view, sent))
    service.kill()
    service.start()
    answer = ingress.get(f"/restate/invocation/{sent}/attach")
    assert answer.json().startswith("Hello Grace")
    assert finished(world.view, sent) == drawn


def finished(view: ServerView, invocation: str) -> list[int] | None:
    """Where the results of its steps are in the journal, once there are any."""
    found = [step.result_index for step in view.journal(invocation) or [] if step.result_index is not None]
    return found or None


def test_counter(ingress: httpx.Client) -> None:
    assert ingress.post("/Counter/ada/add", json=5).json() == 5
    assert ingress.post("/Counter/ada/add", json=-7).status_code == 409
    assert ingress.post("/Counter/ada/value").json() == 5


def test_approval(ingress: httpx.Client) -> None:
    request = {"who": "Ada", "amount": 1800}
    assert ingress.post("/Expense/trip-7/run/send", json=request).status_code == 202
    waiting = until("it to wait", lambda: status(ingress, "waiting"))
    assert waiting == "waiting for a decision on 1800 EUR"
    decision = {"approved": True, "by": "Grace"}
    assert ingress.post("/Expense/trip-7/approve", json=decision).status_code == 200
    assert ingress.get("/restate/workflow/Expense/trip-7/attach").json() == "approved by Grace"
    assert status(ingress, "approved") == "approved by Grace"


def status(ingress: httpx.Client, begins: str) -> str | None:
    told = str(ingress.post("/Expense/trip-7/status").json())
    return told if told.startswith(begins) else None


def test_saga(ingress: httpx.Client) -> None:
    trip = {"traveller": "Ada", "city": "Lisbon", "budget": 900}
    flight, hotel = ingress.post("/Trips/book", json=trip).json()
    assert (flight[:7], hotel[:5]) == ("flight-", "room-")
    declined = ingress.post("/Trips/book", json=trip | {"budget": 400})
    assert (declined.status_code, declined.json()["message"]) == (402, "the card is declined: 600 EUR")


def test_fan_out(ingress: httpx.Client) -> None:
    sources = ["ada", "grace", "barbara"]
    assert sorted(ingress.post("/Reports/summarise", json=sources).json()) == sorted(sources)
    assert ingress.post("/Reports/first", json=sources).json() in sources
    assert ingress.post("/Reports/summarise", json=["ada", ""]).status_code == 400


def test_reminders(world: World, ingress: httpx.Client) -> None:
    plan = {"text": "water them", "hours": 0.0001, "times": 3}
    assert ingress.post("/Reminder/plants/every", json=plan).status_code == 200
    until("three reminders", lambda: reminded(world.services["reminders"][0]))
    far = plan | {"hours": 1000}
    assert ingress.post("/Reminder/plants/every", json=far).status_code == 200
    assert ingress.post("/Reminder/plants/stop").json() is True
    assert ingress.post("/Reminder/plants/stop").json() is False
    assert ingress.post("/Reminder/plants/remind", json=plan).status_code == 400  # private


def reminded(service: Child) -> bool | None:
    return service.log.read_text().count("plants: water them") == 3 or None
