"""The examples once more, as services on the official Python SDK: they run on our server unmodified."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from examples.claim_demo.processes import Children, free_port
from examples.claim_demo.server_view import ServerView, until
from examples.claim_demo.stage import server_command
from tests.examples.performance import ROOT, perform
from tests.examples.test_claim_agent import assert_the_story_held

pytestmark = [pytest.mark.e2e, pytest.mark.interop]
JSON = {"content-type": "application/json"}


@pytest.fixture(scope="module")
def ingress(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A client of a server that knows the greeter."""
    ingress, admin, service = free_port(), free_port(), free_port()
    folder = tmp_path_factory.mktemp("greeter")
    with Children(folder) as children:
        children.add("server", server_command(Path(folder, "data"), ingress, admin), folder).start()
        children.add(
            "service", (sys.executable, "-m", "tests.interop.official.greeter"), ROOT, PORT=str(service)
        ).start()
        view = ServerView(ingress, admin)
        until("the server to answer", view.ready)
        until("the service to be found", lambda: view.register(f"http://127.0.0.1:{service}"))
        with httpx.Client(base_url=view.ingress_url, timeout=30, headers=JSON) as client:
            yield client


def test_it_greets(ingress: httpx.Client) -> None:
    answer = ingress.post("/Greeter/greet", content='"Ada"')
    assert answer.status_code == 200
    assert answer.json().startswith("Hello Ada, your number is ")


def test_a_sent_call_can_be_attached_to_later(ingress: httpx.Client) -> None:
    sent = ingress.post("/Greeter/greet/send", content='"Ada"')
    assert sent.status_code == 202
    answer = ingress.get(f"/restate/invocation/{sent.json()['invocationId']}/attach")
    assert answer.json().startswith("Hello Ada, your number is ")


def test_one_idempotency_key_is_one_run(ingress: httpx.Client) -> None:
    answers = [
        ingress.post("/Greeter/greet", content='"Ada"', headers={"idempotency-key": "ada-1"}).json()
        for _ in range(2)
    ]
    assert answers[0] == answers[1]


@pytest.mark.slow
def test_the_claim_agent_survives_two_kills(tmp_path: Path) -> None:
    """Goal: the demo's facts hold for an agent we did not write the SDK of. Method: the demo, with it."""
    agent = f"{sys.executable} -m tests.interop.official.claim_agent.service"
    shown = perform("python", tmp_path / "facts.json", HOLDFAST_DEMO_AGENT=agent)
    assert_the_story_held(shown)
    assert shown.facts["model_calls"] == 3
