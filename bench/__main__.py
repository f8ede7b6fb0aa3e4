"""`python -m bench`: both servers in the same run, in interleaved rounds, on the same services.

Per row: the median over the rounds of server CPU per invocation, rate, latency, memory and disk. A step costs
a tenth of the difference between ten steps and the trivial handler at the same concurrency. The first server
of a round alternates, so that a machine that slows down slows both. An invocation is one call from outside:
what it calls itself is part of its cost.
"""

import argparse
import time
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

from .cpu import rss_bytes, tree_bytes
from .load import run
from .results import Window, median_of, print_stacks, print_table, save
from .rows import Row, all_rows
from .world import SERVERS, World, running

STACKS = ("Hf", "Py")
DRAIN_S = 0.3
WARMUP_S = 1.0


def measure_once(world: World, server_name: str, row: Row, seconds: float) -> Window:
    """One window. Disk is the growth of the data directory over the window and its warm-up."""
    server, service = world.servers[server_name], world.services[row.service]
    before = tree_bytes(server.data_dir)
    measured = run(
        server.ingress_port,
        row.path,
        row.connections,
        seconds,
        [server.pid, service.pid],
        body=row.work.body,
        pad_bytes=row.work.pad_bytes,
        warmup_s=WARMUP_S,
    )
    time.sleep(DRAIN_S)
    with_warmup = int(measured.completed * (seconds + WARMUP_S) / seconds)
    grown = tree_bytes(server.data_dir) - before
    return Window(measured, rss_bytes(server.pid) / 1e6, grown, with_warmup)


def order(
    rows: Sequence[Row], servers: Sequence[str], stacks: bool, backwards: bool
) -> Iterator[tuple[Row, str]]:
    """What is measured in a round, one window after the other."""
    if stacks:
        for row in rows:
            if row.service == "Hf":
                pair = [(row, "holdfast"), (Row("Py", row.work, row.connections), "restate")]
                yield from reversed(pair) if backwards else pair
        return
    for row in rows:
        for server in reversed(servers) if backwards else servers:
            yield row, server


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="interleaved rounds; the median is shown")
    parser.add_argument("--seconds", type=float, default=3.0, help="length of one window")
    parser.add_argument("--only", default="", help="rows whose label contains this, such as 'Ts' or 'c=64'")
    parser.add_argument(
        "--stacks",
        action="store_true",
        help="nothing but whole stacks: ours with our SDK, theirs with their Python SDK, in adjacent windows",
    )
    parser.add_argument("--quick", action="store_true", help="one round of one second: a smoke test")
    parser.add_argument("--servers", default=",".join(SERVERS), help="comma separated")
    parser.add_argument("--save", type=Path, help="write the results as JSON, for bench.charts")
    given = parser.parse_args()
    rounds, seconds = (1, 1.0) if given.quick else (given.rounds, given.seconds)
    servers: list[str] = given.servers.split(",")
    rows = [row for row in all_rows() if given.only in row.label]
    if given.stacks:
        rows = [row for row in rows if row.service in STACKS]
    if not rows:
        parser.error(f"--only {given.only!r} matches no row")
    used = [name for name, _ in groupby(sorted(row.service for row in rows))]
    windows: dict[tuple[Row, str], list[Window]] = {}
    with running(servers, used) as world:
        for number in range(rounds):
            for row, server in order(rows, servers, given.stacks, number % 2 == 1):
                window = measure_once(world, server, row, seconds)
                windows.setdefault((row, server), []).append(window)
                print(
                    f"round {number + 1}/{rounds}  {row.label:26} {server:9} "
                    f"{window.measured.completed / window.measured.seconds:8.0f}/s",
                    flush=True,
                )
    results = {key: median_of(found) for key, found in windows.items()}
    if not given.stacks:
        print_table(rows, servers, results)
    print_stacks(rows, results)
    if given.save and not given.stacks:
        save(given.save, rows, servers, results)


if __name__ == "__main__":
    main()
