"""What the rounds of a row come to, as tables and as a file that charts are made from."""

import json
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from .load import Measured
from .rows import TEN_STEPS, TRIVIAL, Row
from .world import SERVERS

STEPS = 10
COLUMNS = (
    "CPU us/inv",
    "CPU us/step",
    "inv/s",
    "p50 ms",
    "p99 ms",
    "p99.9 ms",
    "RSS MB",
    "disk B/inv",
    "service us",
    "errors",
)


@dataclass(frozen=True)
class Window:
    """One window on one server: the generator's account, memory afterwards, growth of the data directory."""

    measured: Measured
    rss_mb: float
    disk_bytes: int
    disk_invocations: int


@dataclass(frozen=True)
class Result:
    """The median of a row's rounds on one server; CPU in microseconds per invocation."""

    server_us: float
    service_us: float
    rate: float
    p50_ms: float
    p99_ms: float
    p999_ms: float
    rss_mb: float
    disk_bytes: float
    errors: int


Results = Mapping[tuple[Row, str], Result]


def median_of(windows: Sequence[Window]) -> Result:
    measured = [window.measured for window in windows]

    def per_invocation(which: int) -> float:
        return statistics.median(m.cpu_us[which] / max(m.completed, 1) for m in measured)

    return Result(
        server_us=per_invocation(0),
        service_us=per_invocation(1),
        rate=statistics.median(m.completed / m.seconds for m in measured),
        p50_ms=statistics.median(m.p50_ms for m in measured),
        p99_ms=statistics.median(m.p99_ms for m in measured),
        p999_ms=statistics.median(m.p999_ms for m in measured),
        rss_mb=statistics.median(w.rss_mb for w in windows),
        disk_bytes=statistics.median(w.disk_bytes / max(w.disk_invocations, 1) for w in windows),
        errors=sum(m.errors for m in measured),
    )


def step_us(results: Results, row: Row, server: str) -> float | None:
    """Server CPU of one further step, microseconds; None when the trivial twin was not measured."""
    trivial = results.get((Row(row.service, TRIVIAL, row.connections), server))
    if row.work is not TEN_STEPS or trivial is None:
        return None
    return (results[row, server].server_us - trivial.server_us) / STEPS


def print_table(rows: Iterable[Row], servers: Sequence[str], results: Results) -> None:
    """A Markdown table; under two servers each row ends with ours over theirs."""
    print(f"\n| work | server | {' | '.join(COLUMNS)} |")
    print(f"|---|---|{'---:|' * len(COLUMNS)}")
    for row in rows:
        for server in servers:
            r = results[row, server]
            step = step_us(results, row, server)
            print(
                f"| {row.label} | {server} | {r.server_us:.0f} | {'' if step is None else f'{step:.0f}'} "
                f"| {r.rate:.0f} | {r.p50_ms:.1f} | {r.p99_ms:.1f} | {r.p999_ms:.1f} | {r.rss_mb:.0f} "
                f"| {r.disk_bytes:.0f} | {r.service_us:.0f} | {r.errors} |"
            )
        if set(servers) == set(SERVERS):
            ours, theirs = results[row, "holdfast"], results[row, "restate"]
            steps = step_us(results, row, "holdfast"), step_us(results, row, "restate")
            step_ratio = f"**{steps[0] / steps[1]:.2f}**" if steps[0] is not None and steps[1] else ""
            print(
                f"| | **ours / theirs** | **{_ratio(ours.server_us, theirs.server_us)}** | {step_ratio} "
                f"| {_ratio(ours.rate, theirs.rate)} | {_ratio(ours.p50_ms, theirs.p50_ms)} "
                f"| {_ratio(ours.p99_ms, theirs.p99_ms)} | {_ratio(ours.p999_ms, theirs.p999_ms)} "
                f"| {_ratio(ours.rss_mb, theirs.rss_mb)} | {_ratio(ours.disk_bytes, theirs.disk_bytes)} "
                f"| {_ratio(ours.service_us, theirs.service_us)} | |"
            )


def print_stacks(rows: Iterable[Row], results: Results) -> None:
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
            f"| {row.work.name} c={row.connections} | {ours.rate:.0f} | {theirs.rate:.0f} "
            f"| **{ours.rate / max(theirs.rate, 1e-9):.1f}** | {ours.p50_ms:.1f} | {theirs.p50_ms:.1f} |"
        )


def save(path: Path, rows: Iterable[Row], servers: Sequence[str], results: Results) -> None:
    """One JSON object per row and server, for `bench.charts`."""
    found = [
        {
            "service": row.service,
            "work": row.work.name,
            "connections": row.connections,
            "server": server,
            "step_us": step_us(results, row, server),
            **asdict(results[row, server]),
        }
        for row in rows
        for server in servers
    ]
    path.write_text(json.dumps(found, indent=1) + "\n")


def _ratio(ours: float, theirs: float) -> str:
    return f"{ours / theirs:.2f}" if theirs else ""
