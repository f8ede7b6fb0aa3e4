"""Changes of files are noticed, once each, when they have come to rest."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from holdfast.cli.source_watch import SourceWatch

DEADLINE_S = 30


def test_edits_new_files_and_removals(tmp_path: Path) -> None:
    app, beside, far = tmp_path / "app.py", tmp_path / "beside.py", tmp_path / "lib" / "far.py"
    far.parent.mkdir()
    for file in (app, beside, far):
        file.write_text("a = 1\n")

    async def story() -> None:
        async with asyncio.timeout(DEADLINE_S):
            watch = SourceWatch(app, tmp_path)
            watch.add([str(far)])
            app.write_text("a = 2\n")
            os.utime(app, ns=(1, 1))  # a time that went back is a change, too
            assert await watch.changed() == [app]
            far.write_text("a = 22\n")
            beside.unlink()
            assert await watch.changed() == [beside, far]
            (tmp_path / "new.py").write_text("")
            (tmp_path / "notes.txt").write_text("")
            assert await watch.changed() == [tmp_path / "new.py"]

    asyncio.run(story())


def test_all_of_a_package_and_its_stale_bytecode(tmp_path: Path) -> None:
    package = tmp_path / "shop"
    inner = package / "inner" / "deep.py"
    inner.parent.mkdir(parents=True)
    for file in (package / "__init__.py", package / "app.py", inner):
        file.write_text("a = 1\n")
    stale = inner.parent / "__pycache__" / f"deep.{sys.implementation.cache_tag}.pyc"
    stale.parent.mkdir()
    stale.write_bytes(b"old")

    async def story() -> None:
        async with asyncio.timeout(DEADLINE_S):
            watch = SourceWatch(package / "app.py", tmp_path)
            inner.write_text("a = 2\n")
            os.utime(inner, ns=(2, 2))
            assert await watch.changed() == [inner]

    asyncio.run(story())
    assert not stale.exists()
