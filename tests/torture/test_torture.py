"""A slice of the torture; `make torture` does it a thousand times."""

from pathlib import Path

import pytest

from .run import torture

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

SEED = 7
KILLS = 8


def test_nothing_promised_is_lost_or_done_twice(tmp_path: Path) -> None:
    survived = torture(SEED, KILLS, tmp_path)
    assert survived.kills >= KILLS
    assert survived.answers > 0
