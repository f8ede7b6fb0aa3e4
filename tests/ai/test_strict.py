"""Strict mode: who decides, and what a call outside the journal comes to."""

from __future__ import annotations

import asyncio

import pytest

import holdfast
from holdfast import testing
from holdfast.ai import UnjournaledCall, is_strict
from holdfast.ai.strict import PYTEST, refuse_unjournaled

WHAT, FIX = "a request to gpt-5 was made", "wrap the agent: durable(agent)"


def test_on_while_pytest_runs_and_off_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HOLDFAST_STRICT", raising=False)
    assert is_strict()
    monkeypatch.delenv(PYTEST)
    assert not is_strict()


@pytest.mark.parametrize(("word", "strict"), [("1", True), ("0", False)])
def test_the_environment_decides_before_that(
    monkeypatch: pytest.MonkeyPatch, word: str, strict: bool
) -> None:
    monkeypatch.setenv("HOLDFAST_STRICT", word)
    assert is_strict() is strict


def test_a_strict_app_decides_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOLDFAST_STRICT", "0")
    service = holdfast.Service("Strict")

    @service.handler()
    async def asks(ctx: holdfast.Context) -> bool:
        return is_strict()

    async def scenario(env: testing.Harness) -> bool:
        return await env.call(asks)

    assert testing.run(holdfast.app(service, strict=True), scenario)
    assert not testing.run(holdfast.app(service, strict=False), scenario)


def test_a_call_outside_a_step_is_refused_with_the_fix() -> None:
    service = holdfast.Service("Calls")

    @service.handler()
    async def outside_a_step(ctx: holdfast.Context) -> str:
        with pytest.raises(UnjournaledCall, match="every replay pays for it again") as caught:
            refuse_unjournaled(WHAT, FIX)
        return caught.value.message

    @service.handler()
    async def in_a_step(ctx: holdfast.Context) -> None:
        async def body() -> None:
            refuse_unjournaled(WHAT, FIX)

        await ctx.run(body)

    async def scenario(env: testing.Harness) -> None:
        message = await env.call(outside_a_step)
        assert message.startswith(WHAT)
        assert FIX in message
        await env.call(in_a_step)

    testing.run(service, scenario)


def test_outside_a_handler_nothing_is_refused() -> None:
    async def main() -> None:
        refuse_unjournaled(WHAT, FIX)

    asyncio.run(main())


def test_not_strict_it_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOLDFAST_STRICT", "0")
    service = holdfast.Service("Calls")

    @service.handler()
    async def outside_a_step(ctx: holdfast.Context) -> str:
        refuse_unjournaled(WHAT, FIX)
        return "passed"

    async def scenario(env: testing.Harness) -> str:
        return await env.call(outside_a_step)

    assert testing.run(holdfast.app(service, strict=False), scenario) == "passed"
