"""A deployment on the official Python SDK that runs only what its own server asks for; served by Hypercorn.

PORT            where to listen
IDENTITY_KEYS   public keys of the servers it trusts, with commas between them; empty: it trusts everybody
STEP            the name of its only durable step, so that a restart can change its code
NAP_MS          how long it sleeps after the step
"""

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import cast

import hypercorn.asyncio
import hypercorn.config
import restate
from restate import Context, InvocationRetryPolicy, Service

RETRIES = InvocationRetryPolicy(
    initial_interval=timedelta(milliseconds=20), max_attempts=2, on_max_attempts="pause"
)

service = Service("Signed", invocation_retry_policy=RETRIES)


@service.handler()
async def serve(ctx: Context, name: str) -> str:
    """One step, then a nap: long enough to change the code in between."""

    async def step() -> str:
        return f"{name} was here"

    said = await ctx.run_typed(os.environ.get("STEP", "step"), step)
    await ctx.sleep(timedelta(milliseconds=int(os.environ.get("NAP_MS", "0"))))
    return said


def main() -> None:
    logging.getLogger("restate").setLevel(logging.ERROR)
    config = hypercorn.config.Config()
    config.bind = [f"127.0.0.1:{os.environ['PORT']}"]
    config.loglevel = "ERROR"
    keys = [key for key in os.environ.get("IDENTITY_KEYS", "").split(",") if key]
    app = restate.app(services=[service], identity_keys=keys or None)
    serve = cast(Callable[[object, hypercorn.config.Config], Awaitable[None]], hypercorn.asyncio.serve)

    async def run() -> None:
        await serve(app, config)

    asyncio.run(run())


if __name__ == "__main__":
    main()
