"""Services written with Holdfast's SDK, for the tests of its test environment."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta

import holdfast
from holdfast import Context, ObjectContext, SharedObjectContext, SharedWorkflowContext, WorkflowContext

shop = holdfast.Service("Shop")
stock = holdfast.VirtualObject("Stock")
signup = holdfast.Workflow("Signup")

shipped: list[str] = []


@dataclass
class Order:
    item: str
    count: int


@shop.handler
async def place(ctx: Context, order: Order) -> str:
    left = await ctx.call(take, order.count, key=order.item)
    await ctx.run(ship, order.item)
    await asyncio.sleep(timedelta(days=14).total_seconds())
    ctx.send(remind, order.item, delay=timedelta(days=7))
    return f"{order.count} {order.item}, {left} left"


@shop.handler
async def remind(ctx: Context, item: str) -> None:
    await ctx.run(ship, f"reminder of {item}")


@shop.handler
async def what_time(ctx: Context) -> datetime:
    return await ctx.now()


@shop.handler
async def fan_out(ctx: Context, items: list[str]) -> list[int]:
    return list(await asyncio.gather(*(ctx.call(left_of, key=item) for item in items)))


def ship(item: str) -> None:
    shipped.append(item)


@stock.handler
async def take(ctx: ObjectContext, count: int) -> int:
    left = await ctx.get("left", int, default=10) - count
    if left < 0:
        raise holdfast.TerminalError("sold out", 409)
    ctx.set("left", left)
    return left


@stock.shared
async def left_of(ctx: SharedObjectContext) -> int:
    return await ctx.get("left", int, default=10)


@signup.main
async def join(ctx: WorkflowContext, name: str) -> str:
    approved = await ctx.promise("approved", bool).get()
    return f"{name} is {'in' if approved else 'out'}"


@signup.shared
async def approve(ctx: SharedWorkflowContext, yes: bool) -> None:
    await ctx.promise("approved", bool).resolve(yes)


app = holdfast.app(shop, stock, signup)
