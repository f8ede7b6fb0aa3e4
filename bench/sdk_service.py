"""The benchmark's handlers on our own SDK: `holdfast serve bench.sdk_service:app`."""

import holdfast
from holdfast import Context

bench = holdfast.Service("HfBench")


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


app = holdfast.app(bench)
