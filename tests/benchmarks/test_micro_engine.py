"""The benchmark of the server's own code still drives it, and it leaves nothing to the garbage collector."""

import gc

import pytest

from bench.micro_engine import cyclic_objects, measure
from holdfast.partition import committer


def test_the_path_runs_and_makes_no_cycles(monkeypatch: pytest.MonkeyPatch) -> None:
    # The benchmark changes it; this brings it back.
    monkeypatch.setattr(committer, "INLINE_COMMIT_S_MAX", committer.INLINE_COMMIT_S_MAX)
    try:
        assert measure(together=4, batches=2, steps=10) > 0
        assert cyclic_objects(together=4) == 0
    finally:
        gc.unfreeze()
