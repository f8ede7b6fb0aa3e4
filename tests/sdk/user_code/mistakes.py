"""What type checkers must refuse: each line marked `wrong` has an error, and no other line has one."""

import holdfast
from holdfast import Context, ObjectContext, SharedObjectContext

greeter = holdfast.Service("Greeter")
counter = holdfast.VirtualObject("Counter")


@greeter.handler
async def greet(ctx: Context, name: str) -> str:
    return name


@counter.handler
async def add(ctx: ObjectContext, by: int) -> int:
    return by


@greeter.handler  # wrong: state in a plain service
async def with_state(ctx: ObjectContext, by: int) -> int:
    return by


@counter.shared  # wrong: writes in a shared handler
async def writes(ctx: ObjectContext, by: int) -> int:
    return by


@counter.handler
async def reads(ctx: SharedObjectContext, by: int) -> int:
    return by


@greeter.handler  # wrong: not async
def blocking(ctx: Context, name: str) -> str:
    return name


@greeter.handler  # wrong: two inputs
async def two(ctx: Context, first: str, second: str) -> str:
    return first + second


greeter.handler(privat=True)  # wrong: no such option
holdfast.Service("Other", private="yes")  # wrong: not a bool


async def caller(ctx: Context) -> None:
    await ctx.call(greet, 5)  # wrong: not a str
    number: int = await ctx.call(greet, "Ada")  # wrong: a str
    print(number)
