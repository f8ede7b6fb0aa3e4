"""Objects that call each other, on the official Python SDK: what crosses partitions when there are several.

`Node` and `IdleNode` are the same; the second suspends at every await, so that each answer that crosses a
partition has to wake it.

PORT    where to listen
"""

import asyncio
import json
import logging
import os
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TypedDict, cast

import hypercorn.asyncio
import hypercorn.config
import restate
from restate import InvocationRetryPolicy, ObjectContext, ObjectSharedContext, VirtualObject

RETRIES = InvocationRetryPolicy(
    initial_interval=timedelta(milliseconds=20),
    max_interval=timedelta(milliseconds=200),
    max_attempts=200,
    on_max_attempts="pause",
)
HOUR = timedelta(hours=1)


class Letter(TypedDict):
    id: str
    value: str


def node(name: str, inactivity_timeout: timedelta) -> VirtualObject:
    definition = VirtualObject(name, invocation_retry_policy=RETRIES, inactivity_timeout=inactivity_timeout)

    async def visit(ctx: ObjectContext) -> int:
        visits = (await ctx.get("visits", type_hint=int) or 0) + 1
        ctx.set("visits", visits)
        return visits

    @definition.handler()
    async def chain(ctx: ObjectContext, hops: list[str]) -> list[str]:
        """Visit, then let the next of `hops` do the rest; the keys that were visited, in order."""
        await visit(ctx)
        if not hops:
            return [ctx.key()]
        rest = await ctx.generic_call(name, "chain", json.dumps(hops[1:]).encode(), hops[0])
        return [ctx.key(), *json.loads(rest)]

    @definition.handler()
    async def add(ctx: ObjectContext) -> int:
        return await visit(ctx)

    @definition.handler()
    async def scatter(ctx: ObjectContext, keys: list[str]) -> list[str]:
        """Send an `add` to each of `keys`; the ids of the sends."""
        handles = [ctx.generic_send(name, "add", b"", key) for key in keys]
        return [await handle.invocation_id() for handle in handles]

    @definition.handler(kind="shared")
    async def visits(ctx: ObjectSharedContext) -> int:
        return await ctx.get("visits", type_hint=int) or 0

    @definition.handler()
    async def ask(ctx: ObjectContext, other: str) -> str:
        """Wait for an awakeable that the object `other` resolves."""
        awakeable_id, answer = ctx.awakeable(type_hint=str)
        letter: Letter = {"id": awakeable_id, "value": ctx.key()}
        ctx.generic_send(name, "answer", json.dumps(letter).encode(), other)
        return await answer

    @definition.handler(kind="shared")
    async def answer(ctx: ObjectSharedContext, letter: Letter) -> None:
        ctx.resolve_awakeable(letter["id"], f"{ctx.key()} to {letter['value']}")

    @definition.handler()
    async def tree(ctx: ObjectContext, depth: int) -> None:
        """Two children per level, then leaves that sleep for an hour."""
        if depth == 0:
            await ctx.sleep(HOUR)
            return
        children = [
            ctx.generic_call(name, "tree", json.dumps(depth - 1).encode(), f"{ctx.key()}{branch}")
            for branch in "01"
        ]
        for child in children:
            await child

    @definition.handler(kind="shared")
    async def once(ctx: ObjectSharedContext, target: str) -> str:
        """Send an `add` under an idempotency key that everybody uses, and attach to it."""
        handle = ctx.generic_send(name, "add", b"", target, idempotency_key=f"once-{target}")
        invocation_id = await handle.invocation_id()
        await ctx.attach_invocation(invocation_id)
        return invocation_id

    return definition


def main() -> None:
    logging.getLogger("restate").setLevel(logging.ERROR)
    config = hypercorn.config.Config()
    config.bind = [f"127.0.0.1:{os.environ['PORT']}"]
    config.loglevel = "ERROR"
    config.keep_alive_max_requests = 1_000_000_000
    app = restate.app(services=[node("Node", timedelta(minutes=1)), node("IdleNode", timedelta(0))])
    serve = cast(Callable[[object, hypercorn.config.Config], Awaitable[None]], hypercorn.asyncio.serve)

    async def run() -> None:
        await serve(app, config)

    asyncio.run(run())


if __name__ == "__main__":
    main()
