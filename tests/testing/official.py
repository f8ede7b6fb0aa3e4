"""Services written with the SDK of others: what runs here speaks the wire, not our own dialect of it."""

from __future__ import annotations

from datetime import timedelta

import restate

import holdfast.sdk.remote as targets

greeter = restate.Service("Greeter")
counter = restate.VirtualObject("Counter")

charged: list[str] = []


@greeter.handler()
async def greet(ctx: restate.Context, name: str) -> str:
    return f"Hello {name}!"


@greeter.handler()
async def later(ctx: restate.Context, days: int) -> str:
    await ctx.sleep(timedelta(days=days))
    await ctx.sleep(timedelta(days=days))
    return "slept"


@greeter.handler()
async def order(ctx: restate.Context, item: str) -> str:
    async def charge() -> str:
        charged.append(item)
        return f"charged {item}"

    receipt = await ctx.run_typed("charge", charge)
    await ctx.sleep(timedelta(days=1))
    total = await ctx.object_call(add, key=item, arg=1)
    return f"{receipt}, {total} so far"


@greeter.handler()
async def wait_for_approval(ctx: restate.Context, who: str) -> str:
    id_, answer = ctx.awakeable(type_hint=str)
    ctx.object_send(remember, key=who, arg=id_)
    return f"{who}: {await answer}"


@greeter.handler()
async def give_up(ctx: restate.Context, why: str) -> str:
    raise restate.TerminalError(why, status_code=418)


@greeter.handler()
async def always_fails(ctx: restate.Context, why: str) -> str:
    raise ValueError(why)


@counter.handler()
async def add(ctx: restate.ObjectContext, by: int) -> int:
    total = (await ctx.get("total", type_hint=int) or 0) + by
    ctx.set("total", total)
    return total


@counter.handler()
async def remember(ctx: restate.ObjectContext, id_: str) -> None:
    ctx.set("awakeable", id_)


app = restate.app([greeter, counter])

GREET = targets.remote("Greeter", "greet", input=str, output=str)
LATER = targets.remote("Greeter", "later", input=int, output=str)
ORDER = targets.remote("Greeter", "order", input=str, output=str)
WAIT = targets.remote("Greeter", "wait_for_approval", input=str, output=str)
GIVE_UP = targets.remote("Greeter", "give_up", input=str, output=str)
ALWAYS_FAILS = targets.remote("Greeter", "always_fails", input=str, output=str)
ADD = targets.remote("Counter", "add", input=int, output=int, keyed=True)
