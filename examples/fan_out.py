"""Fan out, fan in: many steps at once with plain asyncio, never more than a few at the same time.

    holdfast serve examples.fan_out:app
    curl localhost:8080/Reports/summarise --json '["ada", "grace", "barbara"]'

Steps that were finished before a crash are not run again, however many others were under way.
"""

import asyncio
import hashlib

import holdfast
from holdfast import Context

AT_ONCE_MAX = 3

reports = holdfast.Service("Reports")


@reports.handler
async def summarise(ctx: Context, sources: list[str]) -> dict[str, int]:
    """Read all sources; one that cannot be read for good fails the whole, and the others are cancelled."""
    places = asyncio.Semaphore(AT_ONCE_MAX)

    async def one(source: str) -> int:
        async with places:
            return await ctx.run(f"read {source}", read, source)

    async with asyncio.TaskGroup() as group:
        readings = {source: group.create_task(one(source)) for source in sources}
    return {source: task.result() for source, task in readings.items()}


@reports.handler
async def first(ctx: Context, sources: list[str]) -> str:
    """Whichever source answers first. Which one that was is in the journal, so a replay picks the same."""
    readings = {ctx.run(f"read {source}", read, source): source for source in sources}
    done, late = await asyncio.wait(readings, return_when=asyncio.FIRST_COMPLETED)
    for reading in late:
        reading.cancel()
    return readings[done.pop()]


async def read(source: str) -> int:
    """A slow request, in real life."""
    if not source:
        raise holdfast.TerminalError("a source has no name", code=400)
    digest = hashlib.sha256(source.encode()).digest()
    await asyncio.sleep(digest[0] / 1000)
    return digest[1]


app = holdfast.app(reports)
