"""Steps: what they may be, what they are called, when they are run again and when not."""

import pytest
from sdk_suite.family import Family

pytestmark = [pytest.mark.e2e, pytest.mark.interop]


def test_every_kind_of_function_is_a_step(family: Family) -> None:
    assert family.call("Steps/kinds", 8) == {
        "sync": 16,
        "async": 24,
        "lambda": 4,
        "lambda of a coroutine": 24,
        "keywords": 8,
        "in a thread": True,
        "on the loop": True,
        "decorated": "hello Ada",
        "by itself": "hello Grace",
        "method": 13,
        "ambient": 16,
    }


def test_steps_have_names_in_the_journal(family: Family) -> None:
    invocation = family.send("Steps/named")
    family.result(invocation)
    names = [name for kind, name in family.journal(invocation) if kind == "Run"]
    assert names == ["charge card", "double", "step", "salute"]


def test_a_result_has_its_declared_type_after_a_replay_too(family: Family) -> None:
    assert family.call("Steps/typed") == ["Charge", "visa", "256", "None"]


def test_steps_run_once_each(family: Family) -> None:
    invocation = family.send("Steps/many", 12)
    labels = [f"step {index}" for index in range(12)]
    assert family.result(invocation) == labels
    assert family.effects.of(invocation) == labels


def test_a_failing_step_is_retried_by_its_policy(family: Family) -> None:
    invocation = family.send("Steps/retried", 3)
    assert family.result(invocation) == 4
    assert family.effects.count(invocation, "attempt") == 4


def test_a_failing_step_without_policy_is_retried_by_the_server(family: Family) -> None:
    invocation = family.send("Steps/retried_by_the_server")
    assert family.result(invocation) == 3


def test_a_failing_step_may_say_when_to_try_again(family: Family) -> None:
    invocation = family.send("Steps/retried_when_it_says")
    assert family.result(invocation) == 2


def test_a_step_out_of_attempts_fails_terminally(family: Family) -> None:
    invocation = family.send("Steps/out_of_attempts")
    message = family.result(invocation)
    assert message == "step hopeless failed for the last time: ValueError: never works"
    assert family.effects.count(invocation, "attempt") == 3


def test_a_step_out_of_time_fails_terminally(family: Family) -> None:
    invocation = family.send("Steps/out_of_time")
    assert "too_long failed for the last time" in str(family.result(invocation))
    assert family.effects.count(invocation, "attempt") >= 2


def test_a_terminal_error_of_a_step_ends_the_invocation(family: Family) -> None:
    invocation = family.send("Steps/terminal")
    assert family.failure(invocation) == (418, "short and stout")
    assert family.effects.of(invocation) == ["before"]


def test_a_terminal_error_of_a_step_can_be_caught(family: Family) -> None:
    metadata = {"spout": "left"} if family.version >= 6 else {}
    assert family.call("Steps/terminal_caught") == [418, "short and stout", metadata]


def test_misuse_in_a_step_says_so(family: Family) -> None:
    messages = family.call("Steps/misused")
    assert isinstance(messages, list)
    assert "context_in_step" in str(messages[0])
    assert "the result of step unserialisable" in str(messages[1])


@pytest.mark.parametrize("size", [100_000, 3_000_000])
def test_large_results(family: Family, size: int) -> None:
    assert family.call("Steps/large", size) == size
