"""A person's word over HTTP, with real processes: while nobody runs, twice, too late."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import httpx
import pytest
from harness import wait_until

from holdfast.admin.entries import signal_entry_index
from holdfast.protocol.ids import parse_awakeable_id
from tests.ai.proofs import DEADLINE_S, Proof, World, asked_for, prove_approval, world

pytestmark = pytest.mark.e2e

PROOF = Proof(
    module="tests.ai.apps.asking",
    target="Payments/pay_if_allowed",
    input=3600,
    output="approved Ada",
    script=[],
    model_calls=0,
    tools={"pay": 1},
)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world(PROOF, tmp_path_factory.mktemp("asking")) as here:
        yield here


@pytest.fixture(scope="module", params=[True, False], ids=["duplex", "replayed"])
def here(request: pytest.FixtureRequest, running: World) -> World:
    running.register(duplex=request.param)
    return running


def ask(here: World, timeout_s: float) -> tuple[str, str]:
    """The invocation and the awakeable."""
    here.reset()
    with here.server.ingress() as ingress:
        invocation = ingress.send(PROOF.target, timeout_s)
    return invocation, wait_until(lambda: asked_for(here, invocation), "the question", DEADLINE_S)


def resolve_entry(here: World, invocation: str, awakeable: str) -> httpx.Response:
    """Say yes at the admin interface, which tells whether it counted."""
    index = signal_entry_index(parse_awakeable_id(awakeable)[1])
    url = f"{here.server.admin_url}/invocations/{invocation}/entries/{index}/resolve"
    body = {"value": {"approved": True, "by": "Bob"}}
    return httpx.post(url, json=body, trust_env=False, timeout=10)


def test_answered_while_the_process_is_gone(here: World) -> None:
    prove_approval(here, {"approved": True, "by": "Ada"})
    here.check()


def test_resolved_twice_the_first_answer_counts_and_the_second_is_told_so(here: World) -> None:
    invocation, awakeable = ask(here, 3600)
    here.kill()  # so that the answers meet a question nobody is at
    assert here.answer(awakeable, {"approved": True, "by": "Ada"}) == 202
    second = resolve_entry(here, invocation, awakeable)
    assert second.status_code == 409, second.text
    assert second.json()["message"]
    assert here.answer(awakeable, False) == 202
    here.revive()
    assert here.result(invocation) == "approved Ada"
    here.check()


def test_after_its_timeout_an_answer_is_told_that_it_is_too_late(here: World) -> None:
    invocation, awakeable = ask(here, 0.5)
    assert here.result(invocation) == "expired"
    late = resolve_entry(here, invocation, awakeable)
    assert late.status_code == 409, late.text
    assert here.runs() == {}


def test_answered_in_the_ui_it_goes_on(here: World) -> None:
    invocation, awakeable = ask(here, 3600)
    assert resolve_entry(here, invocation, awakeable).status_code in (200, 202)
    assert here.result(invocation) == "approved Bob"
    here.check()


def test_killed_at_every_entry_the_question_is_asked_once(here: World) -> None:
    """Nobody answers in time: the question, its deadline and its end survive."""
    here.proof = replace(PROOF, output="expired", input=0.3, tools={})
    try:
        here.reset()
        here.plan.write_text("every")
        invocation = here.run()
        here.check()
        assert here.commands(invocation).count("Command: Run ask pay 900 EUR") == 1
    finally:
        here.proof = PROOF
