"""Things at once: steps that fail beside others, cancellations in every kind of wait, ends with work open."""

import asyncio
from typing import Any, Unpack

from sdk_suite.services.effects import mark, note, note_attempt

import holdfast
from holdfast import Context, InvocationCancelled, InvocationRetry, Retry, TerminalError
from holdfast.sdk.options import ServiceKeywords

HOUR_S = 3600.0
SOON = InvocationRetry(initial_interval=0.01, max_interval=0.02, factor=1.0)
THREE = Retry(max_attempts=3, initial_interval=0.01, max_interval=0.02)


async def long_step(invocation_id: str, label: str, seconds: float) -> str:
    await asyncio.sleep(seconds)
    return note(invocation_id, label)


async def fails_once(invocation_id: str) -> str:
    if note_attempt(invocation_id) == 1:
        raise ValueError("once")
    return "recovered"


@holdfast.step(retry=THREE)
async def hopeless(invocation_id: str, label: str) -> str:
    note(invocation_id, label)
    raise ValueError(label)


def tangles(prefix: str, leaf: holdfast.Service, **options: Unpack[ServiceKeywords]) -> holdfast.Service:
    """`{prefix}Tangles`."""
    service = holdfast.Service(f"{prefix}Tangles", **options)
    echo, nap, fails = (leaf.handlers[name] for name in ("echo", "nap", "fails"))

    @service.handler(retry=SOON)
    async def a_step_fails_beside_a_long_one(ctx: Context) -> tuple[str, str]:
        return await asyncio.gather(
            ctx.run(long_step, ctx.invocation_id, "long", 0.2), ctx.run(fails_once, ctx.invocation_id)
        )

    @service.handler
    async def steps_give_up_beside_others(ctx: Context) -> list[str]:
        done = await asyncio.gather(
            hopeless(ctx.invocation_id, "a"),
            mark("fine", ctx),
            hopeless(ctx.invocation_id, "b"),
            ctx.sleep(0.005),
            return_exceptions=True,
        )
        return [type(one).__name__ for one in done]

    @service.handler
    async def a_long_step_beside_calls(ctx: Context) -> tuple[str, Any, None, Any]:
        return await asyncio.gather(
            ctx.run(long_step, ctx.invocation_id, "long", 0.1),
            ctx.call(echo, 1),
            ctx.sleep(0.005),
            ctx.call(echo, 2),
        )

    @service.handler
    async def many_steps_at_once(ctx: Context, count: int) -> list[str]:
        return await asyncio.gather(*(mark(f"step {index}", ctx) for index in range(count)))

    @service.handler
    async def a_long_journal(ctx: Context, count: int) -> int:
        total = 0
        for index in range(count):
            total += await ctx.call(echo, index)
            await ctx.sleep(0.001)
            total += await ctx.run("one", lambda: 1)
        return total

    @service.handler
    async def a_tree(ctx: Context, depth: int) -> int:
        if depth == 0:
            return 1
        this = holdfast.remote(f"{prefix}Tangles", "a_tree", input=int, output=int)
        return sum(await asyncio.gather(ctx.call(this, depth - 1), ctx.call(this, depth - 1)))

    @service.handler
    async def leaves_work_open(ctx: Context) -> str:
        ctx.run("never awaited", lambda: 1)
        ctx.sleep(HOUR_S)
        ctx.awakeable(str)
        ctx.call(echo, "not awaited")
        background = asyncio.create_task(asyncio.sleep(HOUR_S))
        await mark("done", ctx)
        return "returned" if not background.done() else "finished"

    @service.handler
    async def fails_with_work_open(ctx: Context) -> None:
        ctx.call(nap, 0.001)
        asyncio.create_task(asyncio.sleep(HOUR_S))  # noqa: RUF006
        await mark("done", ctx)
        raise TerminalError("with work open", 422)

    @service.handler
    async def a_group_stops_its_calls(ctx: Context) -> list[str]:
        found: list[str] = []
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(_await(ctx.call(nap, 0.05)))
                group.create_task(_await(ctx.call(fails, "in the group")))
        except* TerminalError as failures:
            found = [str(failure) for failure in failures.exceptions]
        return found

    async def _await(future: Any) -> Any:
        return await future

    @service.handler
    async def shields(ctx: Context) -> str:
        call = ctx.call(echo, "shielded")
        task = asyncio.ensure_future(_await(call))
        outer = asyncio.shield(task)
        outer.cancel()
        await ctx.sleep(0.001)
        return str(await task)

    @service.handler
    async def times_out_and_cancels(ctx: Context) -> list[Any]:
        call = ctx.call(nap, HOUR_S)
        id_ = await call.invocation_id()
        task = asyncio.ensure_future(_await(call))
        done, _ = await asyncio.wait({task}, timeout=0.01)
        assert not done
        await call.cancel_invocation()
        try:
            await task
        except TerminalError as error:
            return [id_, error.code]
        return [id_, 200]

    @service.handler
    async def cancelled_in(ctx: Context, where: str) -> str:
        """Waits in the way it is told; whatever it is, one cancellation ends it once."""
        calls = [ctx.call(nap, HOUR_S) for _ in range(3)] if where == "calls" else []
        for call in calls:
            await mark(f"callee {await call.invocation_id()}", ctx)
        await mark("started", ctx)
        try:
            match where:
                case "calls":
                    await asyncio.gather(*calls)
                case "timeout":
                    async with asyncio.timeout(HOUR_S):
                        await ctx.awakeable(str)
                case "wait":
                    tasks = [asyncio.ensure_future(ctx.sleep(HOUR_S)) for _ in range(2)]
                    done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                    done.pop().result()
                case "as_completed":
                    both: list[asyncio.Future[Any]] = [ctx.sleep(HOUR_S), ctx.awakeable(str).future]
                    for one in asyncio.as_completed(both):
                        await one
                case "nested":
                    async with asyncio.TaskGroup() as group:
                        inner = group.create_task(asyncio.wait_for(ctx.signal("never"), HOUR_S))
                        group.create_task(_await(inner))
                case "queue":
                    queue: asyncio.Queue[str] = asyncio.Queue()
                    producer = asyncio.create_task(_produce(queue))
                    async with asyncio.timeout(HOUR_S):
                        await asyncio.gather(queue.get(), producer)
                case _:
                    raise TerminalError(f"no such wait: {where}", 400)
        except* InvocationCancelled:
            await mark("cleaned up", ctx)
            await ctx.sleep(0.001)
            await mark("cleaned up more", ctx)
            raise
        return "never cancelled"

    async def _produce(queue: asyncio.Queue[str]) -> None:
        await asyncio.sleep(HOUR_S)
        await queue.put("late")

    @service.handler
    async def cleans_up_slowly(ctx: Context) -> None:
        await mark("started", ctx)
        try:
            await ctx.sleep(HOUR_S)
        finally:
            await mark("cleaning up", ctx)
            await ctx.awakeable(str)

    return service
