"""The contract on our own SDK: `holdfast serve tests.torture.services.own:app`."""

import asyncio

import holdfast
from holdfast import Context, ObjectContext, SharedObjectContext, SharedWorkflowContext, WorkflowContext

from .notes import begin, note

PREFIX = "Own"
RETRY = holdfast.InvocationRetry(initial_interval=0.02, max_interval=0.2, factor=1.5)

work = holdfast.Service(f"{PREFIX}Work", retry=RETRY)
account = holdfast.VirtualObject(f"{PREFIX}Account", retry=RETRY)
flow = holdfast.Workflow(f"{PREFIX}Flow", retry=RETRY)


def attempt(ctx: Context) -> str:
    with holdfast.allow_unrecorded("it is attempts that are told apart"):
        return begin(ctx.invocation_id)


def done(ctx: Context, token: str) -> None:
    with holdfast.allow_unrecorded("it is attempts that are told apart"):
        note(ctx.invocation_id, f"done {token}")


@work.handler
async def steps(ctx: Context, count: int) -> int:
    token = attempt(ctx)
    for index in range(count):
        await ctx.run(f"step {index}", note, ctx.invocation_id, f"step {index} {token}")
    done(ctx, token)
    return count


@work.handler
async def nap(duration_ms: int) -> str:
    return await asyncio.sleep(duration_ms / 1000, "rested")


@work.handler
async def through(ctx: Context, target: dict[str, str]) -> int:
    add_to = holdfast.remote(target["service"], "add", input=int, output=int)
    return await ctx.call(add_to, 1, key=target["key"])


@work.handler
async def waits(ctx: Context, token: str) -> str:
    awakeable = ctx.awakeable(str)
    await ctx.run("tell", note, ctx.invocation_id, f"awakeable {token} {awakeable.id}")
    return await awakeable


@account.handler
async def add(ctx: ObjectContext, amount: int) -> int:
    token = attempt(ctx)
    before = await ctx.get("total", int, default=0)
    await ctx.run("step", note, ctx.invocation_id, f"step 0 {token}")
    await ctx.sleep(0.002)
    ctx.set("total", before + amount)
    done(ctx, token)
    return before + amount


@account.shared
async def total(ctx: SharedObjectContext) -> int:
    return await ctx.get("total", int, default=0)


@account.handler
async def read(ctx: ObjectContext) -> int:
    return await ctx.get("register", int, default=0)


@account.handler
async def write(ctx: ObjectContext, value: int) -> int:
    ctx.set("register", value)
    return value


@account.handler
async def swap(ctx: ObjectContext, values: list[int]) -> bool:
    if await ctx.get("register", int, default=0) != values[0]:
        return False
    await ctx.sleep(0.001)
    ctx.set("register", values[1])
    return True


@flow.main
async def run(ctx: WorkflowContext, value: str) -> str:
    token = attempt(ctx)
    await ctx.run("step", note, ctx.invocation_id, f"step 0 {token}")
    decision = await ctx.promise("approval", str)
    await ctx.run("last", note, ctx.invocation_id, f"step 1 {token}")
    done(ctx, token)
    return f"{value} {decision}"


@flow.shared
async def approve(ctx: SharedWorkflowContext, decision: str) -> None:
    await ctx.promise("approval", str).resolve(decision)


app = holdfast.app(work, account, flow)
