"""`python -m tests.simulation SEED` repeats a seed and tells it; with a COUNT, runs that many from there."""

from __future__ import annotations

import sys
import time
import traceback

from tests.simulation.run import Simulation

FAILURES_MAX = 10
TOLD_EVERY = 1_000


def main(arguments: list[str]) -> int:
    if len(arguments) not in (1, 2):
        print(__doc__, file=sys.stderr)
        return 2
    first, count = int(arguments[0]), int(arguments[1]) if len(arguments) > 1 else 1
    started, failed, crashes, events = time.monotonic(), 0, 0, 0
    done = 0
    for seed in range(first, first + count):
        simulation = Simulation(seed)
        try:
            simulation.run()
        except Exception as error:
            failed += 1
            if count == 1:
                print("\n".join(simulation.truth.history))
                traceback.print_exc()
            print(f"seed {seed}: {type(error).__name__}: {str(error)[:600]}")
            print(f"  again: make sim SEED={seed}", flush=True)
        done += 1
        if done % TOLD_EVERY == 0:
            print(f"{done} seeds, {failed} failures, {time.monotonic() - started:.0f} s", flush=True)
        crashes += simulation.server.crashes
        events += simulation.world.events
        if failed >= FAILURES_MAX:
            break
    seconds = time.monotonic() - started
    print(
        f"{done} seeds, {events} events, {crashes} crashes, {failed} failures, "
        f"{seconds:.1f} s, {done / seconds * 3600:.0f} seeds an hour"
    )
    return 1 if failed else 0


sys.exit(main(sys.argv[1:]))
