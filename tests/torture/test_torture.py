"""A slice of the torture; `make torture` does it a thousand times."""

from pathlib import Path

import pytest

from .power_cut import Disk, why_not
from .run import torture

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

SEED = 7
KILLS = 8
CUTS = 4


def test_nothing_promised_is_lost_or_done_twice(tmp_path: Path) -> None:
    survived = torture(SEED, KILLS, tmp_path)
    assert survived.kills >= KILLS
    assert survived.answers > 0


def test_what_was_acknowledged_survives_a_power_cut(tmp_path: Path) -> None:
    if reason := why_not():
        pytest.skip(reason)
    disk = Disk(tmp_path)
    try:
        survived = torture(SEED, CUTS, tmp_path, disk=disk)
    finally:
        disk.close()
    assert survived.kills >= CUTS
    assert survived.answers > 0
