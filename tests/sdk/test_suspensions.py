"""What a suspension waits for: as little as lets the handler go on, never less."""

from __future__ import annotations

import asyncio

from holdfast.protocol.messages import (
    CallCommandMessage,
    CombinatorType,
    Future,
    SuspensionMessage,
    SuspensionMessageV6,
)
from holdfast.sdk.context import Context
from holdfast.sdk.services import Service
from tests.sdk.attempts import Fed

fans = Service("Fans")
CANCEL = 1


@fans.handler
async def echo(ctx: Context, n: int) -> int:
    return n


@fans.handler
async def of_calls(ctx: Context) -> list[int]:
    return await asyncio.gather(*(ctx.call(echo, n) for n in range(3)))


@fans.handler
async def of_tasks(ctx: Context) -> list[int]:
    async def twice(n: int) -> int:
        return await ctx.call(echo, await ctx.call(echo, n))

    return await asyncio.gather(*(twice(n) for n in range(3)))


@fans.handler
async def with_another_waiter(ctx: Context) -> list[int]:
    first, second = ctx.call(echo, 1), ctx.call(echo, 2)

    async def also() -> int:
        return await first

    task = asyncio.ensure_future(also())
    return [*await asyncio.gather(first, second), await task]


def suspension(name: str, version: int = 7) -> SuspensionMessage | SuspensionMessageV6:
    said = Fed(fans.handlers[name], version).begin(b"").close().said()
    assert [type(message) for message in said[:-1]] == [CallCommandMessage] * (len(said) - 1)
    last = said[-1]
    assert isinstance(last, SuspensionMessage | SuspensionMessageV6)
    return last


def test_a_gather_of_calls_waits_for_all_of_them() -> None:
    """Goal: one replay, not one per call. Each call's result has the even id after the one of its callee."""
    all_of = Future((2, 4, 6), combinator_type=CombinatorType.ALL_SUCCEEDED_OR_FIRST_FAILED)
    tree = Future((), (CANCEL,), (), (all_of,), CombinatorType.FIRST_COMPLETED)
    assert suspension("of_calls") == SuspensionMessage(tree)


def test_before_protocol_7_any_of_them_wakes() -> None:
    assert suspension("of_calls", 6) == SuspensionMessageV6((2, 4, 6), (CANCEL,), ())


def test_tasks_go_on_one_by_one() -> None:
    """Goal: never sleep on. A task whose call is answered has a next call to make."""
    tree = Future((2, 4, 6), (CANCEL,), (), (), CombinatorType.FIRST_COMPLETED)
    assert suspension("of_tasks") == SuspensionMessage(tree)


def test_a_future_that_somebody_else_awaits_wakes_by_itself() -> None:
    tree = Future((2, 4), (CANCEL,), (), (), CombinatorType.FIRST_COMPLETED)
    assert suspension("with_another_waiter") == SuspensionMessage(tree)
