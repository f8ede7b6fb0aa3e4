"""How invocations end otherwise than by returning: failing, being retried, being cancelled."""

import asyncio
import os
from typing import Any, Unpack

from sdk_suite.services.effects import mark, note, note_attempt

import holdfast
from holdfast import Context, InvocationCancelled, InvocationRetry, TerminalError
from holdfast.sdk.options import ServiceKeywords

HOUR_S = 3600.0
TWICE_THEN_KILL = InvocationRetry(
    initial_interval=0.01, max_interval=0.02, factor=1.0, max_attempts=2, on_max_attempts="kill"
)

SOON = InvocationRetry(initial_interval=0.01, max_interval=0.02, factor=1.0)


async def stuck(invocation_id: str) -> None:
    note(invocation_id, "stuck")
    try:
        await asyncio.sleep(HOUR_S)
    except asyncio.CancelledError:
        note(invocation_id, "body cancelled")
        raise


def ends(prefix: str, leaf: holdfast.Service, **options: Unpack[ServiceKeywords]) -> holdfast.Service:
    """`{prefix}Ends`."""
    service = holdfast.Service(f"{prefix}Ends", **options)
    nap = leaf.handlers["nap"]

    # Failures.

    @service.handler
    async def fails(ctx: Context, failure: dict[str, Any]) -> None:
        raise TerminalError(failure["message"], failure["code"], failure.get("metadata"))

    @service.handler(retry=SOON)
    async def flaky(ctx: Context, times: int) -> int:
        await mark("step", ctx)
        attempt = note_attempt(ctx.invocation_id)
        if attempt <= times:
            raise ValueError(f"attempt {attempt} fails")
        return attempt

    @service.handler
    async def retry_after(ctx: Context, seconds: float) -> str:
        if note_attempt(ctx.invocation_id) == 1:
            raise holdfast.RetryableError("later", retry_after=seconds)
        return "recovered"

    @service.handler(retry=TWICE_THEN_KILL)
    async def killed_by_policy(ctx: Context) -> None:
        note_attempt(ctx.invocation_id)
        raise ValueError("always fails")

    @service.handler(retry=TWICE_THEN_KILL)
    async def returns_the_wrong_type(ctx: Context) -> int:
        return "text"  # type: ignore[return-value]

    @service.handler
    async def changes_its_mind(ctx: Context) -> int:
        attempt = note_attempt(ctx.invocation_id)
        await ctx.run("first" if attempt == 1 else "other", lambda: 1)
        await ctx.sleep(0.001)
        raise ValueError("again")

    @service.handler
    async def deadlocks(ctx: Context) -> None:
        await asyncio.Event().wait()

    # Cancellation.

    @service.handler
    async def books(ctx: Context, fail: bool) -> None:
        async with holdfast.saga() as undo:
            await mark("flight", ctx)
            undo.add(note, ctx.invocation_id, "cancel flight")
            await mark("hotel", ctx)
            undo.add(note, ctx.invocation_id, "cancel hotel")
            if fail:
                raise TerminalError("no car", 409)
            await ctx.sleep(HOUR_S)

    @service.handler
    async def sleeps(ctx: Context) -> None:
        await mark("started", ctx)
        try:
            await asyncio.sleep(HOUR_S)
        except InvocationCancelled:
            await mark("cleaned up", ctx)
            raise

    @service.handler
    async def calls(ctx: Context) -> None:
        call = ctx.call(nap, HOUR_S)
        await mark(f"callee {await call.invocation_id()}", ctx)
        try:
            await call
        except InvocationCancelled:
            await mark("cleaned up", ctx)
            raise

    @service.handler
    async def groups(ctx: Context) -> None:
        async def member(label: str) -> None:
            try:
                await ctx.sleep(HOUR_S)
            except (InvocationCancelled, asyncio.CancelledError):
                await mark(f"{label} cleaned up", ctx)
                raise

        await mark("started", ctx)
        async with asyncio.TaskGroup() as group:
            group.create_task(member("a"))
            group.create_task(member("b"))

    @service.handler
    async def queues(ctx: Context) -> None:
        await mark("started", ctx)
        await asyncio.Queue[int]().get()

    @service.handler
    async def awaits(ctx: Context) -> None:
        await mark("started", ctx)
        await ctx.awakeable(str)

    @service.handler
    async def survives(ctx: Context) -> str:
        await mark("started", ctx)
        try:
            await ctx.sleep(HOUR_S)
        except InvocationCancelled:
            # Cancellation is told once; what the handler does then is its own affair.
            await ctx.sleep(0.005)
            return await mark("survived", ctx)
        return "never cancelled"

    @service.handler
    async def steps(ctx: Context) -> None:
        await ctx.run(stuck, ctx.invocation_id)

    # Crashes.

    @service.handler
    async def crashes(ctx: Context, count: int) -> list[str]:
        """Kills its own process once, in the middle of its steps."""
        done: list[str] = []
        for index in range(count):
            done.append(await mark(f"step {index}", ctx))
            if index == count // 2 and note_attempt(ctx.invocation_id) == 1:
                os.kill(os.getpid(), 9)
        return done

    return service
