"""The benchmark's handlers on the official Python SDK, served by Hypercorn over HTTP/2.

PORT: where to listen. Hypercorn closes a connection after 1000 requests; for a benchmark that limit is
raised, so that both servers are measured on work and neither on reconnecting.
"""

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable
from typing import cast

import hypercorn.asyncio
import hypercorn.config
import restate
from restate import Context, Service

bench = Service("PyBench")


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


def main() -> None:
    logging.getLogger("restate").setLevel(logging.ERROR)
    config = hypercorn.config.Config()
    config.bind = [f"127.0.0.1:{os.environ['PORT']}"]
    config.loglevel = "ERROR"
    config.keep_alive_max_requests = 10**9
    serve = cast(Callable[[object, hypercorn.config.Config], Awaitable[None]], hypercorn.asyncio.serve)

    async def run() -> None:
        await serve(restate.app(services=[bench]), config)

    asyncio.run(run())


if __name__ == "__main__":
    main()
