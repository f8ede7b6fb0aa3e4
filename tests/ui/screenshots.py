"""The pictures of docs/ui.md, taken anew: `python -m tests.ui.screenshots docs/images [desk|phone]`."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from itertools import product
from pathlib import Path
from typing import Any

from harness import wait_until
from playwright.sync_api import Page, sync_playwright

from tests.ui.world import PATIENCE_MS, PHONE, VIEW, World

VIEWS: dict[str, dict[str, Any]] = {"desk": {"viewport": VIEW}, "phone": PHONE}
SETTLED_MS = 700.0
"""After the last thing waited for, so that nothing is half drawn."""


def main() -> None:
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as work:
        world = World(Path(work))
        try:
            world.start()
            runs = _runs(world)
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(
                    executable_path=shutil.which("chromium"),
                    args=["--no-sandbox"] if os.geteuid() == 0 else [],
                )
                for view, scheme in product(sys.argv[2:] or VIEWS, ("light", "dark")):
                    context = browser.new_context(color_scheme=scheme, locale="en-GB", **VIEWS[view])
                    page = context.new_page()
                    page.set_default_timeout(PATIENCE_MS)
                    pictures = _pictures(world, runs) if view == "desk" else _phone_pictures(world, runs)
                    for name, address, click in pictures:
                        _take(page, address, click, folder / f"ui-{name}-{scheme}.png")
                    context.close()
                browser.close()
        finally:
            world.stop()


def _runs(world: World) -> dict[str, str]:
    def claim(number: str, who: str, amount: int, flaky: int = 0) -> str:
        return world.send(
            "ClaimAgent/settle", {"number": number, "who": who, "amount": amount, "flaky": flaky}
        )

    runs = {"settled": claim("C-1041", "Grace", 950, flaky=2)}
    world.send("Lab/tree", 1)
    wait_until(lambda: world.status(runs["settled"]) == "suspended", "the claim to wait", 60)
    with world.admin() as admin:
        timeline = admin.http.get(f"/invocations/{runs['settled']}/timeline").json()
        index = next(entry["index"] for entry in timeline["entries"] if entry["type"] == "awakeable")
        said = {"approved": True, "by": "Barbara"}
        admin.http.post(f"/invocations/{runs['settled']}/entries/{index}/resolve", json={"value": said})
    for number, who, amount in (("C-1043", "Edith", 410), ("C-1044", "Katherine", 2300)):
        claim(number, who, amount)
    for trip, amount in (("trip-7", 1800), ("trip-8", 64)):
        world.send(f"Expense/{trip}/submit", amount)
    for who in ("Grace", "Ada", "Edith"):
        world.send(f"Account/{who}/release", 10)
    world.send("Lab/steps", 40)
    wait_until(lambda: world.status(runs["settled"]) == "succeeded", "the claim to be settled", 60)
    world.serve()
    world.send("Lab/failing", "the mail server is down")
    world.send("Lab/broken", "the claim has no policy")
    runs["waiting"] = claim("C-1042", "Ada", 1800, flaky=1)
    wait_until(lambda: world.status(runs["waiting"]) == "suspended", "the claim to wait", 60)
    return runs


def _pictures(world: World, runs: dict[str, str]) -> list[tuple[str, str, str]]:
    """(name, address, words of the row to be selected)."""
    return [
        ("invocations", world.ui, ""),
        ("timeline", world.page_of(runs["settled"]), "gpt-5"),
        ("retries", world.page_of(runs["settled"]), "estimate_damage"),
        ("approval", world.page_of(runs["waiting"]), "pay 1800 EUR"),
        ("services", f"{world.ui}services", ""),
        ("deployments", f"{world.ui}deployments", ""),
    ]


def _phone_pictures(world: World, runs: dict[str, str]) -> list[tuple[str, str, str]]:
    return [
        ("phone-invocations", world.ui, ""),
        ("phone-timeline", world.page_of(runs["settled"]), ""),
        ("phone-approval", world.page_of(runs["waiting"]), "pay 1800 EUR"),
        ("phone-services", f"{world.ui}services", ""),
    ]


def _take(page: Page, address: str, click: str, file: Path) -> None:
    page.goto(address)
    page.wait_for_selector("article, .grid-row, .row-entry")
    if click:
        call = page.locator(".row-entry", has_text="/pay").last
        if click == "gpt-5":
            call.locator(".fold").click()
        page.locator(".row-entry", has_text=click).nth(1 if click == "gpt-5" else 0).click()
    # Stacks name the folders of whoever takes the pictures.
    for stack in page.locator(".failure details[open] summary:visible").all():
        stack.click()
    page.mouse.move(720, 850)
    page.locator(".detail-body").evaluate_all("(bodies) => bodies.forEach((body) => body.scrollTo(0, 0))")
    page.wait_for_timeout(SETTLED_MS)
    page.screenshot(path=file)


if __name__ == "__main__":
    main()
