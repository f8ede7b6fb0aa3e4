"""Failing, retrying and being cancelled."""

import time

import pytest
from harness import wait_until
from sdk_suite.family import Family

pytestmark = [pytest.mark.e2e, pytest.mark.interop]


def cancel(family: Family, invocation: str) -> None:
    assert family.admin.patch(invocation, "cancel").status_code in (200, 202)


def test_terminal_errors_reach_the_caller(family: Family) -> None:
    response = family.post("Ends/fails", {"message": "no", "code": 451, "metadata": {"law": "1"}})
    assert (response.status_code, response.json()["message"]) == (451, "no")
    if family.version >= 6:
        assert response.json()["metadata"] == {"law": "1"}


def test_other_errors_are_retried_and_steps_are_not(family: Family) -> None:
    invocation = family.send("Ends/flaky", 2)
    assert family.result(invocation) == 3
    assert family.effects.count(invocation, "step") == 1


def test_an_error_may_say_when_to_try_again(family: Family) -> None:
    began = time.monotonic()
    invocation = family.send("Ends/retry_after", 0.3)
    assert family.result(invocation) == "recovered"
    assert time.monotonic() - began >= 0.3


def test_a_retry_policy_that_gives_up(family: Family) -> None:
    invocation = family.send("Ends/killed_by_policy")
    code, _ = family.failure(invocation)
    assert code >= 400
    assert family.effects.count(invocation, "attempt") == 2


def test_a_result_of_the_wrong_type_names_the_handler(family: Family) -> None:
    _, message = family.failure(family.send("Ends/returns_the_wrong_type"))
    assert "Ends/returns_the_wrong_type" in message


def last_failure(family: Family, invocation: str, needle: str) -> str:
    """The failure that the server shows for an invocation it retries."""

    def probe() -> str | None:
        row = family.admin.invocation(invocation) or {}
        text = str(row.get("last_failure") or "")
        return text if needle in text else None

    try:
        return wait_until(probe, f"{invocation} to fail with {needle!r}")
    finally:
        family.admin.patch(invocation, "kill")


def test_code_that_does_not_match_its_journal_is_told_apart(family: Family) -> None:
    text = last_failure(family, family.send("Ends/changes_its_mind"), "in the journal")
    assert "'first'" in text
    assert "'other'" in text
    assert "ends.py" in text


def test_a_deadlock_is_told_apart(families: dict[str, Family]) -> None:
    """Where the request is read whole; an open stream might still bring the signal that ends it."""
    family = families["V7Rr"]
    last_failure(family, family.send("Ends/deadlocks"), "deadlock")


def test_a_saga_is_undone_in_reverse(family: Family) -> None:
    invocation = family.send("Ends/books", True)
    assert family.failure(invocation) == (409, "no car")
    assert family.effects.of(invocation) == ["flight", "hotel", "cancel hotel", "cancel flight"]


def test_a_cancelled_saga_is_undone_once(family: Family) -> None:
    invocation = family.started("Ends/books", False, "hotel")
    cancel(family, invocation)
    assert family.failure(invocation)[0] == 409
    assert family.effects.of(invocation) == ["flight", "hotel", "cancel hotel", "cancel flight"]


def test_cancelled_while_sleeping(family: Family) -> None:
    invocation = family.started("Ends/sleeps")
    cancel(family, invocation)
    assert family.failure(invocation)[0] == 409
    assert family.effects.of(invocation) == ["started", "cleaned up"]


def test_cancelled_while_calling_cancels_the_callee_first(family: Family) -> None:
    invocation = family.send("Ends/calls")
    callee = family.effects.wait_for(invocation, "callee ")
    family.effects.wait_for(callee, "started")
    family.settle(invocation)
    cancel(family, invocation)
    assert family.failure(invocation)[0] == 409
    assert family.effects.of(invocation)[-1] == "cleaned up"
    wait_until(lambda: family.effects.count(callee, "cleaned up"), "the callee to clean up")
    kinds = [kind for kind, _ in family.journal(invocation)]
    assert kinds == ["Input", "Call", "Run", "SendSignal", "Run", "Output"]


def test_cancelled_in_a_task_group(family: Family) -> None:
    invocation = family.started("Ends/groups")
    cancel(family, invocation)
    assert family.failure(invocation)[0] == 409
    assert sorted(family.effects.of(invocation)) == ["a cleaned up", "b cleaned up", "started"]


@pytest.mark.parametrize("handler", ["queues", "awaits"])
def test_cancelled_while_waiting_for_anything(family: Family, handler: str) -> None:
    invocation = family.started(f"Ends/{handler}")
    cancel(family, invocation)
    assert family.failure(invocation)[0] == 409


def test_a_cancellation_may_be_survived(family: Family) -> None:
    invocation = family.started("Ends/survives")
    cancel(family, invocation)
    assert family.result(invocation) == "survived"


def test_cancelled_in_a_step(families: dict[str, Family]) -> None:
    """Only where the attempt stays open; elsewhere the step ends first."""
    for prefix in ("V7", "V6", "V5"):
        family = families[prefix]
        invocation = family.send("Ends/steps")
        family.effects.wait_for(invocation, "stuck")
        cancel(family, invocation)
        assert family.failure(invocation)[0] == 409
        wait_until(
            lambda family=family, id_=invocation: family.effects.count(id_, "body cancelled"),  # type: ignore[misc]
            "the body to be cancelled",
        )


def test_killed_in_a_step(family: Family) -> None:
    """The connection goes away under the attempt, and its body is not left running for nobody."""
    invocation = family.send("Ends/steps")
    family.effects.wait_for(invocation, "stuck")
    assert family.admin.patch(invocation, "kill").status_code == 200
    assert family.failure(invocation) == (409, "killed")
    wait_until(lambda: family.effects.count(invocation, "body cancelled"), "the body to be cancelled")
