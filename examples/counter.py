"""A virtual object: every key has its own counter, and its state is written by one handler at a time.

holdfast serve examples.counter:app
curl localhost:8080/Counter/ada/add --json 5
curl localhost:8080/Counter/ada/value -X POST
"""

import holdfast
from holdfast import ObjectContext, SharedObjectContext

counter = holdfast.VirtualObject("Counter")


@counter.handler
async def add(ctx: ObjectContext, by: int) -> int:
    """Exclusive: two calls for one key never run at the same time, so nothing is lost between read and write.

    What is set becomes durable together with the handler's progress, not before and not after.
    """
    total = await ctx.get("total", int, default=0) + by
    if total < 0:
        raise holdfast.TerminalError(f"{ctx.key} would fall to {total}", code=409)
    ctx.set("total", total)
    return total


@counter.handler
async def reset(ctx: ObjectContext) -> None:
    """Back to where nothing is set."""
    ctx.clear_all()


@counter.shared
async def value(ctx: SharedObjectContext) -> int:
    """Shared: runs beside whatever else is at work on the key, and only reads."""
    return await ctx.get("total", int, default=0)


app = holdfast.app(counter)
