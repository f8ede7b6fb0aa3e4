"""The app that every kind of server in these tests serves. Service names begin with `PREFIX`.

`app` is the bare application, `site` is FastAPI with it mounted under `/agents`, `function` is the Lambda
handler.
"""

from __future__ import annotations

import asyncio
import os

from fastapi import FastAPI

import holdfast
from holdfast import Context, ObjectContext

PREFIX = os.environ.get("PREFIX", "Bare")
KEYS = os.environ.get("IDENTITY_KEYS", "").split()
EFFECTS = os.environ.get("SIDE_EFFECTS_FILE", os.devnull)
DUPLEX = {"1": True, "0": False}.get(os.environ.get("DUPLEX", ""))

trips = holdfast.Service(f"{PREFIX}Trips")
ledger = holdfast.VirtualObject(f"{PREFIX}Ledger")


def note(ctx: Context, label: str) -> None:
    with open(EFFECTS, "a") as file:
        file.write(f"{ctx.request.invocation_id}\t{label}\n")


def pay() -> str:
    return "paid"


@trips.handler
async def greet(name: str) -> str:
    return f"hi {name}"


@trips.handler
async def book(ctx: Context, stops: int) -> list[object]:
    """Everything that waits: steps at once and in turn, a sleep, a call. Every attempt leaves a note."""
    note(ctx, "attempt")

    async def reserve(number: int) -> int:
        await asyncio.sleep(0.01)
        note(ctx, f"reserve {number}")
        return number

    reserved = await asyncio.gather(*(ctx.run(reserve, n) for n in range(stops)))
    paid = await ctx.run(pay)
    await ctx.sleep(0.02)
    total = await ctx.call(add, stops, key=ctx.request.invocation_id)
    return [reserved, paid, total]


@trips.handler
async def echo(text: str) -> str:
    return text


@trips.handler
async def hang(ctx: Context, seconds: float) -> str:
    async def wait() -> str:
        note(ctx, "begun")
        try:
            await asyncio.sleep(seconds)
        except asyncio.CancelledError:
            note(ctx, "abandoned")
            raise
        return "waited"

    return await ctx.run(wait)


@ledger.handler
async def add(ctx: ObjectContext, by: int) -> int:
    total = await ctx.get("total", int, default=0) + by
    ctx.set("total", total)
    return total


app = holdfast.app(trips, ledger, identity_keys=KEYS, bidirectional=DUPLEX)
site = FastAPI()
site.mount("/agents", app)
function = holdfast.lambda_handler(app)


@site.get("/")
async def front_page() -> dict[str, str]:
    return {"site": "up"}
