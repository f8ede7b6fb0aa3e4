"""The contract on the official Python SDK, on Hypercorn; a process: `PORT`, `SIDE_EFFECTS_FILE`."""

import asyncio
import json
import logging
import os
from datetime import timedelta
from typing import cast

import hypercorn.asyncio
import hypercorn.config
import restate
from restate import (
    Context,
    InvocationRetryPolicy,
    ObjectContext,
    ObjectSharedContext,
    Service,
    VirtualObject,
    Workflow,
    WorkflowContext,
    WorkflowSharedContext,
)

from tests.torture.services.notes import begin, note

PREFIX = "Off"
RETRY = InvocationRetryPolicy(
    initial_interval=timedelta(milliseconds=20),
    exponentiation_factor=1.5,
    max_interval=timedelta(milliseconds=200),
)

work = Service(f"{PREFIX}Work", invocation_retry_policy=RETRY)
account = VirtualObject(f"{PREFIX}Account", invocation_retry_policy=RETRY)
flow = Workflow(f"{PREFIX}Flow", invocation_retry_policy=RETRY)


async def step(ctx: Context, name: str, label: str) -> None:
    invocation_id = ctx.request().id

    async def body() -> str:
        return note(invocation_id, label)

    await ctx.run_typed(name, body)


@work.handler()
async def steps(ctx: Context, count: int) -> int:
    token = begin(ctx.request().id)
    for index in range(count):
        await step(ctx, f"step {index}", f"step {index} {token}")
    note(ctx.request().id, f"done {token}")
    return count


@work.handler()
async def nap(ctx: Context, duration_ms: int) -> str:
    await ctx.sleep(timedelta(milliseconds=duration_ms))
    return "rested"


@work.handler()
async def through(ctx: Context, target: dict[str, str]) -> int:
    answer = await ctx.generic_call(target["service"], "add", b"1", target["key"])
    return cast(int, json.loads(answer))


@work.handler()
async def waits(ctx: Context, token: str) -> str:
    awakeable_id, future = ctx.awakeable(type_hint=str)
    await step(ctx, "tell", f"awakeable {token} {awakeable_id}")
    return await future


@account.handler()
async def add(ctx: ObjectContext, amount: int) -> int:
    token = begin(ctx.request().id)
    before = await ctx.get("total", type_hint=int) or 0
    await step(ctx, "step", f"step 0 {token}")
    await ctx.sleep(timedelta(milliseconds=2))
    ctx.set("total", before + amount)
    note(ctx.request().id, f"done {token}")
    return before + amount


@account.handler(kind="shared")
async def total(ctx: ObjectSharedContext) -> int:
    return await ctx.get("total", type_hint=int) or 0


@account.handler()
async def read(ctx: ObjectContext) -> int:
    return await ctx.get("register", type_hint=int) or 0


@account.handler()
async def write(ctx: ObjectContext, value: int) -> int:
    ctx.set("register", value)
    return value


@account.handler()
async def swap(ctx: ObjectContext, values: list[int]) -> bool:
    if (await ctx.get("register", type_hint=int) or 0) != values[0]:
        return False
    await ctx.sleep(timedelta(milliseconds=1))
    ctx.set("register", values[1])
    return True


@flow.main()
async def run(ctx: WorkflowContext, value: str) -> str:
    token = begin(ctx.request().id)
    await step(ctx, "step", f"step 0 {token}")
    decision = await ctx.promise("approval", type_hint=str).value()
    await step(ctx, "last", f"step 1 {token}")
    note(ctx.request().id, f"done {token}")
    return f"{value} {decision}"


@flow.handler()
async def approve(ctx: WorkflowSharedContext, decision: str) -> None:
    await ctx.promise("approval", type_hint=str).resolve(decision)


def main() -> None:
    logging.getLogger("restate").setLevel(logging.ERROR)
    config = hypercorn.config.Config()
    config.bind = [f"127.0.0.1:{os.environ['PORT']}"]
    config.loglevel = "ERROR"
    config.graceful_timeout = 0.2
    config.keep_alive_max_requests = 1_000_000_000
    asyncio.run(hypercorn.asyncio.serve(restate.app(services=[work, account, flow]), config))


if __name__ == "__main__":
    main()
