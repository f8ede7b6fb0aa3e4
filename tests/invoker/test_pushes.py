"""What pushes share is kept as long as the catalog has the same handler and deployment, and no longer."""

from __future__ import annotations

from dataclasses import replace

import pytest
from invoker.support import FakeCatalog, deployment
from partition.support import DEPLOYMENT, handler

from holdfast.core.model import INVOKED, Invocation, InvocationId, Retention, Row, Target, TargetKind
from holdfast.invoker.pushes import Push, Pushes
from holdfast.protocol.errors import UnsupportedVersion


def _invocation(pinned: str | None = None, version: int | None = None) -> Invocation:
    target = Target("Greeter", "greet", None, TargetKind.SERVICE)
    return Invocation(
        Row(1), InvocationId(bytes(24)), target, INVOKED, 0, 0, Retention(0, 0),
        deployment=pinned, protocol_version=version,
    )  # fmt: skip


def _found(pushes: Pushes, invocation: Invocation) -> Push:
    push = pushes.of(invocation)
    assert push is not None
    return push


def test_a_push_is_found_once_and_again_when_the_catalog_changes() -> None:
    catalog = FakeCatalog()
    pushes = Pushes(catalog, 5, 7)
    assert pushes.of(_invocation()) is None
    catalog.add(handler())
    catalog.deployments[DEPLOYMENT] = deployment()
    first = _found(pushes, _invocation())
    assert (first.path, first.version) == ("/invoke/Greeter/greet", 7)
    assert pushes.of(_invocation()) is first
    catalog.add(handler(inactivity_timeout_ms=1))
    assert _found(pushes, _invocation()).handler.inactivity_timeout_ms == 1
    headers = (("X-Key", "1"),)
    catalog.deployments[DEPLOYMENT] = replace(deployment(versions=(5, 6)), additional_headers=headers)
    changed = _found(pushes, _invocation())
    assert changed.version == 6
    assert ("x-key", "1") in changed.headers.pairs
    del catalog.deployments[DEPLOYMENT]
    assert pushes.of(_invocation()) is None


def test_a_pinned_version_stays_or_is_refused() -> None:
    catalog = FakeCatalog()
    catalog.add(handler())
    catalog.deployments[DEPLOYMENT] = deployment()
    pushes = Pushes(catalog, 5, 7)
    assert _found(pushes, _invocation(DEPLOYMENT, 6)).version == 6
    assert _found(pushes, _invocation(DEPLOYMENT, 5)).version == 5
    catalog.deployments[DEPLOYMENT] = deployment(versions=(7, 7))
    with pytest.raises(UnsupportedVersion):
        pushes.of(_invocation(DEPLOYMENT, 6))
