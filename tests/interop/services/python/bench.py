"""The benchmark's handlers on the official Python SDK, served by Hypercorn over HTTP/2.

PORT: where to listen. Hypercorn closes a connection after 1000 requests; for a benchmark that limit is
raised, so that both servers are measured on work and neither on reconnecting.
"""

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import cast

import hypercorn.asyncio
import hypercorn.config
import restate
from restate import Context, ObjectContext, Service, VirtualObject

bench = Service("PyBench")
counter = VirtualObject("PyBenchCounter")
idle = Service("PyBenchIdle", inactivity_timeout=timedelta(0))
"""Suspends at every wait."""


@bench.handler()
async def trivial(_ctx: Context, name: str) -> str:
    return f"hello {name}"


@bench.handler("tenSteps")
async def ten_steps(ctx: Context, name: str) -> str:
    async def step() -> int:
        return 1

    done = 0
    for i in range(10):
        done += await ctx.run_typed(f"step {i}", step)
    return f"{name}: {done}"


@bench.handler()
async def chain(ctx: Context, depth: int) -> int:
    return 1 if depth <= 1 else 1 + await ctx.service_call(chain, depth - 1)


@bench.handler("fanOut")
async def fan_out(ctx: Context, width: int) -> int:
    return len(await restate.gather(*[ctx.service_call(trivial, "bob") for _ in range(width)]))


@bench.handler()
async def echo(_ctx: Context, payload: str) -> str:
    return payload


@counter.handler()
async def add(ctx: ObjectContext, amount: int) -> int:
    now = (await ctx.get("count", type_hint=int) or 0) + amount
    ctx.set("count", now)
    return now


@idle.handler()
async def sleep(ctx: Context, ms: int) -> str:
    await ctx.sleep(timedelta(milliseconds=ms))
    return "slept"


@idle.handler()
async def awakeable(ctx: Context, _name: str) -> str:
    id_, promise = ctx.awakeable(type_hint=str)
    ctx.service_send(resolve, id_)
    return await promise


@idle.handler()
async def resolve(ctx: Context, id_: str) -> None:
    ctx.resolve_awakeable(id_, "done")


def main() -> None:
    logging.getLogger("restate").setLevel(logging.ERROR)
    config = hypercorn.config.Config()
    config.bind = [f"127.0.0.1:{os.environ['PORT']}"]
    config.loglevel = "ERROR"
    config.keep_alive_max_requests = 10**9
    serve = cast(Callable[[object, hypercorn.config.Config], Awaitable[None]], hypercorn.asyncio.serve)

    async def run() -> None:
        await serve(restate.app(services=[bench, counter, idle]), config)

    asyncio.run(run())


if __name__ == "__main__":
    main()
