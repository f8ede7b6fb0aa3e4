"""What a person at the web UI waits for, in a real Chromium on a real server, against the goals.

    python -m bench.ui [--loads 10] [--events 100] [--entries 2000]

Paint   a page in a browser that has nothing of it yet: the browser's own `paint` entries, and when the first
        row stood in the document, all counted from the beginning of the navigation.
Event   from the instant the journal (or the list) gives for what happened, which is taken before the commit,
        to the row in the document, by a MutationObserver; server and browser read the same clock.
Frames  the time between two frames of a journal of `--entries` steps: read from top to bottom in one
        movement, while it grows at its end, and both at once. An empty page says what the machine itself
        does to frames.

Chromium is that of the PATH or of the variable CHROMIUM, without a screen: frames are drawn by the CPU, which
they share with the server and the service.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from playwright.sync_api import Browser, CDPSession, Page, sync_playwright

from tests.harness import Admin, HoldfastServer, Ingress, Service, free_port

from .load import ROOT

VIEW = {"width": 1440, "height": 860}
PATIENCE_MS = 60_000.0
LISTED = 150
"""Invocations in the list whose painting is measured: more than one page of them."""
FIRST_STEPS = 60
"""Of a watched journal before it counts: more than are in sight."""
SCROLL_PX_PER_S = 6_000
GROW_S = 8
GROWTH_PER_S = 20
PAINT_GOAL_MS = 500
EVENT_GOAL_MS = 300
LATE_FRAME_MS = 33
LATE_SHARE_GOAL = 0.01
WORST_FRAME_GOAL_MS = 100
"""What the eye takes for a stutter."""

WATCH_ROWS = """
window.seen = {};
const note = () => {
  for (const row of document.querySelectorAll("[data-id], [data-key]")) {
    const key = row.dataset.id ?? row.dataset.key;
    window.seen[key] ??= Date.now();
    if (row.dataset.state === "done") window.seen[key + " done"] ??= Date.now();
  }
};
new MutationObserver(note).observe(document, {
  subtree: true, childList: true, attributes: true, attributeFilter: ["data-id", "data-key", "data-state"],
});
"""
FIRST_ROW = """
new MutationObserver((_, observer) => {
  if (document.querySelector("[data-id], .row-entry") === null) return;
  window.firstRow = performance.now();
  observer.disconnect();
}).observe(document, { subtree: true, childList: true });
"""
PAINTS = """() => ({
  ...Object.fromEntries(performance.getEntriesByType("paint").map((entry) => [entry.name, entry.startTime])),
  row: window.firstRow,
})"""
START_FRAMES = """() => {
  window.frames_ = [];
  const frame = (at) => { window.frames_.push(at); window.frame_ = requestAnimationFrame(frame); };
  window.frame_ = requestAnimationFrame(frame);
}"""
STOP_FRAMES = "() => { cancelAnimationFrame(window.frame_); return window.frames_; }"


class UiService(Service):
    """The handlers of `bench.ui_service`."""

    def __init__(self, work_dir: Path) -> None:
        port = free_port()
        serve = [sys.executable, "-m", "holdfast.cli.main", "serve", "bench.ui_service:app"]
        command = [*serve, "--port", str(port), "--log-level", "error"]
        super().__init__("service-ui", command, port, work_dir / "service.log", {"PYTHONPATH": str(ROOT)})


@dataclass
class Row:
    """A line of the table: milliseconds, or shares of one in percent."""

    what: str
    values: Sequence[float]
    goal: str
    good: bool | None = None
    unit: str = "ms"

    def text(self) -> str:
        middle, worst = f"{median(self.values):.1f} {self.unit}", f"{max(self.values):.1f} {self.unit}"
        verdict = {True: "met", False: "MISSED", None: ""}[self.good]
        return f"{self.what:<46} {middle:>10} {worst:>10}  {len(self.values):>5}  {self.goal:<26} {verdict}"


class World:
    """Server, service and browser."""

    def __init__(self, server: HoldfastServer, browser: Browser) -> None:
        self.server = server
        self.browser = browser

    @property
    def ui(self) -> str:
        return f"{self.server.admin_url}/ui/"

    def page_of(self, id_: str) -> str:
        return f"{self.ui}invocations/{id_}"

    def grow(self, at_once: int, pauses_ms: Sequence[int] = ()) -> str:
        with Ingress(self.server.ingress_url) as ingress:
            return ingress.send("UiBench/grow", {"at_once": at_once, "pauses_ms": list(pauses_ms)})

    def wait(self, id_: str, *statuses: str) -> None:
        with Admin(self.server.admin_url) as admin:
            admin.wait_status(id_, *statuses, deadline_s=PATIENCE_MS / 1000)

    def get(self, path: str) -> Any:
        with Admin(self.server.admin_url) as admin:
            return admin.http.get(path).json()

    @contextmanager
    def page(self, script: str = "") -> Iterator[Page]:
        """In a context of its own: nothing is cached."""
        context = self.browser.new_context(viewport=VIEW)  # type: ignore[arg-type]
        context.set_default_timeout(PATIENCE_MS)
        page = context.new_page()
        if script:
            page.add_init_script(script)
        try:
            yield page
        finally:
            context.close()


@contextmanager
def running() -> Iterator[World]:
    with (
        TemporaryDirectory(prefix="holdfast-bench-", ignore_cleanup_errors=True) as folder,
        ExitStack() as ends,
    ):
        server, service = HoldfastServer(Path(folder) / "server", 1, None), UiService(Path(folder))
        ends.callback(service.kill9)
        service.start()
        ends.callback(server.kill9)
        server.start()
        with server.admin() as admin:
            admin.register(service.uri)
        playwright = ends.enter_context(sync_playwright())
        browser = playwright.chromium.launch(
            executable_path=os.environ.get("CHROMIUM") or shutil.which("chromium"),
            args=["--no-sandbox"] if os.geteuid() == 0 else [],
        )
        ends.callback(browser.close)
        yield World(server, browser)


def paints(world: World, address: str, what: str, loads: int) -> list[Row]:
    found: dict[str, list[float]] = {"first-paint": [], "first-contentful-paint": [], "row": []}
    for _ in range(loads + 1):
        with world.page(FIRST_ROW) as page:
            page.goto(address)
            page.wait_for_function("() => window.firstRow !== undefined")
            page.wait_for_function("() => performance.getEntriesByType('paint').length === 2")
            for name, value in page.evaluate(PAINTS).items():
                found[name].append(value)
    words = {"first-paint": "first paint", "first-contentful-paint": "contentful paint", "row": "first row"}
    # The first of all is the browser's own start.
    return [_below(f"{what}: {words[name]}", values[1:], PAINT_GOAL_MS) for name, values in found.items()]


def events_in_list(world: World, count: int) -> Row:
    with world.page(WATCH_ROWS) as page:
        page.goto(world.ui)
        page.wait_for_selector("[data-connection=live]")
        ids: list[str] = []
        for pause in _pauses(count):
            ids.append(world.grow(1))
            page.wait_for_timeout(pause)
        page.wait_for_function("(id) => id in window.seen", arg=ids[-1])
        seen = page.evaluate("() => window.seen")
    created = {one["id"]: one["created_at"] for one in world.get("/invocations?limit=1000")["invocations"]}
    return _below("event: invocation to row of the list", _delays(seen, created, ids), EVENT_GOAL_MS, True)


def events_in_timeline(world: World, count: int) -> list[Row]:
    id_ = world.grow(FIRST_STEPS, [2_000, *_pauses(count)])
    with world.page(WATCH_ROWS) as page:
        page.goto(world.page_of(id_))
        page.wait_for_selector(".row-entry")
        _to_end(page, f"step {FIRST_STEPS}")
        world.wait(id_, "completed")
        page.wait_for_selector(f".row-entry[data-state=done]:has-text('step {FIRST_STEPS + count}')")
        seen = page.evaluate("() => window.seen")
    entries = world.get(f"/invocations/{id_}/timeline")["entries"]
    steps = [entry for entry in entries if entry["type"] == "run"][FIRST_STEPS + 1 :]
    began = {f"{id_}:{step['index']}": step["started_at"] for step in steps}
    done = {f"{id_}:{step['index']} done": step["completed_at"] for step in steps}
    return [
        _below("event: step begins to its row", _delays(seen, began, list(began)), EVENT_GOAL_MS, True),
        _below("event: step is done to its row", _delays(seen, done, list(done)), EVENT_GOAL_MS, True),
    ]


def frames(world: World, entries: int) -> list[Row]:
    rows: list[Row] = []
    with world.page() as page:
        page.goto("about:blank")
        rows += _frame_rows(
            "frames: an empty page", _recorded(page, lambda: page.wait_for_timeout(4_000)), None
        )
    ended = world.grow(entries)
    world.wait(ended, "completed")
    rows += paints(world, world.page_of(ended), f"{entries} entries", 3)[-1:]
    with world.page() as page:
        page.goto(world.page_of(ended))
        page.wait_for_selector(".row-entry")
        rows += _frame_rows(
            f"frames: {entries} entries, scrolled", *_busy(page, lambda: _scroll(page, entries))
        )
    pauses = [1_000 // GROWTH_PER_S] * (GROW_S * GROWTH_PER_S)
    for what, act in (("growing", _look), ("growing, scrolled", _scroll)):
        growing = world.grow(entries, [4_000, *pauses])
        with world.page() as page:
            page.goto(world.page_of(growing))
            page.wait_for_selector(".row-entry")
            page.wait_for_function(
                f"() => document.querySelector('[role=treegrid]').ariaRowCount >= {entries}"
            )
            if act is _look:
                _to_end(page, f"step {entries}")
            else:
                page.wait_for_timeout(4_000)
            measured = _busy(page, lambda act=act: act(page, entries))  # type: ignore[misc]
            rows += _frame_rows(f"frames: {entries} entries, {what}", *measured)
        world.wait(growing, "completed")
    return rows


def _look(page: Page, entries: int) -> None:
    page.wait_for_selector(f".row-entry:has-text('step {entries + 1}')")
    page.wait_for_timeout(GROW_S * 800)


def _scroll(page: Page, entries: int) -> None:
    """From the top to the bottom as a hand on a wheel would, through the browser's own scrolling."""
    page.locator(".timeline-scroll").evaluate("(element) => { element.scrollTop = 0 }")
    height = page.locator(".timeline-scroll").evaluate("(element) => element.scrollHeight")
    _session(page).send(
        "Input.synthesizeScrollGesture",
        {
            "x": 500,
            "y": 500,
            "yDistance": -min(height, SCROLL_PX_PER_S * GROW_S),
            "speed": SCROLL_PX_PER_S,
            "gestureSourceType": "mouse",
        },
    )


def _recorded(page: Page, act: Any) -> list[float]:
    page.evaluate(START_FRAMES)
    act()
    at: list[float] = page.evaluate(STOP_FRAMES)
    return [b - a for a, b in pairwise(at[1:])]


def _busy(page: Page, act: Any) -> tuple[list[float], float]:
    """Times between frames, and the share of the time in which the page's thread worked."""
    session = _session(page)
    session.send("Performance.enable")
    before = _metrics(session)
    times = _recorded(page, act)
    after = _metrics(session)
    passed = after["Timestamp"] - before["Timestamp"]
    return times, (after["TaskDuration"] - before["TaskDuration"]) / passed


def _metrics(session: CDPSession) -> dict[str, float]:
    answer = session.send("Performance.getMetrics")
    return {metric["name"]: metric["value"] for metric in answer["metrics"]}


def _session(page: Page) -> CDPSession:
    return page.context.new_cdp_session(page)


def _frame_rows(what: str, times: Sequence[float], busy: float | None) -> list[Row]:
    late = sum(time > LATE_FRAME_MS for time in times) / len(times)
    if busy is None:
        return [Row(what, times, "(the machine)"), Row("  over 33 ms", [100 * late], "", None, "%")]
    worst = max(times) <= WORST_FRAME_GOAL_MS
    share = late <= LATE_SHARE_GOAL
    return [
        Row(what, times, f"worst <= {WORST_FRAME_GOAL_MS} ms", worst),
        Row(f"  over {LATE_FRAME_MS} ms", [100 * late], f"<= {LATE_SHARE_GOAL:.0%}", share, "%"),
        Row("  the page's thread at work", [100 * busy], "", None, "%"),
    ]


def _below(what: str, values: Sequence[float], goal_ms: int, worst: bool = False) -> Row:
    if worst:
        return Row(what, values, f"worst <= {goal_ms} ms", max(values) <= goal_ms)
    return Row(what, values, f"median <= {goal_ms} ms", median(values) <= goal_ms)


def _pauses(count: int) -> list[int]:
    """60 to 159 ms, so that events fall into every phase of the server's own pauses; the same every time."""
    return [60 + number * 37 % 100 for number in range(count)]


def _delays(seen: dict[str, int], happened: dict[str, str], keys: Sequence[str]) -> list[float]:
    missing = [key for key in keys if key not in seen]
    if missing:
        raise SystemExit(f"{len(missing)} of {len(keys)} rows were never seen, such as {missing[0]!r}")
    return [seen[key] - datetime.fromisoformat(happened[key]).timestamp() * 1000 for key in keys]


def _to_end(page: Page, words: str) -> None:
    """Look at the last row, which a growing timeline then keeps in sight."""
    page.wait_for_selector(".row-entry")
    end = "() => { const e = document.querySelector('.timeline-scroll'); e.scrollTop = e.scrollHeight; }"
    page.wait_for_function(
        f"(words) => {{ ({end})(); return [...document.querySelectorAll('.row-entry')]"
        ".some((row) => row.textContent.includes(words)); }",
        arg=words,
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.ui", description=__doc__)
    parser.add_argument("--loads", type=int, default=10)
    parser.add_argument("--events", type=int, default=100)
    parser.add_argument("--entries", type=int, default=2_000)
    given = parser.parse_args()
    rows: list[Row] = []
    with running() as world:
        for _ in range(LISTED - 1):
            world.grow(1)
        agent = world.grow(40)
        world.wait(agent, "completed")
        rows += paints(world, world.ui, "list", given.loads)
        rows += paints(world, world.page_of(agent), "invocation", given.loads)
        rows.append(events_in_list(world, given.events))
        rows += events_in_timeline(world, given.events)
        rows += frames(world, given.entries)
    print(f"{'':<46} {'median':>10} {'worst':>10}  {'of':>5}  {'goal':<26}")
    for row in rows:
        print(row.text())


if __name__ == "__main__":
    main()
