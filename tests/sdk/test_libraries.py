"""Libraries in handler code: what they ask a loop for, and what they are told when it does not have that."""

import asyncio
import threading
from typing import Any

import anyio
import pytest

from holdfast import Context
from holdfast.sdk.agent_frameworks import framework_cure
from holdfast.sdk.loop.inline_executor import InlineExecutor
from tests.sdk.attempts import Fed, served

EXECUTOR = InlineExecutor("story")


def begun(function: Any) -> Fed:
    """One attempt at this handler."""
    return served(function).begin(b"")


def test_task_groups_and_cancel_scopes_of_anyio() -> None:
    async def handler(ctx: Context) -> list[str]:
        order: list[str] = []

        async def note(text: str) -> None:
            order.append(text)

        async with anyio.create_task_group() as group:
            group.start_soon(note, "a")
            group.start_soon(note, "b")
        with anyio.CancelScope() as scope:
            scope.cancel()
            await anyio.sleep(5)
        return order

    assert begun(handler).result() == ["a", "b"]


def test_an_inline_executor_calls_at_once_in_a_handler() -> None:
    async def handler(ctx: Context) -> list[object]:
        loop = asyncio.get_running_loop()
        thread = await loop.run_in_executor(EXECUTOR, threading.get_ident)
        with pytest.raises(ZeroDivisionError):
            await loop.run_in_executor(EXECUTOR, lambda: 1 // 0)
        return [thread == threading.get_ident()]

    assert begun(handler).result() == [True]


def test_and_in_a_thread_elsewhere() -> None:
    async def elsewhere() -> int:
        return await asyncio.get_running_loop().run_in_executor(EXECUTOR, threading.get_ident)

    assert asyncio.run(elsewhere()) != threading.get_ident()
    EXECUTOR.shutdown()


@pytest.mark.parametrize("module", ["pydantic_ai.models.openai", "agents.run", "litellm.main"])
def test_a_refused_framework_is_told_of_its_integration(module: str) -> None:
    library: dict[str, Any] = {"__name__": module}
    code = "async def request(loop):\n    await loop.getaddrinfo('example.org', 443)\n"
    exec(compile(code, "/x/site-packages/vendor/request.py", "exec"), library)

    async def handler(ctx: Context) -> None:
        await library["request"](asyncio.get_running_loop())

    message = begun(handler).error().message
    assert "holdfast.ai." in message
    assert "[unrecorded_io]" in message


def test_the_users_own_code_is_told_of_steps_also_where_a_framework_calls_it() -> None:
    assert framework_cure(None) is None

    async def handler(ctx: Context) -> None:
        await asyncio.get_running_loop().getaddrinfo("example.org", 443)

    assert "ctx.run" in begun(handler).error().message
