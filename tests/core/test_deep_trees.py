"""Await trees of the depth that the protocol allows, through every function that walks them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from core.harness import SERVICE, World, sleep

from holdfast.core.commands import Suspend
from holdfast.core.model import Suspended
from holdfast.invoker.translate import await_tree
from holdfast.protocol import messages as wire
from holdfast.protocol.futures import FUTURE_DEPTH_MAX
from holdfast.server.node import RECURSION_LIMIT


@pytest.fixture(autouse=True)
def _as_in_the_server() -> Iterator[None]:
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(RECURSION_LIMIT)
    yield
    sys.setrecursionlimit(before)


def test_the_deepest_tree_parks_survives_a_restart_and_wakes(tmp_path: Path) -> None:
    tree = wire.Future((1,), (1,), (), (), wire.CombinatorType.ALL_COMPLETED)
    for _ in range(FUTURE_DEPTH_MAX - 1):
        tree = wire.Future((), (), (), (tree,), wire.CombinatorType.ALL_COMPLETED)
    received = wire.SuspensionMessage.decode(wire.SuspensionMessage(tree).encode()).awaiting_on
    assert received is not None
    world = World(1, tmp_path)
    id_ = world.start(SERVICE)
    world.report(id_, sleep(1, world.now + 5))
    world.report(id_, Suspend(await_tree(received), world.known(id_)))
    world.reopen()
    world.pass_time(5)
    assert isinstance(world.status(id_), Suspended)
    world.signal(id_, 1)
    assert world.started(id_)
    world.close()
