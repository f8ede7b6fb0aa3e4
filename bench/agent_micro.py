"""The SDK's half of what durability costs an agent: `agent_service` in this process, without a server.

    python -m bench.agent_micro [profile] [--only pydantic] [--calls 40]

Proposals are acknowledged at once, so what is measured is the adapters and the SDK: CPU milliseconds of one
run, durable and bare, the quickest of all, and the objects one run leaves to the garbage collector.
"""

import argparse
import asyncio
import cProfile
import gc
import pstats
import time
from collections.abc import Awaitable, Callable
from functools import partial

import uvloop

from holdfast.protocol.step_metadata import EXTENSIONS_HEADER, STEP_METADATA

from . import agent_service
from .in_process import attempt, opening

WARMUP_CALLS = 5
METADATA = (EXTENSIONS_HEADER.encode(), STEP_METADATA.encode())


async def run_durably(name: str) -> None:
    """One attempt, from its opening to its end."""
    await attempt(agent_service.app, "/invoke/AgentBench/run", opening(f'"{name}"'.encode()), METADATA)


async def quickest_ms(run: Callable[[], Awaitable[object]], calls: int) -> float:
    """CPU milliseconds of the quickest run."""
    best = float("inf")
    for number in range(WARMUP_CALLS + calls):
        began = time.process_time_ns()
        await run()
        if number >= WARMUP_CALLS:
            best = min(best, (time.process_time_ns() - began) / 1e6)
    return best


async def garbage(run: Callable[[], Awaitable[object]]) -> int:
    """How many objects one run leaves in cycles."""
    gc.collect()
    gc.disable()
    try:
        await run()
        return gc.collect()
    finally:
        gc.enable()


async def measure(names: list[str], calls: int) -> None:
    print(f"{'agent':26}{'durable ms':>12}{'bare ms':>10}{'overhead ms':>13}{'garbage':>9}{'bare':>7}")
    for name in names:
        durable, bare = partial(run_durably, name), agent_service.agents[name]
        durable_ms, bare_ms = await quickest_ms(durable, calls), await quickest_ms(bare, calls)
        left, left_bare = await garbage(durable), await garbage(bare)
        print(
            f"{name:26}{durable_ms:12.2f}{bare_ms:10.2f}{durable_ms - bare_ms:13.2f}{left:9}{left_bare:7}",
            flush=True,
        )


async def profiled(names: list[str], calls: int) -> None:
    for name in names:
        for title, run in (("durable", partial(run_durably, name)), ("bare", agent_service.agents[name])):
            for _ in range(WARMUP_CALLS):
                await run()
            profile = cProfile.Profile()
            profile.enable()
            for _ in range(calls):
                await run()
            profile.disable()
            print(name, title)
            pstats.Stats(profile).sort_stats("tottime").print_stats(45)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.agent_micro", description=__doc__)
    parser.add_argument("what", nargs="?", choices=["measure", "profile"], default="measure")
    parser.add_argument("--calls", type=int, default=40)
    parser.add_argument("--only", default="", help="agents whose name contains this")
    given = parser.parse_args()
    names = [name for name in agent_service.agents if given.only in name]
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run((profiled if given.what == "profile" else measure)(names, given.calls))


if __name__ == "__main__":
    main()
