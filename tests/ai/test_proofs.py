"""One story for every framework, with real processes: nothing that is in the journal runs again.

Each law is proved for all agents at the same time, each in a world of its own, in three ways: `duplex`, where
an attempt goes on while it waits; `replayed`, where every await ends the attempt and the next one replays;
and `streamed`, replayed too, with the framework's streaming.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.ai.proofs import (
    World,
    prove_approval,
    prove_crashes,
    prove_order,
    prove_parallel,
    prove_run,
    prove_usage,
    together,
)
from tests.ai.proved_agents import AGENTS

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, World]]:
    worlds = {name: World(agent.proof, tmp_path_factory.mktemp(name), name) for name, agent in AGENTS.items()}
    try:
        together(worlds, World.start)
        yield worlds
    finally:
        together(worlds, World.stop)


@pytest.fixture(scope="module", params=["duplex", "replayed", "streamed"])
def worlds(request: pytest.FixtureRequest, running: dict[str, World]) -> dict[str, World]:
    """Those whose agent knows this way."""
    way: str = request.param
    found: dict[str, World] = {}
    for name, here in running.items():
        agent = AGENTS[name]
        target = agent.streamed if way == "streamed" else agent.proof.target
        if target is not None:
            here.proof = replace(agent.proof, target=target)
            here.register(duplex=way == "duplex")
            found[name] = here
    return found


def test_one_run_is_so_many_model_calls_and_tools(worlds: dict[str, World]) -> None:
    together(worlds, prove_run)


def test_tools_asked_for_at_once_run_at_once(worlds: dict[str, World]) -> None:
    together(worlds, lambda here: prove_parallel(here, AGENTS[here.name].at_once))


def test_the_journal_is_the_same_however_long_tools_take(worlds: dict[str, World]) -> None:
    for name, journal in together(worlds, prove_order).items():
        assert journal == AGENTS[name].journal, name


def test_killed_after_every_entry_nothing_runs_twice(worlds: dict[str, World]) -> None:
    assert together(worlds, prove_crashes) == {name: AGENTS[name].entries for name in worlds}


def test_tokens_are_counted_once_though_the_process_dies_at_every_entry(worlds: dict[str, World]) -> None:
    together(worlds, prove_usage)


def test_a_person_answers_while_the_process_is_gone(running: dict[str, World]) -> None:
    def approve_and_deny(here: World) -> None:
        agent = AGENTS[here.name]
        assert agent.asking is not None
        here.proof = agent.asking
        here.register()
        prove_approval(here, True)
        here.check()
        prove_approval(here, {"approved": False, "reason": "too much"}, agent.denied)
        assert here.runs() == {}

    together({name: here for name, here in running.items() if AGENTS[name].asking}, approve_and_deny)
