"""Whether memory stays flat over many completed invocations with retention off.

python -m bench.memory [--count 1000000] [--connections 64] [--server holdfast]
"""

import argparse

from .cpu import rss_bytes
from .load import run
from .world import SERVERS, running

WINDOW_S = 10.0
SETTLED_SHARE = 0.2
GROWTH_MAX = 1.10


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.memory", description=__doc__)
    parser.add_argument("--count", type=int, default=1_000_000, help="invocations to complete")
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--server", choices=list(SERVERS), default="holdfast")
    given = parser.parse_args()
    with running([given.server], ["Lean"]) as world:
        server = world.servers[given.server]
        print(f"start: RSS {rss_bytes(server.pid) / 1e6:.0f} MB")
        done, errors = 0, 0
        seen: list[tuple[int, float]] = []
        while done < given.count:
            window = run(
                server.ingress_port, "/LeanForget/trivial", given.connections, WINDOW_S, [], warmup_s=0.0
            )
            if window.completed == 0:
                raise SystemExit(f"nothing completed in {WINDOW_S:.0f} s; {window.errors} errors")
            done, errors = done + window.completed, errors + window.errors
            seen.append((done, rss_bytes(server.pid) / 1e6))
            print(f"{done:9} done: RSS {seen[-1][1]:.0f} MB, {errors} errors", flush=True)
    settled = next(rss for count, rss in seen if count >= given.count * SETTLED_SHARE)
    growth = seen[-1][1] / settled
    verdict = "flat" if growth <= GROWTH_MAX else "GROWING"
    print(f"\nRSS from {SETTLED_SHARE:.0%} of the count to its end: x{growth:.2f} ({verdict})")


if __name__ == "__main__":
    main()
