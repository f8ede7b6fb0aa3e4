"""The same environment with services of our own SDK: typed calls, services given as they are, strict mode."""

from __future__ import annotations

from datetime import timedelta

import pytest
from testing import own

import holdfast
import holdfast.testing as testing

ORDER = own.Order("tea", 3)


async def order_tea(env: testing.Harness) -> None:
    own.shipped.clear()
    assert await env.call(own.place, ORDER) == "3 tea, 7 left"
    assert env.state(own.stock, "tea") == {"left": 7}
    assert await env.call(own.left_of, key="tea") == 7
    await env.advance(timedelta(days=8))
    assert own.shipped[-1] == "reminder of tea"
    assert "tea" in own.shipped


@pytest.mark.parametrize("always_replay", [False, True])
def test_an_order_over_weeks(always_replay: bool) -> None:
    testing.run(own.app, order_tea, always_replay=always_replay)
    assert own.shipped == ["tea", "reminder of tea"]


@pytest.mark.parametrize("always_replay", [False, True])
def test_an_order_survives_a_crash_anywhere(always_replay: bool) -> None:
    reached = testing.crash_everywhere(own.app, order_tea, always_replay=always_replay)
    assert len(reached) > 10


def test_services_make_an_application_by_themselves() -> None:
    testing.run([own.shop, own.stock], order_tea)


def test_a_workflow_is_approved() -> None:
    async def scenario(env: testing.Harness) -> None:
        run = await env.workflow(own.join, "ada").submit("Ada")
        await env.advance(timedelta(days=2))
        assert env.invocation_view(run).status == "suspended"
        await env.call(own.approve, True, key="ada")
        assert await run.attach() == "Ada is in"

    testing.run(own.app, scenario)


def test_parallel_calls() -> None:
    async def scenario(env: testing.Harness) -> None:
        await env.set_state(own.stock, "b", {"left": 2})
        assert await env.call(own.fan_out, ["a", "b"]) == [10, 2]

    testing.run(own.app, scenario)


def test_a_terminal_error_reaches_the_test() -> None:
    async def scenario(env: testing.Harness) -> None:
        with pytest.raises(holdfast.TerminalError, match="sold out"):
            await env.call(own.place, own.Order("tea", 11))

    testing.run(own.app, scenario)
