"""Handlers whose journals a browser watches grow: `holdfast serve bench.ui_service:app`."""

import asyncio
from dataclasses import dataclass

import holdfast
from holdfast import Context

bench = holdfast.Service("UiBench")


@dataclass
class Growth:
    """Steps: `at_once` without a pause, then one for each of `pauses_ms`, which lasts so long."""

    at_once: int
    pauses_ms: list[int]


@bench.handler
async def grow(ctx: Context, growth: Growth) -> int:
    """A journal of that many steps, the later ones seen while they run."""
    for number in range(growth.at_once):
        await ctx.run(f"step {number}", _pause, 0)
    for number, ms in enumerate(growth.pauses_ms, growth.at_once):
        await ctx.run(f"step {number}", _pause, ms)
    return growth.at_once + len(growth.pauses_ms)


async def _pause(ms: int) -> int:
    if ms:
        await asyncio.sleep(ms / 1000)
    return ms


app = holdfast.app(bench)
