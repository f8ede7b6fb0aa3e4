"""Applications as deployments: lifespans, mounting, errors, and what an SDK is told about time and steps."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from datetime import timedelta
from typing import Any

import pytest
from fastapi import FastAPI
from testing import official, own

import holdfast
import holdfast.testing as testing
from holdfast.catalog.errors import DiscoveryError
from holdfast.testing.lifespan import LifespanFailed


class Counting:
    """An application that counts the attempts of another."""

    def __init__(self, app: Any) -> None:
        self.app = app
        self.attempts: Counter[str] = Counter()
        self.versions: set[str] = set()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and scope["method"] == "POST":
            self.attempts[scope["path"]] += 1
            self.versions.add(scope["http_version"])
        await self.app(scope, receive, send)


def test_replaying_always_makes_an_attempt_per_wait() -> None:
    async def scenario(env: testing.Harness) -> None:
        await env.call(official.ORDER, "milk")

    streaming, replaying = Counting(official.app), Counting(official.app)
    testing.run(streaming, scenario)
    testing.run(replaying, scenario, always_replay=True)
    order = "/invoke/Greeter/order"
    assert streaming.attempts[order] == 2  # suspended for the long sleep alone
    assert replaying.attempts[order] == 4  # for the step, the sleep and the call
    assert (streaming.versions, replaying.versions) == ({"2"}, {"1.1"})


def test_context_variables_of_one_attempt_are_gone_in_the_next() -> None:
    """As in a service, where each request starts anew. Method: the second attempt follows a step of the
    first, whose variables its body had."""
    left: ContextVar[str] = ContextVar("left", default="nothing")
    seen: list[str] = []
    service = holdfast.Service("Leaving")

    @service.handler()
    async def leaves(ctx: holdfast.Context) -> None:
        seen.append(left.get())
        left.set("something")
        await ctx.run("wait", asyncio.sleep, 0)

    testing.run(service, lambda env: env.call(leaves), always_replay=True)
    assert seen == ["nothing", "nothing"]


def test_an_application_mounted_under_a_path_with_a_lifespan() -> None:
    events: list[str] = []

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        events.append("up")
        yield
        events.append("down")

    site = FastAPI(lifespan=lifespan)
    site.mount("/durable", own.app)

    async def scenario(env: testing.Harness) -> None:
        assert events == ["up"]
        assert await env.call(own.left_of, key="tea") == 10

    testing.run(site, scenario, path="/durable")
    assert events == ["up", "down"]


def test_a_lifespan_that_fails_ends_the_test() -> None:
    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        raise ConnectionError("no database")
        yield

    async def scenario(_: testing.Harness) -> None:
        raise AssertionError("must not come here")

    with pytest.raises(LifespanFailed, match="no database"):
        testing.run(FastAPI(lifespan=lifespan), scenario)


def test_what_is_no_endpoint_is_named() -> None:
    async def scenario(_: testing.Harness) -> None:
        raise AssertionError("must not come here")

    with pytest.raises(DiscoveryError, match=r"services-0\.test.*404"):
        testing.run(FastAPI(), scenario)


def test_several_applications_call_each_other() -> None:
    async def scenario(env: testing.Harness) -> None:
        assert await env.call(own.left_of, key="tea") == 10
        assert await env.call(official.GREET, "Ada") == "Hello Ada!"

    testing.run([own.app, official.app], scenario)


def test_an_application_that_raises_fails_the_attempt() -> None:
    times = 0

    async def flaky(scope: Any, receive: Any, send: Any) -> None:
        nonlocal times
        if scope["type"] == "http" and scope["method"] == "POST":
            times += 1
            if times == 1:
                raise OSError("the application is broken")
        await official.app(scope, receive, send)

    async def scenario(env: testing.Harness) -> None:
        sent = await env.send(official.GREET, "Ada")
        await env.settle()
        assert "the application is broken" in (env.invocation_view(sent).failure or "")
        assert await sent.attach() == "Hello Ada!"

    testing.run(flaky, scenario)


def test_an_sdk_that_asks_is_told_the_virtual_time() -> None:
    told: list[int] = []

    async def asking(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            hooks = scope["extensions"][testing.HOOKS]
            assert isinstance(hooks, testing.AttemptHooks)
            told.append(hooks.now_ms())
        await official.app(scope, receive, send)

    async def scenario(env: testing.Harness) -> None:
        await env.advance(timedelta(days=1))
        await env.call(official.GREET, "Ada")
        assert told[-1] == int(env.now.timestamp() * 1000)

    testing.run(asking, scenario)


def test_an_sdk_that_asks_hears_which_steps_are_to_fail() -> None:
    raised: list[str] = []

    async def asking(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and scope["method"] == "POST":
            for step in ("charge", "ship", "charge", "charge"):
                try:
                    scope["extensions"][testing.HOOKS].before_step(step)
                except ConnectionError:
                    raised.append(step)
                scope["extensions"][testing.HOOKS].after_step(step)
        await official.app(scope, receive, send)

    async def scenario(env: testing.Harness) -> None:
        env.fail_step("charge", times=2, error=ConnectionError)
        await env.call(official.GREET, "Ada")
        assert raised == ["charge", "charge"]

    testing.run(asking, scenario)


def test_a_step_that_was_to_fail_and_did_not_run_is_reported() -> None:
    async def scenario(env: testing.Harness) -> None:
        env.fail_step("chrage")
        await env.call(official.GREET, "Ada")

    with pytest.raises(testing.NotHappened, match="'chrage' 1 more times"):
        testing.run(official.app, scenario)
