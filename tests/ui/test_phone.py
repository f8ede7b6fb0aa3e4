"""The web UI on a phone: everything is reached with a thumb, and nothing is wider than the screen.

Goal: somebody on the way finds the claim that waits for them, reads what it is about, and approves it.
Method: touch only, on a screen of 390 by 844; at every stop the page is measured.
"""

from __future__ import annotations

import pytest
from harness import wait_until

from .world import PATIENCE_MS, World

pytest.importorskip("playwright.sync_api")
from playwright.sync_api import Page, expect  # after the skip where it is missing

expect.set_options(timeout=PATIENCE_MS)

pytestmark = pytest.mark.e2e

TARGET_PX = 40

MEASURE = """(least) => {
  const small = [];
  const touched = "button, input, textarea, summary, nav a, a.button, a.icon-button, a.card-link, [data-id], [data-key]";
  for (const element of document.querySelectorAll(touched)) {
    // A box to be ticked is touched with its words.
    const box = (element.type === "checkbox" ? element.closest("label") : element).getBoundingClientRect();
    if (!element.checkVisibility({ visibilityProperty: true }) || box.width === 0) continue;
    if (box.width < least || box.height < least)
      small.push(`${element.tagName} ${element.className} ${element.ariaLabel ?? element.textContent}: `
        + `${Math.round(box.width)} x ${Math.round(box.height)}`);
  }
  return { small, wide: document.documentElement.scrollWidth - visualViewport.width };
}"""  # noqa: E501


def fits(page: Page) -> None:
    """Nothing to be scrolled sideways, nothing too small for a finger."""
    measured = page.evaluate(MEASURE, TARGET_PX)
    assert measured["wide"] <= 0, f"{page.url} is {measured['wide']} px wider than the screen"
    assert measured["small"] == [], f"{page.url}: smaller than {TARGET_PX} px"


def test_a_claim_is_found_read_and_approved_with_a_thumb(world: World, phone: Page) -> None:
    claim = world.send(
        "ClaimAgent/settle",
        {"number": "C-9", "who": "Ada", "amount": 1800, "flaky": 1, "story": "wet " * 300},
    )
    for number in range(30):
        world.send("Lab/steps", number % 3)
    world.send("Lab/failing", "the mail server is down, and whoever is to be asked about it is not there")
    wait_until(lambda: world.status(claim) == "suspended", "the claim to wait")

    phone.goto(world.ui)
    expect(phone.locator("[data-id]").first).to_be_visible()
    fits(phone)
    expect(phone.locator("input[name=service]")).to_be_hidden()
    phone.get_by_role("button", name="Filter").tap()
    phone.locator("input[name=service]").fill("ClaimAgent")
    fits(phone)
    phone.get_by_role("button", name="Suspended").tap()
    expect(phone.locator("[data-id]")).to_have_count(1)
    phone.locator(f"[data-id={claim}]").tap()

    # The timeline has the screen to itself; what is touched covers it, and the way back uncovers it.
    panel = phone.get_by_role("complementary")
    rows = phone.get_by_role("treegrid").get_by_role("row")
    expect(rows.filter(has_text="estimate_damage")).to_be_visible()
    expect(panel).to_be_hidden()
    fits(phone)
    rows.filter(has_text="gpt-5").first.tap()
    expect(panel).to_contain_text("You settle insurance claims")
    fits(phone)
    phone.go_back()
    expect(panel).to_be_hidden()
    rows.filter(has_text="ClaimAgent/settle").first.tap()
    expect(panel).to_contain_text("Attempts")
    panel.get_by_role("button", name="Close details").tap()
    expect(panel).to_be_hidden()
    rows.filter(has_text="Account/Ada/reserve").get_by_label("Unfold").tap()
    expect(rows.filter(has_text="check limits")).to_be_visible()
    expect(panel).to_be_hidden()

    rows.filter(has_text="pay 1800 EUR").filter(has_not_text="ask").tap()
    expect(panel).to_contain_text("left_on_account")
    fits(phone)
    panel.get_by_role("button", name="Approve", exact=True).tap()
    expect(panel).not_to_contain_text("Approve")
    panel.get_by_role("button", name="Close details").tap()
    expect(phone.locator("header .status-large")).to_have_text("Succeeded")

    for name, shown in (("Services", "article"), ("Deployments", "article"), ("Invocations", "[data-id]")):
        phone.get_by_role("navigation").get_by_role("link", name=name).tap()
        expect(phone.locator(shown).first).to_be_visible()
        fits(phone)


def test_a_phone_that_lies_on_its_side_shows_the_same(world: World, phone: Page) -> None:
    failing = world.send("Lab/failing", "the mail server is down")
    wait_until(lambda: world.status(failing) == "backing-off", "an attempt to fail")
    phone.set_viewport_size({"width": 844, "height": 390})
    phone.goto(world.page_of(failing))
    phone.get_by_role("button", name="Show where").tap()
    expect(phone.get_by_role("complementary")).to_contain_text("the mail server is down")
    fits(phone)
    phone.get_by_role("button", name="Close details").tap()
    expect(phone.locator(".row-entry").first).to_be_visible()
    fits(phone)
