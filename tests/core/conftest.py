"""Worlds for stories: one partition, and four, where messages between invocations cross."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from core.harness import World


@pytest.fixture(params=[1, 4], ids=["one partition", "four partitions"])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    world = World(request.param)
    yield world
    world.close()
