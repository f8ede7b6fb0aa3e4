"""A file of the release before there was step metadata."""

from __future__ import annotations

from pathlib import Path

import pytest
from core.harness import DEPLOYMENT, SERVICE, VERSION, World, proposal, run
from core.test_step_metadata import MODEL, about, kept

from holdfast.core.model import Waiter
from holdfast.storage import invocations, partition_tables
from holdfast.storage.schema import INVOCATION_COLUMNS, MIGRATIONS


def test_the_previous_file_is_opened_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Method: the previous release's schema and column name, written by the same engine."""
    old_columns = tuple("has_attached" if name == "flags" else name for name in INVOCATION_COLUMNS)
    with monkeypatch.context() as patched:
        patched.setattr(partition_tables, "MIGRATIONS", MIGRATIONS[:1])
        patched.setattr(partition_tables, "StepMetadata", lambda _: _NoTable())
        patched.setattr(partition_tables, "Blobs", lambda _: _NoTable())
        patched.setattr(invocations, "INVOCATION_COLUMNS", old_columns)
        patched.setattr(invocations, "encode_plain", lambda _: None)  # type: ignore[arg-type]
        patched.setattr(invocations, "_SELECT", f"SELECT {', '.join(old_columns)} FROM invocation")
        old = World(directory=tmp_path)
        alone, attached = old.start(SERVICE), old.start(SERVICE)
        old.report(alone, run(1))
        invocation = old.invocation(attached)
        old.tables[0].waiters.add(invocation.row, Waiter(alone, 5, 0x8012))  # type: ignore[arg-type]
        invocation.has_attached = True
        old.tables[0].invocations.put(invocation)
        old.tables[0].commit()
        old.close()
    world = World(directory=tmp_path)
    world.reopen()
    assert world.tables[0].database.first("PRAGMA user_version") == (len(MIGRATIONS),)
    flags = [(i.has_attached, i.has_step_metadata) for i in map(world.invocation, (alone, attached))]
    assert flags == [(False, False), (True, False)]
    world.report(alone, about(proposal(1), MODEL))
    world.reopen()
    assert world.invocation(alone).has_step_metadata
    assert list(kept(world, alone)) == [1]
    assert (world.invocation(alone).deployment, VERSION) == (DEPLOYMENT, 7)
    world.close()


class _NoTable:
    inline_bytes_max = 1 << 20

    def any_of(self, _: object) -> bool:
        return False

    def flush(self) -> None: ...
    def committed(self) -> None: ...
