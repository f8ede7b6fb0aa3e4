"""The agent without any kill: which claims are paid, which are not, and what a human's answer changes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from examples.claim_demo.processes import Children
from examples.claim_demo.server_view import until
from examples.claim_demo.stage import Stage, set_stage

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A server, the agent, a bank that confirms at once, and the scripted model."""
    with pytest.MonkeyPatch.context() as patch, Children(tmp_path_factory.mktemp("stage")) as children:
        for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
            patch.delenv(name, raising=False)
        stage = set_stage(children, "python", bank_confirms_after_ms=0)
        stage.start_world()
        stage.application.start()
        yield stage


def decide(stage: Stage, claim: str, policy: str, amount: int, approved: bool | None) -> tuple[str, int]:
    """Submit a claim; returns the decision's first word and what was paid. `approved`: the human."""
    body: dict[str, object] = {"policy": policy, "amount": amount, "text": "It rained in."}
    assert stage.view.submit(f"/ClaimAgent/{claim}/run", body)
    if approved is not None:
        assert stage.view.call(f"/ClaimAgent/{claim}/approve", {"approved": approved, "by": "Ada"})
    outcome = until("the decision", lambda: stage.view.output("ClaimAgent", claim))
    return str(outcome["decision"]).split(":")[0], int(str(outcome["paid"]))


@pytest.mark.parametrize(
    ("claim", "policy", "amount", "approved", "expected"),
    [
        ("small", "home-77", 1000, None, ("Approved", 1000)),
        ("large", "car-12", 1001, True, ("Approved", 1001)),
        ("refused", "car-12", 1001, False, ("Declined", 0)),
        ("not-covered", "boat-1", 100, None, ("Declined", 0)),
        ("suspicious", "home-77", 60_000, None, ("Declined", 0)),
    ],
)
def test_a_claim_is_decided_by_the_rules(
    stage: Stage, claim: str, policy: str, amount: int, approved: bool | None, expected: tuple[str, int]
) -> None:
    assert decide(stage, claim, policy, amount, approved) == expected
    moved = [payment.amount for payment in stage.ledger() if payment.key == f"{claim}/payout"]
    assert moved == ([expected[1]] if expected[1] else [])
