"""A slice of the storm that fits into every test run; `make storm` runs as long as one likes."""

from __future__ import annotations

import os
import time

import pytest

from tests.simulation.mutants import MUTANTS, caught
from tests.simulation.run import Simulation

SLICE_S = 12.0
"""Time after which the slice begins no further seed: the machine decides how many fit, never what they do."""
SLICE_SEEDS_MAX = 400
FIRST = int(os.environ.get("SIMULATION_FIRST_SEED", "1"))


def repeated(seed: int) -> Simulation:
    """Run a seed; a failure names the command that repeats it."""
    simulation = Simulation(seed)
    try:
        simulation.run()
    except Exception as error:
        error.add_note(f"again: make sim SEED={seed}")
        raise
    return simulation


def test_a_slice_of_the_storm() -> None:
    """Goal: every law holds after every run. Method: seeds one after another, for a bounded time."""
    begun = time.monotonic()
    for seed in range(FIRST, FIRST + SLICE_SEEDS_MAX):
        repeated(seed)
        if time.monotonic() - begun > SLICE_S:
            break


def test_a_seed_decides_everything() -> None:
    """Goal: a failure can be repeated. Method: the same seed twice, with all that was seen on the way."""
    for seed in (3, 20, 41):
        one, two = repeated(seed), repeated(seed)
        assert one.truth.history == two.truth.history
        assert one.world.events == two.world.events


SOON_CAUGHT = ("acts_before_the_commit", "fires_timers_again", "replays_too_little", "does_not_recover")


@pytest.mark.parametrize("name", SOON_CAUGHT)
def test_the_simulation_notices_a_broken_engine(name: str) -> None:
    """Goal: the laws have teeth. Method: a few of the mutants that are caught at once."""
    assert caught(name, 20) is not None


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in MUTANTS if name not in SOON_CAUGHT])
def test_every_broken_engine_is_noticed(name: str) -> None:
    assert caught(name) is not None
