"""The benchmark's handlers on our own SDK: `holdfast serve bench.sdk_service:app`."""

import asyncio
from datetime import timedelta

import holdfast
from holdfast import Context, ObjectContext

bench = holdfast.Service("HfBench")
counter = holdfast.VirtualObject("HfBenchCounter")
idle = holdfast.Service("HfBenchIdle", inactivity_timeout=timedelta(0))
"""Suspends at every wait."""


@bench.handler
async def trivial(ctx: Context, name: str) -> str:
    return f"hello {name}"


async def one() -> int:
    return 1


@bench.handler(name="tenSteps")
async def ten_steps(ctx: Context, name: str) -> str:
    done = 0
    for i in range(10):
        done += await ctx.run(f"step {i}", one)
    return f"{name}: {done}"


@bench.handler
async def chain(ctx: Context, depth: int) -> int:
    return 1 if depth <= 1 else 1 + await ctx.call(chain, depth - 1)


@bench.handler(name="fanOut")
async def fan_out(ctx: Context, width: int) -> int:
    return len(await asyncio.gather(*[ctx.call(trivial, "bob") for _ in range(width)]))


@bench.handler
async def echo(ctx: Context, payload: str) -> str:
    return payload


@counter.handler
async def add(ctx: ObjectContext, amount: int) -> int:
    now = await ctx.get("count", int, 0) + amount
    ctx.set("count", now)
    return now


@idle.handler
async def sleep(ctx: Context, ms: int) -> str:
    await ctx.sleep(timedelta(milliseconds=ms))
    return "slept"


@idle.handler
async def awakeable(ctx: Context, name: str) -> str:
    waiting = ctx.awakeable(str)
    ctx.send(resolve, waiting.id)
    return await waiting


@idle.handler
async def resolve(ctx: Context, id_: str) -> None:
    ctx.resolve_awakeable(id_, "done")


app = holdfast.app(bench, counter, idle)
