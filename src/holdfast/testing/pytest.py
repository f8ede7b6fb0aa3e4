"""The pytest plugin: async tests on virtual time, with a fresh engine each.

    @pytest.fixture
    def holdfast_app() -> holdfast.App:                       # what to test, in the test file or conftest.py
        return holdfast.app(greeter)

    async def test_greeting(holdfast_env: Harness) -> None:
        assert await holdfast_env.call(greet, "Ada") == "Hello Ada!"

    @pytest.mark.holdfast(always_replay=True)                 # options of Harness
    async def test_the_same_with_replays(holdfast_env: Harness) -> None: ...

An async test that asks for `holdfast_env` is run here, whatever asyncio plugins are installed; all others are
left alone. The environment is open from the first line of the test to its last: other fixtures are set up
outside of it and of its loop.
"""

from __future__ import annotations

import asyncio
from inspect import iscoroutinefunction, signature
from typing import TYPE_CHECKING, Any, cast

import pytest

if TYPE_CHECKING:
    from holdfast.testing.harness import Harness

FIXTURE = "holdfast_env"


def pytest_configure(config: pytest.Config) -> None:
    """Explains the marker."""
    config.addinivalue_line(
        "markers", "holdfast(always_replay, crash_after_entry, ...): options of the environment holdfast_env"
    )


@pytest.fixture
def holdfast_app() -> Any:
    """To be replaced by what is tested: an application, a service, or a list of them."""
    pytest.fail(
        "define a fixture holdfast_app that returns the application or services to test", pytrace=False
    )


@pytest.fixture
def holdfast_env(request: pytest.FixtureRequest, holdfast_app: Any) -> Harness:
    """The environment of an async test: an engine that serves what `holdfast_app` gives."""
    from holdfast.testing.harness import Harness, apps_of

    if not iscoroutinefunction(getattr(request.node, "obj", None)):
        pytest.fail(f"{request.node.name} uses {FIXTURE} and must be `async def`", pytrace=False)
    marker = request.node.get_closest_marker("holdfast")
    options: dict[str, Any] = {} if marker is None else dict(marker.kwargs)
    return Harness(*apps_of(holdfast_app), **options)


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Runs the tests that are ours; None leaves a test to others."""
    test = pyfuncitem.obj
    if FIXTURE not in pyfuncitem.funcargs or not iscoroutinefunction(test):
        return None
    from holdfast.testing.loop import VirtualLoop

    env = cast("Harness", pyfuncitem.funcargs[FIXTURE])
    arguments = {name: pyfuncitem.funcargs[name] for name in signature(test).parameters}

    async def main() -> None:
        async with env:
            await test(**arguments)

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(main())
    return True
