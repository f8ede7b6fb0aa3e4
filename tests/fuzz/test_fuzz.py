"""A slice of the fuzzing; `make fuzz` takes longer."""

import pytest

from .mutation import fuzz
from .registry import TARGETS

EXECUTIONS = 1000


@pytest.mark.slow
@pytest.mark.parametrize("name", list(TARGETS))
def test_a_strangers_bytes_do_no_harm(name: str) -> None:
    target, seeds = TARGETS[name]
    done, outcomes = fuzz(target, seeds, number=1, count=EXECUTIONS)
    assert done >= EXECUTIONS
    assert outcomes > 1
