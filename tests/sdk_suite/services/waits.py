"""Plain asyncio in handlers: timers, groups, races, queues, and tasks cancelled by the handler itself."""

import asyncio
from collections.abc import Awaitable
from typing import Any, Unpack

from sdk_suite.services.effects import mark, note

import holdfast
from holdfast import Context, TerminalError
from holdfast.sdk.options import ServiceKeywords

HOUR_S = 3600.0
MOMENT_S = 0.005


async def slow(label: str, seconds: float) -> str:
    await asyncio.sleep(seconds)
    return label


async def broken(label: str) -> str:
    raise TerminalError(label, 418)


async def stuck(invocation_id: str) -> None:
    note(invocation_id, "stuck")
    try:
        await asyncio.sleep(HOUR_S)
    except asyncio.CancelledError:
        note(invocation_id, "body cancelled")
        raise


def waits(prefix: str, **options: Unpack[ServiceKeywords]) -> holdfast.Service:
    """`{prefix}Waits`."""
    service = holdfast.Service(f"{prefix}Waits", **options)

    @service.handler
    async def sleeps(ctx: Context) -> str:
        await ctx.sleep(MOMENT_S, name="nap")
        await asyncio.sleep(MOMENT_S)
        await asyncio.sleep(0)
        return await asyncio.sleep(MOMENT_S, "rested")

    @service.handler
    async def timeouts(ctx: Context) -> list[str]:
        found: list[str] = []
        try:
            async with asyncio.timeout(MOMENT_S):
                await ctx.awakeable(str)
        except TimeoutError:
            found.append("timed out")
        async with asyncio.timeout(HOUR_S):
            found.append(await ctx.run("in time", lambda: "in time"))
        try:
            await asyncio.wait_for(ctx.sleep(HOUR_S), MOMENT_S)
        except TimeoutError:
            found.append("wait_for timed out")
        found.append(await asyncio.wait_for(ctx.run("quick", lambda: "quick"), HOUR_S))
        return found

    @service.handler
    async def gathers(ctx: Context, count: int) -> dict[str, object]:
        steps = await asyncio.gather(*(mark(f"step {index}", ctx) for index in range(count)))
        mixed = await asyncio.gather(
            ctx.run("ok", lambda: "ok"),
            ctx.run(broken, "bad"),
            slow("slow", MOMENT_S),
            return_exceptions=True,
        )
        try:
            await asyncio.gather(ctx.run(broken, "first"), ctx.sleep(HOUR_S))
        except TerminalError as error:
            failed = error.message
        return {"steps": steps, "mixed": [str(one) for one in mixed], "failed": failed}

    @service.handler
    async def groups(ctx: Context) -> dict[str, object]:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(mark(f"in group {index}", ctx)) for index in range(3)]
        messages: list[str] = []
        never = False
        try:
            async with asyncio.TaskGroup() as group:
                lost = group.create_task(slow("lost", HOUR_S))
                group.create_task(_fail(ctx))
        except* TerminalError as failures:
            messages = [str(failure) for failure in failures.exceptions]
            never = lost.cancelled()
        return {"results": [task.result() for task in tasks], "failures": messages, "cancelled": never}

    async def _fail(ctx: Context) -> None:
        await ctx.sleep(MOMENT_S)
        await ctx.run(broken, "in the group")

    @service.handler
    async def group_fails(ctx: Context) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(slow("lost", HOUR_S))
            group.create_task(_fail(ctx))

    @service.handler
    async def races(ctx: Context) -> dict[str, object]:
        racers: set[asyncio.Future[Any]] = {asyncio.ensure_future(slow("fast", MOMENT_S)), ctx.sleep(HOUR_S)}
        done, pending = await asyncio.wait(racers, return_when=asyncio.FIRST_COMPLETED)
        winners = [task.result() for task in done]
        order = [await one for one in asyncio.as_completed([slow("b", 0.15), slow("a", MOMENT_S)])]
        steps = [await one for one in asyncio.as_completed([mark(f"race {i}", ctx) for i in range(3)])]
        # A race on equal terms: whoever wins, every replay must agree with the journal.
        equal = await _first(slow("x", MOMENT_S), slow("y", MOMENT_S))
        agreed = await ctx.run("winner", lambda: equal)
        await ctx.sleep(MOMENT_S)
        return {
            "winners": winners,
            "pending": len(pending),
            "order": order,
            "steps": sorted(steps),
            "agreed": agreed == equal,
        }

    async def _first(*racers: Awaitable[str]) -> str:
        tasks = [asyncio.ensure_future(racer) for racer in racers]
        done, rest = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in rest:
            task.cancel()
        return min(task.result() for task in done)

    @service.handler
    async def queues(ctx: Context, count: int) -> list[str]:
        queue: asyncio.Queue[str | None] = asyncio.Queue(maxsize=2)
        found: list[str] = []

        async def produce() -> None:
            for index in range(count):
                await queue.put(await mark(f"item {index}", ctx))
            await queue.put(None)

        async def consume() -> None:
            while (item := await queue.get()) is not None:
                await ctx.sleep(0.001)
                found.append(item)

        await asyncio.gather(produce(), consume())
        return found

    @service.handler
    async def locks(ctx: Context) -> list[str]:
        lock, ready, found = asyncio.Lock(), asyncio.Event(), list[str]()

        async def enter(label: str) -> None:
            await ready.wait()
            async with lock:
                found.append(f"{label} in")
                await ctx.sleep(0.001)
                found.append(f"{label} out")

        tasks = [asyncio.create_task(enter(label)) for label in "ab"]
        await ctx.sleep(0.001)
        ready.set()
        await asyncio.gather(*tasks)
        return found

    @service.handler
    async def cancels_a_task(ctx: Context) -> list[str]:
        found: list[str] = []

        async def waiting() -> None:
            try:
                await ctx.sleep(HOUR_S)
            except asyncio.CancelledError:
                found.append(await mark("cleaned up", ctx))
                raise

        task = asyncio.create_task(waiting())
        await ctx.sleep(MOMENT_S)
        task.cancel()
        try:
            await task
        except asyncio.CancelledError:
            found.append("cancelled")
        return found

    @service.handler
    async def cancels_a_step(ctx: Context) -> str:
        try:
            async with asyncio.timeout(0.05):
                await ctx.run(stuck, ctx.invocation_id)
        except TimeoutError:
            return await mark("gave up", ctx)
        return "finished"

    @service.handler
    async def stable(ctx: Context) -> dict[str, object]:
        # What the first attempt drew is journaled; every later attempt draws again.
        drawn: dict[str, object] = {
            "uuid": str(ctx.uuid()),
            "number": ctx.random.random(),
            "now": (await ctx.now()).isoformat(),
        }
        await ctx.sleep(MOMENT_S)
        drawn["second"] = ctx.random.randrange(10**9)
        journaled: object = await ctx.run("drawn", lambda: dict(drawn))
        await ctx.sleep(MOMENT_S)
        return {"drawn": drawn, "journaled": journaled}

    @service.handler
    async def deadlocks(ctx: Context) -> None:
        await asyncio.Event().wait()

    return service
