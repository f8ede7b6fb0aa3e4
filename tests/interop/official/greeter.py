"""The greeter on the official Python SDK and Hypercorn: what `examples/greeter.py` does, with their API.

python -m tests.interop.official.greeter     serves on http://127.0.0.1:9080
"""

from __future__ import annotations

import asyncio
import os
from datetime import timedelta

import restate
from hypercorn.asyncio import serve
from hypercorn.config import Config

greeter = restate.Service("Greeter")


@greeter.handler()
async def greet(ctx: restate.Context, name: str) -> str:
    """Greet somebody; a step's result is journaled, so it stays the same however often this runs again."""
    number = await ctx.run_typed("draw a number", draw_number)
    await ctx.sleep(timedelta(seconds=1))
    return f"Hello {name}, your number is {number}"


def draw_number() -> int:
    """Something that would come out differently the second time."""
    return int.from_bytes(os.urandom(2))


app = restate.app([greeter])


async def main() -> None:
    """Serve the greeter on Hypercorn."""
    config = Config()
    config.bind = [f"127.0.0.1:{os.environ.get('PORT', '9080')}"]
    await serve(app, config)


if __name__ == "__main__":
    asyncio.run(main())
