"""Plain asyncio in handlers: durable on every transport, the same in every replay."""

import pytest
from harness import wait_until
from sdk_suite.family import Family

pytestmark = [pytest.mark.e2e, pytest.mark.interop]


def test_sleeping(family: Family) -> None:
    invocation = family.send("Waits/sleeps")
    assert family.result(invocation) == "rested"
    commands = family.journal(invocation)
    assert [kind for kind, _ in commands] == ["Input", "Sleep", "Sleep", "Sleep", "Output"]


def test_timeouts_fire_and_do_not_fire(family: Family) -> None:
    assert family.call("Waits/timeouts") == ["timed out", "in time", "wait_for timed out", "quick"]


def test_gather(family: Family) -> None:
    invocation = family.send("Waits/gathers", 5)
    steps = [f"step {index}" for index in range(5)]
    assert family.result(invocation) == {"steps": steps, "mixed": ["ok", "bad", "slow"], "failed": "first"}
    assert sorted(family.effects.of(invocation)) == steps


def test_task_groups(family: Family) -> None:
    assert family.call("Waits/groups") == {
        "results": ["in group 0", "in group 1", "in group 2"],
        "failures": ["in the group"],
        "cancelled": True,
    }


def test_a_group_of_terminal_errors_ends_the_invocation(family: Family) -> None:
    assert family.failure(family.send("Waits/group_fails")) == (418, "in the group")


def test_races(family: Family) -> None:
    assert family.call("Waits/races") == {
        "winners": ["fast"],
        "pending": 1,
        "order": ["a", "b"],
        "steps": ["race 0", "race 1", "race 2"],
        "agreed": True,
    }


def test_a_queue_between_tasks(family: Family) -> None:
    items = [f"item {index}" for index in range(5)]
    invocation = family.send("Waits/queues", 5)
    assert family.result(invocation) == items
    assert family.effects.of(invocation) == items


def test_events_and_locks(family: Family) -> None:
    assert family.call("Waits/locks") == ["a in", "a out", "b in", "b out"]


def test_a_task_is_cancelled(family: Family) -> None:
    invocation = family.send("Waits/cancels_a_task")
    assert family.result(invocation) == ["cleaned up", "cancelled"]
    assert family.effects.of(invocation) == ["cleaned up"]


def test_a_step_is_cancelled_by_a_timeout(families: dict[str, Family]) -> None:
    """Only where the attempt stays open: a step holds a whole request until it has ended."""
    for prefix in ("V7", "V6", "V5"):
        family = families[prefix]
        invocation = family.send("Waits/cancels_a_step")
        assert family.result(invocation) == "gave up"
        wait_until(
            lambda family=family, id_=invocation: family.effects.count(id_, "body cancelled"),  # type: ignore[misc]
            "the body to be cancelled",
        )


def test_chance_and_time_are_stable(family: Family) -> None:
    answer = family.call("Waits/stable")
    assert isinstance(answer, dict)
    assert answer["drawn"] == answer["journaled"]


def test_chance_differs_between_invocations(family: Family) -> None:
    first, second = (family.call("Waits/stable") for _ in range(2))
    assert isinstance(first, dict)
    assert isinstance(second, dict)
    assert first["drawn"]["uuid"] != second["drawn"]["uuid"]
