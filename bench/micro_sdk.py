"""The SDK alone: an app called in this process by the shortest ASGI server there is.

    python -m bench.micro_sdk [profile]

The fake server answers every proposal with an ack, as a server of protocol 7 does, so what is measured is
frames in, handler, frames out: no sockets, no HTTP. Best of several rounds, CPU microseconds.
"""

import asyncio
import cProfile
import pstats
import sys
import time

import uvloop

from holdfast.sdk.context import Context
from holdfast.sdk.endpoint.app import App
from holdfast.sdk.services import Service

from .in_process import attempt, opening

ROUNDS = 7
CALLS = 2000
STEPS = 10

micro = Service("Micro")


@micro.handler
async def trivial(ctx: Context, name: str) -> str:
    return f"hi {name}"


async def one() -> int:
    return 1


@micro.handler
async def ten_steps(ctx: Context, name: str) -> int:
    total = 0
    for _ in range(STEPS):
        total += await ctx.run(one)
    return total


OPENING = opening(b'"Ada"')


async def measure(app: App, path: str) -> float:
    """Microseconds of CPU per invocation, the best round."""
    best = float("inf")
    for _ in range(ROUNDS):
        began = time.process_time()
        for _ in range(CALLS):
            await attempt(app, path, OPENING)
        best = min(best, (time.process_time() - began) / CALLS * 1e6)
    return best


async def main() -> None:
    app = App([micro])
    trivial_us = await measure(app, "/invoke/Micro/trivial")
    steps_us = await measure(app, "/invoke/Micro/ten_steps")
    print(f"trivial {trivial_us:.1f} us, step {(steps_us - trivial_us) / STEPS:.1f} us")


async def profiled() -> None:
    app = App([micro])
    for path in ("/invoke/Micro/trivial", "/invoke/Micro/ten_steps"):
        profile = cProfile.Profile()
        profile.enable()
        for _ in range(CALLS):
            await attempt(app, path, OPENING)
        profile.disable()
        print(path)
        pstats.Stats(profile).sort_stats("tottime").print_stats(28)


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(profiled() if "profile" in sys.argv else main())
