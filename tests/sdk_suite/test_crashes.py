"""kill -9 of the service in the middle of its steps: what is journaled is not done again."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import Effects, Server, wait_until
from sdk_suite.family import Family
from sdk_suite.processes import SuiteService

pytestmark = [pytest.mark.e2e, pytest.mark.interop]

STEPS = 10


@pytest.fixture(scope="module", params=[False, True], ids=["granian", "uvicorn"])
def crashing(
    request: pytest.FixtureRequest, server: Server, work_dir: Path, effects: Effects
) -> Iterator[SuiteService]:
    """A process of its own, so that nobody else's attempts die with it."""
    service = SuiteService(work_dir, effects, request_response=request.param, prefix="Crash")
    try:
        service.start()
        with server.admin() as admin:
            for version in (7, 6, 5):
                admin.register(f"{service.uri}/v{version}", http_11=service.http_11)
        yield service
    finally:
        service.stop()


def families_of(service: SuiteService, server: Server, effects: Effects) -> Iterator[Family]:
    modes = ("Rr",) if service.http_11 else ("", "Idle")
    ingress, admin = server.ingress(), server.admin()
    for version in (7, 6, 5):
        for mode in modes:
            yield Family(f"Crash{version}{mode}", ingress, admin, effects)


def test_a_process_that_kills_itself_between_steps(
    crashing: SuiteService, server: Server, effects: Effects
) -> None:
    family = next(families_of(crashing, server, effects))
    invocation = family.send("Ends/crashes", STEPS)
    wait_until(lambda: not crashing.process.alive, "the service to be dead")
    crashing.restart()
    labels = [f"step {index}" for index in range(STEPS)]
    assert family.result(invocation) == labels
    # The step before the crash was answered, so the journal had it.
    assert [mark for mark in effects.of(invocation) if mark != "attempt"] == labels


def test_a_process_killed_from_outside_repeats_one_step_at_most(
    crashing: SuiteService, server: Server, effects: Effects
) -> None:
    steps = 4 * STEPS
    running = {family: family.send("Steps/many", steps) for family in families_of(crashing, server, effects)}
    for invocation in running.values():
        effects.wait_for(invocation, "step 3")
    crashing.restart()
    labels = [f"step {index}" for index in range(steps)]
    for family, invocation in running.items():
        assert family.result(invocation) == labels
        marks = effects.of(invocation)
        assert len(marks) <= len(labels) + 1
        assert sorted(set(marks), key=labels.index) == labels
