"""`python -m bench`: both servers in the same run, in interleaved rounds, on the same services.

Per row: the median over the rounds of server CPU per invocation, rate, latency and memory. A step costs a
tenth of the difference between ten steps and the trivial handler at the same concurrency. The first server
of a round alternates, so that a machine that slows down slows both.
"""

import argparse
import statistics
import time
from dataclasses import dataclass
from itertools import groupby

from .cpu import rss_bytes
from .load import Measured, run
from .world import SERVERS, SERVICES, World, running

STEPS = 10
DRAIN_S = 0.3
COLUMNS = ("CPU us/inv", "CPU us/step", "inv/s", "p50 ms", "p99 ms", "RSS MB", "service us", "errors")
WORK = {"trivial": (1, 64, 256), "tenSteps": (1, 64)}


@dataclass(frozen=True)
class Row:
    """One thing to measure."""

    service: str
    work: str
    connections: int

    @property
    def label(self) -> str:
        return f"{self.service} {self.work} c={self.connections}"


@dataclass(frozen=True)
class Result:
    """The median of a row's rounds on one server; CPU in microseconds per invocation."""

    server_us: float
    service_us: float
    rate: float
    p50_ms: float
    p99_ms: float
    rss_mb: float
    errors: int


def measure_once(world: World, server_name: str, row: Row, seconds: float) -> tuple[Measured, float]:
    """One window, and the server's memory after it in MB."""
    server, service = world.servers[server_name], world.services[row.service]
    path = f"/{row.service}Bench/{row.work}"
    measured = run(server.ingress_port, path, row.connections, seconds, [server.pid, service.pid])
    time.sleep(DRAIN_S)
    return measured, rss_bytes(server.pid) / 1e6


def median_of(windows: list[tuple[Measured, float]]) -> Result:
    def per_invocation(which: int) -> float:
        return statistics.median(m.cpu_us[which] / max(m.completed, 1) for m, _ in windows)

    return Result(
        server_us=per_invocation(0),
        service_us=per_invocation(1),
        rate=statistics.median(m.completed / m.seconds for m, _ in windows),
        p50_ms=statistics.median(m.p50_ms for m, _ in windows),
        p99_ms=statistics.median(m.p99_ms for m, _ in windows),
        rss_mb=statistics.median(rss for _, rss in windows),
        errors=sum(m.errors for m, _ in windows),
    )


def step_us(results: dict[tuple[Row, str], Result], row: Row, server: str) -> float | None:
    """Server CPU of one further step, microseconds; None when the trivial twin was not measured."""
    trivial = results.get((Row(row.service, "trivial", row.connections), server))
    if row.work != "tenSteps" or trivial is None:
        return None
    return (results[row, server].server_us - trivial.server_us) / STEPS


def print_table(rows: list[Row], servers: list[str], results: dict[tuple[Row, str], Result]) -> None:
    """A Markdown table; under two servers each row ends with ours over theirs."""
    print(f"\n| work | server | {' | '.join(COLUMNS)} |")
    print(f"|---|---|{'---:|' * len(COLUMNS)}")
    for row in rows:
        for server in servers:
            r = results[row, server]
            step = step_us(results, row, server)
            print(
                f"| {row.label} | {server} | {r.server_us:.0f} | {'' if step is None else f'{step:.0f}'} "
                f"| {r.rate:.0f} | {r.p50_ms:.1f} | {r.p99_ms:.1f} | {r.rss_mb:.0f} | {r.service_us:.0f} "
                f"| {r.errors} |"
            )
        if set(servers) == set(SERVERS):
            ours, theirs = results[row, "holdfast"], results[row, "restate"]
            steps = step_us(results, row, "holdfast"), step_us(results, row, "restate")
            step_ratio = f"**{steps[0] / steps[1]:.2f}**" if steps[0] is not None and steps[1] else ""
            print(
                f"| | **ours / theirs** | **{ours.server_us / theirs.server_us:.2f}** | {step_ratio} "
                f"| {ours.rate / theirs.rate:.2f} | {ours.p50_ms / theirs.p50_ms:.2f} "
                f"| {ours.p99_ms / theirs.p99_ms:.2f} | {ours.rss_mb / theirs.rss_mb:.2f} "
                f"| {ours.service_us / max(theirs.service_us, 1e-9):.2f} | |"
            )


def print_stacks(rows: list[Row], results: dict[tuple[Row, str], Result]) -> None:
    """Whole stacks: our server with our SDK against the Restate server with its official Python SDK."""
    pairs = [
        (results[ours, "holdfast"], results[theirs, "restate"], ours)
        for ours in rows
        if ours.service == "Hf"
        for theirs in [Row("Py", ours.work, ours.connections)]
        if (ours, "holdfast") in results and (theirs, "restate") in results
    ]
    if not pairs:
        return
    print("\n| whole stack | ours inv/s | theirs inv/s | ratio | ours p50 ms | theirs p50 ms |")
    print("|---|---:|---:|---:|---:|---:|")
    for ours, theirs, row in pairs:
        print(
            f"| {row.work} c={row.connections} | {ours.rate:.0f} | {theirs.rate:.0f} "
            f"| **{ours.rate / max(theirs.rate, 1e-9):.1f}** | {ours.p50_ms:.1f} | {theirs.p50_ms:.1f} |"
        )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="interleaved rounds; the median is shown")
    parser.add_argument("--seconds", type=float, default=3.0, help="length of one window")
    parser.add_argument("--only", default="", help="rows whose label contains this, such as 'Ts' or 'c=64'")
    parser.add_argument("--quick", action="store_true", help="one round of one second: a smoke test")
    parser.add_argument("--servers", default=",".join(SERVERS), help="comma separated")
    given = parser.parse_args()
    rounds, seconds = (1, 1.0) if given.quick else (given.rounds, given.seconds)
    servers: list[str] = given.servers.split(",")
    rows = [Row(s, work, c) for s in SERVICES for work, levels in WORK.items() for c in levels]
    rows = [row for row in rows if given.only in row.label]
    if not rows:
        parser.error(f"--only {given.only!r} matches no row")
    used = [name for name, _ in groupby(row.service for row in rows)]
    windows: dict[tuple[Row, str], list[tuple[Measured, float]]] = {}
    with running(servers, used) as world:
        for number in range(rounds):
            for row in rows:
                for server in servers if number % 2 == 0 else servers[::-1]:
                    window = measure_once(world, server, row, seconds)
                    windows.setdefault((row, server), []).append(window)
                    print(
                        f"round {number + 1}/{rounds}  {row.label:24} {server:9} "
                        f"{window[0].completed / window[0].seconds:8.0f}/s",
                        flush=True,
                    )
    results = {key: median_of(found) for key, found in windows.items()}
    print_table(rows, servers, results)
    print_stacks(rows, results)


if __name__ == "__main__":
    main()
