"""`holdfast dev examples/claim_agent.py`, from a clone and without a key: what its text promises."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import httpx
import pytest
from harness import wait_until

from tests.cli.dev_session import DevSession
from tests.examples.performance import ROOT

pytestmark = [pytest.mark.e2e, pytest.mark.slow]
pytest.importorskip("pydantic_ai")

AGENT = str(ROOT / "examples" / "claim_agent.py")
QUESTION = re.compile(r"awakeables/(sign_1[\w-]+)/resolve")


@pytest.fixture(autouse=True)
def _no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("OPENAI_"):
            monkeypatch.delenv(name)


def claim(dev: DevSession, text: str, how: str = "decide") -> str:
    return dev.curl(f"curl localhost:{dev.ingress}/Claims/{how} --json '\"{text}\"'")


def question(dev: DevSession) -> str:
    """The awakeable in the line that approves, as the service prints it."""
    return wait_until(lambda: next(iter(QUESTION.findall(dev.said)), None), "the agent to ask", 60)


def test_small_claims_are_paid_and_bad_ones_declined(tmp_path: Path) -> None:
    with DevSession(tmp_path, AGENT, "--ephemeral") as dev:
        dev.until_ready()
        assert claim(dev, "Policy home-77, 300 EUR: glass") == (
            '"Approved: 300 EUR were paid on policy home-77."'
        )
        assert claim(dev, "Policy none, 300 EUR: glass") == '"Declined: this cannot be paid."'
        assert dev.said.count("service  | bank: 300 EUR") == 1
        assert dev.interrupt() == 0


def test_a_large_claim_waits_for_a_person_through_a_restart(tmp_path: Path) -> None:
    with DevSession(tmp_path, AGENT) as dev:
        dev.until_ready()
        sent = json.loads(claim(dev, "Policy home-77, 1800 EUR: a pipe", "decide/send"))
        awakeable = question(dev)
        assert dev.interrupt() == 0
        dev.start()
        dev.until_ready()
        assert "bank:" not in dev.said
        dev.curl(f"curl localhost:{dev.ingress}/restate/awakeables/{awakeable}/resolve --json true")
        attach = f"curl localhost:{dev.ingress}/restate/invocation/{sent['invocationId']}/attach"
        assert dev.curl(attach) == '"Approved: 1800 EUR were paid on policy home-77."'
        url = f"http://127.0.0.1:{dev.admin}/invocations/{sent['invocationId']}"
        told = httpx.get(f"{url}/timeline", timeout=10, trust_env=False).json()
        # What was done before the restart was not done again.
        assert told["invocation"]["usage"]["model_calls"] == 3
        names = [entry["name"] for entry in told["entries"] if entry["type"] == "run"]
        assert names == [
            "gpt-5",
            "tool look_up_policy",
            "tool check_fraud",
            "gpt-5",
            "ask pay 1800 EUR on home-77",
            "pay",
            "gpt-5",
        ]
        assert dev.interrupt() == 0


def test_a_refused_payment_is_not_made(tmp_path: Path) -> None:
    with DevSession(tmp_path, AGENT, "--ephemeral") as dev:
        dev.until_ready()
        sent = json.loads(claim(dev, "Policy car-12, 5000 EUR: a crash", "decide/send"))
        dev.curl(f"curl localhost:{dev.ingress}/restate/awakeables/{question(dev)}/resolve --json false")
        attach = f"curl localhost:{dev.ingress}/restate/invocation/{sent['invocationId']}/attach"
        assert dev.curl(attach) == '"Declined: nobody approved the payment."'
        assert "bank:" not in dev.said
