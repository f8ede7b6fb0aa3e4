"""The law of replay: a bounded slice of `python -m tests.sdk.laws`, and that it notices what it is for."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import pytest

from holdfast.protocol.framing import MessageType
from holdfast.sdk.attempt import Attempt
from holdfast.sdk.loop.ordered import OrderedFuture, OrderedTask
from holdfast.sdk.vm.machine import Machine
from tests.sdk.laws import law

SLICE = 600
PER_TEST = 100
SEEDS_TO_CATCH_MAX = 400
ACK = MessageType.PROPOSE_RUN_COMPLETION_ACK


@pytest.mark.parametrize("first", range(0, SLICE, PER_TEST))
def test_every_prefix_replays_to_the_same_end(first: int) -> None:
    """Goal: any program of asyncio and durable calls replays exactly. Method: run by chance against a model
    server, then replay prefixes of its journal."""
    for seed in range(first, first + PER_TEST):
        try:
            law.check(seed)
        except Exception as error:
            pytest.fail(f"python -m tests.sdk.laws {seed} 1\n{error}")


def sets_in_chance_order(patch: pytest.MonkeyPatch) -> None:
    chance = Random(1)

    def by_chance(self: Any) -> int:
        if not hasattr(self, "_hash"):
            self._hash = chance.getrandbits(40)
        return int(self._hash)

    patch.setattr(OrderedTask, "__hash__", by_chance)
    patch.setattr(OrderedFuture, "__hash__", by_chance)


def two_notifications_at_once(patch: pytest.MonkeyPatch) -> None:
    deliver = Attempt.deliver

    def deliver_two(self: Attempt, notification: Any) -> None:
        deliver(self, notification)
        second = self.machine.next_notification()
        if second is not None:
            deliver(self, second)

    patch.setattr(Attempt, "deliver", deliver_two)


def steps_started_at_once(patch: pytest.MonkeyPatch) -> None:
    add_step = Attempt.add_step

    def add_and_start(self: Attempt, step: Any) -> None:
        add_step(self, step)
        self._bodies.start()

    patch.setattr(Attempt, "add_step", add_and_start)


def acks_overtake(patch: pytest.MonkeyPatch) -> None:
    next_notification = Machine.next_notification

    def acks_first(self: Machine) -> Any:
        for index, (type_, _) in enumerate(self._notifications):
            if type_ == ACK:
                self._notifications.rotate(-index)
                break
        return next_notification(self)

    patch.setattr(Machine, "next_notification", acks_first)


def results_of_steps_without_the_server(patch: pytest.MonkeyPatch) -> None:
    step_returned = Attempt.step_returned

    def deliver_and_propose(self: Attempt, step: Any, result: Any) -> None:
        step_returned(self, step, result)
        if isinstance(result, bytes) and not step.future.done():
            step.future.set_result(step.future._decode(result))
            self._pump()

    patch.setattr(Attempt, "step_returned", deliver_and_propose)


def ids_by_the_journal_read_so_far(patch: pytest.MonkeyPatch) -> None:
    new_completion_id = Machine.new_completion_id

    def ids_skip(self: Machine) -> int:
        if self.has_notifications:
            new_completion_id(self)
        return new_completion_id(self)

    patch.setattr(Machine, "new_completion_id", ids_skip)


BROKEN: list[Callable[[pytest.MonkeyPatch], None]] = [
    sets_in_chance_order,
    two_notifications_at_once,
    steps_started_at_once,
    acks_overtake,
    results_of_steps_without_the_server,
    ids_by_the_journal_read_so_far,
]


@pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: broken.__name__)
def test_the_law_notices(
    broken: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Goal: the test can fail. Method: break the machinery where it matters, one rule at a time."""
    broken(monkeypatch)
    for seed in range(SEEDS_TO_CATCH_MAX):
        try:
            law.check(seed)
        except Exception:
            return
    pytest.fail(f"{SEEDS_TO_CATCH_MAX} programs pass although the machinery is broken")
