"""Steps: every kind of body, name, result and retry policy."""

import threading
from dataclasses import dataclass
from datetime import timedelta
from typing import NoReturn, Unpack

from sdk_suite.services.effects import mark, note, note_attempt

import holdfast
from holdfast import Context, Retry, TerminalError
from holdfast.sdk.options import ServiceKeywords

SOON = timedelta(milliseconds=10)
QUICK = Retry(max_attempts=20, initial_interval=SOON, max_interval=SOON)
THREE = Retry(max_attempts=3, initial_interval=SOON, max_interval=SOON)
BRIEF = Retry(initial_interval=0.05, max_interval=0.05, max_duration=0.15)


@dataclass
class Charge:
    card: str
    cents: int


def double(number: int) -> int:
    return number * 2


async def triple(number: int) -> int:
    return number * 3


def in_a_thread() -> bool:
    return threading.current_thread() is not threading.main_thread()


async def on_the_loop() -> bool:
    return threading.current_thread() is threading.main_thread()


def charge(card: str, cents: int) -> Charge:
    return Charge(card, cents)


def some_bytes() -> bytes:
    return bytes(range(256))


async def nothing() -> None:
    return None


@holdfast.step(name="salute")
async def greet(name: str) -> str:
    return f"hello {name}"


@holdfast.step(retry=QUICK)
def unlucky(invocation_id: str, times: int) -> int:
    attempt = note_attempt(invocation_id)
    if attempt <= times:
        raise ValueError(f"attempt {attempt} fails")
    return attempt


@holdfast.step(retry=THREE)
async def hopeless(invocation_id: str) -> int:
    note(invocation_id, "attempt")
    raise ValueError("never works")


@holdfast.step(retry=BRIEF)
async def too_long(invocation_id: str) -> int:
    note(invocation_id, "attempt")
    raise ValueError("never works")


async def unlucky_without_policy(invocation_id: str) -> int:
    attempt = note_attempt(invocation_id)
    if attempt <= 2:
        raise ValueError(f"attempt {attempt} fails")
    return attempt


async def later(invocation_id: str) -> int:
    attempt = note_attempt(invocation_id)
    if attempt == 1:
        raise holdfast.RetryableError("later", retry_after=SOON)
    return attempt


async def teapot() -> NoReturn:
    raise TerminalError("short and stout", 418, {"spout": "left"})


@holdfast.step(retry=Retry(max_attempts=1))
async def uses(ctx: Context) -> None:
    await ctx.sleep(1)


@holdfast.step(retry=Retry(max_attempts=1))
async def unserialisable() -> object:
    return object()


class Till:
    """Its methods are steps."""

    def __init__(self, fee: int) -> None:
        self.fee = fee

    @holdfast.step
    async def total(self, cents: int) -> int:
        return cents + self.fee


def steps(prefix: str, **options: Unpack[ServiceKeywords]) -> holdfast.Service:
    """`{prefix}Steps`."""
    service = holdfast.Service(f"{prefix}Steps", **options)

    @service.handler
    async def kinds(ctx: Context, number: int) -> dict[str, object]:
        return {
            "sync": await ctx.run(double, number),
            "async": await ctx.run(triple, number),
            "lambda": await ctx.run("halve", lambda: number // 2),
            "lambda of a coroutine": await ctx.run("triple", lambda: triple(number)),
            "keywords": (await ctx.run("charge", charge, card="visa", cents=number)).cents,
            "in a thread": await ctx.run(in_a_thread),
            "on the loop": await ctx.run(on_the_loop),
            "decorated": await ctx.run(greet, "Ada"),
            "by itself": await greet("Grace"),
            "method": await Till(5).total(number),
            "ambient": await holdfast.current().run(double, number),
        }

    @service.handler
    async def named(ctx: Context) -> None:
        await ctx.run("charge card", charge, "visa", 5)
        await ctx.run(double, 1)
        await ctx.run(lambda: 1)
        await greet("Ada")

    @service.handler
    async def typed(ctx: Context) -> list[str]:
        charged = await ctx.run(charge, "visa", 5)
        data = await ctx.run(some_bytes)
        none = await ctx.run(nothing)  # type: ignore[func-returns-value]
        await ctx.sleep(0.001)
        return [type(charged).__name__, charged.card, str(len(data)), str(none)]

    @service.handler
    async def many(ctx: Context, count: int) -> list[str]:
        return [await mark(f"step {index}", ctx) for index in range(count)]

    @service.handler
    async def retried(ctx: Context, times: int) -> int:
        return await unlucky(ctx.invocation_id, times)

    @service.handler(retry=holdfast.InvocationRetry(initial_interval=SOON, max_interval=SOON, factor=1.0))
    async def retried_by_the_server(ctx: Context) -> int:
        return await ctx.run(unlucky_without_policy, ctx.invocation_id)

    @service.handler
    async def retried_when_it_says(ctx: Context) -> int:
        return await ctx.run(later, ctx.invocation_id)

    @service.handler
    async def out_of_attempts(ctx: Context) -> str:
        try:
            await hopeless(ctx.invocation_id)
        except TerminalError as error:
            return error.message
        return "worked"

    @service.handler
    async def out_of_time(ctx: Context) -> str:
        try:
            await too_long(ctx.invocation_id)
        except TerminalError as error:
            return error.message
        return "worked"

    @service.handler
    async def terminal(ctx: Context) -> None:
        await mark("before", ctx)
        await ctx.run(teapot)

    @service.handler
    async def terminal_caught(ctx: Context) -> list[object]:
        try:
            await ctx.run(teapot)
        except TerminalError as error:
            await ctx.sleep(0.001)
            return [error.code, error.message, dict(error.metadata)]
        return []  # type: ignore[unreachable]

    @service.handler
    async def misused(ctx: Context) -> list[str]:
        found: list[str] = []
        for step in (uses(ctx), unserialisable()):
            try:
                await step
            except TerminalError as error:
                found.append(error.message)
        return found

    @service.handler
    async def large(ctx: Context, size: int) -> int:
        return len(await ctx.run("large", lambda: "x" * size))

    return service
