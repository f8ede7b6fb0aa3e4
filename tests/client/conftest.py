"""One server and one service process, on an SDK that is not ours, for the tests with real processes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import Effects, PythonService, Server, new_server


@pytest.fixture(scope="module")
def effects(tmp_path_factory: pytest.TempPathFactory) -> Effects:
    return Effects(tmp_path_factory.mktemp("effects") / "side-effects.txt")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, effects: Effects) -> Iterator[Server]:
    work_dir: Path = tmp_path_factory.mktemp("world")
    started, service = new_server(work_dir / "server"), PythonService(work_dir, effects)
    try:
        service.process.start()
        started.start()
        service.wait_healthy()
        with started.admin() as admin:
            admin.register(service.uri)
        yield started
    finally:
        started.stop()
        service.stop()
