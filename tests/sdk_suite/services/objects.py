"""State of virtual objects: read, written, listed, cleared, typed, eager and lazy."""

from typing import Any, Unpack

from sdk_suite.services.effects import mark
from sdk_suite.services.nouns import Customer, Order

import holdfast
from holdfast import ObjectContext, SharedObjectContext
from holdfast.sdk.options import ServiceKeywords


def store(name: str, **options: Unpack[ServiceKeywords]) -> holdfast.VirtualObject:
    """A virtual object of this name."""
    service = holdfast.VirtualObject(name, **options)

    @service.handler
    async def add(ctx: ObjectContext, amount: int) -> int:
        total = await ctx.get("total", int, default=0) + amount
        ctx.set("total", total)
        return total

    @service.handler
    async def add_slowly(ctx: ObjectContext, amount: int) -> int:
        # Reads, waits and writes: lost updates would show if two ran at once on one key.
        before = await ctx.get("total", int, default=0)
        await mark("slowly", ctx)
        await ctx.sleep(0.005)
        ctx.set("total", before + amount)
        return before + amount

    @service.shared
    async def total(ctx: SharedObjectContext) -> int | None:
        return await ctx.get("total", int)

    @service.shared
    async def keys(ctx: SharedObjectContext) -> list[str]:
        return await ctx.state_keys()

    @service.handler
    async def put(ctx: ObjectContext, entries: dict[str, Any]) -> list[str]:
        for key, value in entries.items():
            ctx.set(key, value)
        return await ctx.state_keys()

    @service.shared
    async def read(ctx: SharedObjectContext, name: str) -> Any:
        return await ctx.get(name)

    @service.handler
    async def clear(ctx: ObjectContext, name: str) -> list[object]:
        ctx.clear(name)
        return [await ctx.get(name), await ctx.state_keys()]

    @service.handler
    async def clear_all(ctx: ObjectContext) -> list[str]:
        ctx.set("doomed", 1)
        ctx.clear_all()
        ctx.set("after", 1)
        return await ctx.state_keys()

    @service.handler
    async def typed(ctx: ObjectContext) -> list[str]:
        ctx.set("customer", Customer(name="Ada", age=36, tags=["x"]))
        ctx.set("order", Order("tea", 1))
        ctx.set("orders", [Order("a", 1), Order("b", 2)], type=list[Order])
        ctx.set("blob", b"\x00\xff")
        await ctx.sleep(0.001)
        return await read_typed(ctx)

    @service.handler
    async def typed_again(ctx: ObjectContext) -> list[str]:
        return await read_typed(ctx)

    async def read_typed(ctx: ObjectContext) -> list[str]:
        customer = await ctx.get("customer", Customer)
        order = await ctx.get("order", Order)
        orders: list[Order] = await ctx.get("orders", list[Order], default=[])
        blob = await ctx.get("blob", bytes)
        assert customer is not None
        assert order is not None
        assert blob is not None
        return [type(customer).__name__, customer.tags[0], type(order).__name__, orders[1].item, blob.hex()]

    @service.handler
    async def steadily(ctx: ObjectContext, count: int) -> list[int]:
        """Reads before and after waits: what a replay reads must be what the first attempt read."""
        seen: list[int] = []
        for _ in range(count):
            value = await ctx.get("steady", int, default=0)
            seen.append(value)
            ctx.set("steady", value + 1)
            await ctx.sleep(0.001)
        return seen

    @service.handler
    async def unset_steadily(ctx: ObjectContext) -> list[object]:
        found: list[object] = [await ctx.get("none"), await ctx.get("none", str, default="x")]
        await ctx.sleep(0.001)
        found.append(await ctx.state_keys())
        ctx.set("none", None)
        await ctx.sleep(0.001)
        return [*found, await ctx.get("none", object, default="x"), await ctx.state_keys()]

    @service.shared
    async def writes_in_shared(ctx: SharedObjectContext) -> str:
        try:
            ctx.set("total", 1)  # type: ignore[attr-defined]
        except Exception as error:
            return str(error)
        return "written"

    @service.shared
    async def key(ctx: SharedObjectContext) -> str:
        return ctx.key

    @service.handler
    async def hold(ctx: ObjectContext) -> str:
        awakeable = ctx.awakeable(str)
        await mark(f"awakeable {awakeable.id}", ctx)
        return await awakeable

    return service
