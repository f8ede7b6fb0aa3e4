"""`model_step` and `tool_step` in a handler, on the engine, in one process."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest

import holdfast
from holdfast import Retry, TerminalError, testing
from holdfast.ai import model_step, tool_step
from holdfast.ai.steps import TOOL_RESULT_BYTES_MAX
from holdfast.client.errors import InvocationFailed
from holdfast.sdk.serde import JSON, serde_for
from tests.ai.test_errors import VendorError

Body = Callable[[], Awaitable[Any]]


def service_of(handle: Callable[[holdfast.Context], Awaitable[Any]]) -> Any:
    service = holdfast.Service("Agent")

    @service.handler()
    async def run(ctx: holdfast.Context) -> Any:
        return await handle(ctx)

    return run


def play(
    handle: Callable[[holdfast.Context], Awaitable[Any]],
    scenario: Callable[[testing.Harness, Any], Awaitable[None]],
    **options: Any,
) -> None:
    run = service_of(handle)
    testing.run(run.service, lambda env: scenario(env, run), **options)


async def ask(body: Body, describe: Callable[[Any], Any] = lambda answer: {}, **options: Any) -> Any:
    return await model_step(
        "gpt-5",
        body,
        serde=JSON,
        provider="openai",
        model="gpt-5",
        framework="litellm",
        messages=[{"role": "user", "content": "hi"}],
        describe=describe,
        **options,
    )


async def use(body: Body, name: str = "pay", **options: Any) -> Any:
    return await tool_step(
        f"tool {name}",
        body,
        serde=JSON,
        tool=name,
        call_id="c1",
        arguments='{"usd": 5}',
        **options,
    )


@pytest.mark.parametrize("always_replay", [False, True])
def test_a_model_call_is_one_step_that_says_what_it_was(always_replay: bool) -> None:
    calls: list[str] = []

    async def handle(ctx: holdfast.Context) -> Any:
        async def body() -> dict[str, object]:
            calls.append("model")
            return {"text": "hello", "tokens": 7}

        answer = await ask(body, lambda answer: {"tokens_out": answer["tokens"], "finish_reason": "stop"})
        await ctx.sleep(timedelta(hours=1))
        return answer

    async def scenario(env: testing.Harness, run: Any) -> None:
        assert await env.call(run) == {"text": "hello", "tokens": 7}
        entry = next(entry for entry in env.journal(run) if entry.name == "gpt-5")
        assert entry.metadata == {
            "kind": "model",
            "provider": "openai",
            "model": "gpt-5",
            "framework": "litellm",
            "messages": [{"role": "user", "content": "hi"}],
            "messages_left_out": 0,
            "tokens_out": 7,
            "finish_reason": "stop",
        }
        assert calls == ["model"]

    play(handle, scenario, always_replay=always_replay)


def test_a_tool_call_is_one_step_that_says_what_it_was() -> None:
    async def handle(ctx: holdfast.Context) -> Any:
        async def body() -> str:
            return "paid"

        return await use(body)

    async def scenario(env: testing.Harness, run: Any) -> None:
        assert await env.call(run) == "paid"
        entry = next(entry for entry in env.journal(run) if entry.name == "tool pay")
        assert entry.metadata == {"kind": "tool", "tool": "pay", "call_id": "c1", "arguments": {"usd": 5}}

    play(handle, scenario)


def test_gathered_steps_start_together_in_the_order_they_were_made() -> None:
    running: list[str] = []

    async def handle(ctx: holdfast.Context) -> Any:
        together = asyncio.Barrier(3)

        def body(name: str) -> Body:
            async def wait_for_the_others() -> str:
                running.append(name)
                await asyncio.wait_for(together.wait(), 10)
                return name

            return wait_for_the_others

        return await asyncio.gather(*(use(body(name), name) for name in ("c", "a", "b")))

    async def scenario(env: testing.Harness, run: Any) -> None:
        assert await env.call(run) == ["c", "a", "b"]
        assert env.journal(run).steps == ["tool c", "tool a", "tool b"]
        assert running == ["c", "a", "b"]

    play(handle, scenario)


def test_outside_a_handler_the_body_just_runs() -> None:
    async def body() -> object:
        return {1, 2}  # no JSON: nothing is written

    async def fails() -> object:
        raise VendorError(401)

    assert asyncio.run(ask(body)) == {1, 2}
    assert asyncio.run(use(body)) == {1, 2}
    with pytest.raises(VendorError):
        asyncio.run(ask(fails))


def test_inside_a_step_the_body_just_runs() -> None:
    async def handle(ctx: holdfast.Context) -> Any:
        async def body() -> str:
            return "inner"

        async def outer() -> str:
            return str(await use(body))

        return await ctx.run(outer)

    async def scenario(env: testing.Harness, run: Any) -> None:
        assert await env.call(run) == "inner"
        assert env.journal(run).steps == ["outer"]

    play(handle, scenario)


def failing(*errors: Exception) -> tuple[Body, list[str]]:
    """A body that raises these one after the other, and then answers."""
    tries: list[str] = []

    async def body() -> str:
        tries.append("try")
        if len(tries) <= len(errors):
            raise errors[len(tries) - 1]
        return "answer"

    return body, tries


def test_the_provider_decides_when_it_is_asked_again() -> None:
    body, tries = failing(VendorError(429, retry_after="40"), VendorError(500, retry_after_ms="20000"))

    async def handle(ctx: holdfast.Context) -> Any:
        return await ask(body)

    async def scenario(env: testing.Harness, run: Any) -> None:
        began = env.now
        assert await env.call(run) == "answer"
        assert timedelta(seconds=60) <= env.now - began < timedelta(seconds=62)
        assert len(tries) == 3

    play(handle, scenario)


def test_what_the_provider_refuses_for_good_ends_the_step_once() -> None:
    body, tries = failing(VendorError(400, "context length exceeded"))

    async def handle(ctx: holdfast.Context) -> Any:
        try:
            return await ask(body)
        except TerminalError as error:
            return error.message

    async def scenario(env: testing.Harness, run: Any) -> None:
        assert "answered 400: VendorError: context length exceeded" in await env.call(run)
        assert len(tries) == 1

    play(handle, scenario)


def test_a_tool_that_raises_is_retried_by_its_policy_and_then_fails() -> None:
    body, tries = failing(*[RuntimeError("no such account")] * 9)

    async def handle(ctx: holdfast.Context) -> Any:
        try:
            return await use(body, retry=Retry(max_attempts=3))
        except TerminalError as error:
            return error.message

    async def scenario(env: testing.Harness, run: Any) -> None:
        assert "no such account" in await env.call(run)
        assert len(tries) == 3

    play(handle, scenario)


def test_a_tool_that_hangs_is_cancelled_and_counts_as_failed() -> None:
    ended: list[str] = []

    async def handle(ctx: holdfast.Context) -> Any:
        async def body() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                ended.append("cancelled")

        try:
            return await use(body, retry=Retry(max_attempts=2), timeout=timedelta(milliseconds=50))
        except TerminalError as error:
            return error.message

    async def scenario(env: testing.Harness, run: Any) -> None:
        assert "tool pay took longer than 0.05 seconds" in await env.call(run)
        assert ended == ["cancelled", "cancelled"]

    play(handle, scenario)


def test_a_tool_that_returns_ten_megabytes_fails_once_and_says_why() -> None:
    tries: list[str] = []

    async def handle(ctx: holdfast.Context) -> Any:
        async def body() -> str:
            tries.append("try")
            return "x" * 10_000_000

        return await use(body)

    async def scenario(env: testing.Harness, run: Any) -> None:
        with pytest.raises(InvocationFailed, match=f"10000002 bytes; at most {TOOL_RESULT_BYTES_MAX}"):
            await env.call(run)
        assert tries == ["try"]

    play(handle, scenario)


def test_a_result_that_cannot_be_written_fails_once_and_says_why() -> None:
    tries: list[str] = []

    async def handle(ctx: holdfast.Context) -> Any:
        async def body() -> object:
            tries.append("try")
            return object()

        return await use(body)

    async def scenario(env: testing.Harness, run: Any) -> None:
        with pytest.raises(InvocationFailed, match="the result of tool pay cannot be journaled"):
            await env.call(run)
        assert tries == ["try"]

    play(handle, scenario)


def test_an_answer_that_cannot_be_described_is_an_answer() -> None:
    async def handle(ctx: holdfast.Context) -> Any:
        async def body() -> str:
            return "answer"

        return await ask(body, lambda answer: answer["usage"])

    async def scenario(env: testing.Harness, run: Any) -> None:
        assert await env.call(run) == "answer"

    play(handle, scenario)


def test_the_result_is_what_its_bytes_read_the_first_time_too() -> None:
    async def handle(ctx: holdfast.Context) -> Any:
        async def body() -> tuple[int, str]:
            return 1, "a"

        found = await tool_step(
            "tool pair",
            body,
            serde=serde_for(tuple[int, str]),
            tool="pair",
            call_id="",
            arguments=None,
        )
        return type(found).__name__

    async def scenario(env: testing.Harness, run: Any) -> None:
        assert await env.call(run) == "tuple"

    play(handle, scenario)


class Reversing:
    """Payloads backwards."""

    def encode(self, data: bytes) -> bytes:
        return data[::-1]

    def decode(self, data: bytes) -> bytes:
        return data[::-1]


def test_what_a_codec_hides_is_not_repeated_in_metadata() -> None:
    async def handle(ctx: holdfast.Context) -> str:
        answer = await ask(body, lambda _: {"tokens_in": 3, "response": {"content": "secret"}})
        await tool_step("tool pay", body, serde=JSON, tool="pay", call_id="c1", arguments={"usd": 5})
        return str(answer)

    async def body() -> str:
        return "secret"

    async def scenario(env: testing.Harness, run: Any) -> None:
        assert await env.call(run) == "secret"
        steps = [entry.metadata for entry in env.journal(run) if entry.metadata]
        assert steps == [
            {
                "kind": "model",
                "provider": "openai",
                "model": "gpt-5",
                "framework": "litellm",
                "tokens_in": 3,
            },
            {"kind": "tool", "tool": "pay", "call_id": "c1"},
        ]

    play(handle, scenario, codec=Reversing())
