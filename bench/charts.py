"""Charts of a saved run, for docs/benchmarks.md: `python -m bench.charts RESULTS.json FOLDER`.

Horizontal bars, ours and theirs side by side, one chart per measure. Needs matplotlib (`make bench-peers`).
"""

import argparse
import json
from pathlib import Path
from typing import TypedDict, cast

import matplotlib as mpl
import matplotlib.pyplot as plt

mpl.use("svg")
mpl.rcParams["svg.hashsalt"] = "holdfast"  # the same file from the same numbers
mpl.rcParams["svg.fonttype"] = "none"  # text stays text

OURS, THEIRS = "#2563eb", "#9ca3af"
BAR = 0.38
MEASURES = {
    "server_us": ("Server CPU per call from outside, microseconds (less is better)", "bench-cpu.svg"),
    "rate": ("Calls per second (more is better)", "bench-rate.svg"),
    "p99_ms": ("99th percentile of latency, milliseconds (less is better)", "bench-p99.svg"),
}
SDKS = {"Ts": "TypeScript SDK", "Py": "Python SDK", "Hf": "our SDK", "Lean": "cheap endpoint"}


class Saved(TypedDict):
    """A row of the file, as far as charts look."""

    service: str
    work: str
    connections: int
    server: str
    server_us: float
    rate: float
    p99_ms: float


def draw(found: list[Saved], measure: str, title: str, path: Path) -> None:
    """One chart, on a logarithmic axis: works differ by orders of magnitude, and ratios keep their length."""
    labels = list(dict.fromkeys((row["work"], row["service"], row["connections"]) for row in found))
    value = {
        (row["server"], row["work"], row["service"], row["connections"]): cast(float, row[measure])
        for row in found
    }
    figure, axes = plt.subplots(figsize=(9, 0.42 * len(labels) + 1.2))
    for offset, server, colour, name in (
        (-BAR / 2, "holdfast", OURS, "Holdfast"),
        (BAR / 2, "restate", THEIRS, "Restate server"),
    ):
        places = [y for y, label in enumerate(labels) if (server, *label) in value]
        widths = [value[(server, *labels[y])] for y in places]
        bars = axes.barh([y + offset for y in places], widths, BAR, color=colour, label=name)
        axes.bar_label(bars, fmt="{:,.0f}", padding=3, fontsize=7)
    axes.set_yticks(range(len(labels)), [f"{work}, {SDKS[s]}, c={c}" for work, s, c in labels], fontsize=8)
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.margins(x=0.12, y=0.01)
    axes.set_title(title, fontsize=10, loc="left")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.charts", description=__doc__)
    parser.add_argument("results", type=Path)
    parser.add_argument("folder", type=Path)
    given = parser.parse_args()
    found: list[Saved] = [row for row in json.loads(given.results.read_text()) if row["connections"] > 1]
    found.sort(key=lambda row: (row["work"], row["service"]))
    given.folder.mkdir(parents=True, exist_ok=True)
    for measure, (title, name) in MEASURES.items():
        draw(found, measure, title, given.folder / name)


if __name__ == "__main__":
    main()
