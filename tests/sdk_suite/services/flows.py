"""Workflows: durable promises, state seen from outside, one run per key."""

from typing import Any, Unpack

from sdk_suite.services.effects import mark
from sdk_suite.services.nouns import Order

import holdfast
from holdfast import SharedWorkflowContext, TerminalError, WorkflowContext
from holdfast.sdk.options import ServiceKeywords


def flow(prefix: str, **options: Unpack[ServiceKeywords]) -> holdfast.Workflow:
    """`{prefix}Flow`."""
    service = holdfast.Workflow(f"{prefix}Flow", **options)

    @service.main
    async def run(ctx: WorkflowContext, user: str) -> str:
        ctx.set("status", "waiting")
        await mark("run", ctx)
        approved = await ctx.promise("approval", bool)
        ctx.set("status", "approved" if approved else "declined")
        return f"{user}: {approved} ({ctx.key})"

    @service.shared
    async def status(ctx: SharedWorkflowContext) -> str | None:
        return await ctx.get("status", str)

    @service.shared
    async def approve(ctx: SharedWorkflowContext, ok: bool) -> None:
        await ctx.promise("approval", bool).resolve(ok)

    @service.shared
    async def reject(ctx: SharedWorkflowContext, reason: str) -> None:
        await ctx.promise("approval", bool).reject(reason, 403)

    @service.shared
    async def twice(ctx: SharedWorkflowContext) -> list[object]:
        promise = ctx.promise("once", str)
        await promise.resolve("first")
        found: list[object] = []
        for attempt in (promise.resolve("second"), promise.reject("third")):
            try:
                await attempt
            except TerminalError as error:
                found.append(error.code)
        return [*found, await promise.get(), await promise]

    @service.shared
    async def peek(ctx: SharedWorkflowContext, name: str) -> Any:
        return await ctx.promise(name).peek()

    @service.shared
    async def typed(ctx: SharedWorkflowContext) -> list[object]:
        promise = ctx.promise("order", Order)
        before = await promise.peek()
        await promise.resolve(Order("tea", 3))
        after = await promise.peek()
        value = await promise
        return [before, type(after).__name__, value.count]

    @service.shared
    async def wait_for(ctx: SharedWorkflowContext, name: str) -> Any:
        return await ctx.promise(name)

    @service.shared
    async def resolve_unawaited(ctx: SharedWorkflowContext, name: str) -> None:
        ctx.promise(name).resolve("unawaited")

    return service
