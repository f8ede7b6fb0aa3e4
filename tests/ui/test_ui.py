"""The web UI in a real browser, on a real server, with handlers that really run.

Goal: what is on the screen is what happens, while it happens, and what is clicked happens. Method: look for
what a person would look for, by words and roles; every wait has a deadline.
"""

from __future__ import annotations

import re

import pytest
from harness import wait_until

from .world import PATIENCE_MS, World

pytest.importorskip("playwright.sync_api")
from playwright.sync_api import Locator, Page, expect  # after the skip where it is missing

expect.set_options(timeout=PATIENCE_MS)

pytestmark = pytest.mark.e2e


def row(page: Page, words: str) -> Locator:
    """The rows of the timeline with these words."""
    return page.get_by_role("treegrid").get_by_role("row").filter(has_text=words)


def status(page: Page) -> Locator:
    """The status in the head of an invocation's page."""
    return page.locator("header .status-large")


def fill_claim(number: str, flaky: int = 0) -> dict[str, object]:
    return {"number": number, "who": f"who-{number}", "amount": 1800, "flaky": flaky}


def test_a_run_grows_while_it_is_watched_and_goes_on_when_approved(world: World, page: Page) -> None:
    """From the list to the timeline, live: model calls, a step that fails twice, a person's approval."""
    page.goto(world.ui)
    expect(page.locator(".connection")).to_have_text("Live")
    claim = world.send("ClaimAgent/settle", fill_claim("C-1", flaky=2))
    listed = page.locator(f"[data-id={claim}]")
    expect(listed).to_contain_text("ClaimAgent/settle")
    listed.click()

    expect(row(page, "gpt-5")).to_have_count(2)
    estimate = row(page, "estimate_damage")
    expect(estimate).to_contain_text("2\u00d7")
    waiting = row(page, "pay 1800 EUR to who-C-1").filter(has_not_text="ask")
    expect(waiting).to_contain_text("answer")
    expect(status(page)).to_have_text("Suspended")

    estimate.click()
    panel = page.get_by_role("complementary")
    expect(panel).to_contain_text("the estimator did not answer (try 2)")
    expect(panel).to_contain_text("ConnectionError")
    row(page, "gpt-5").first.click()
    expect(panel).to_contain_text("You settle insurance claims")
    expect(panel).to_contain_text("lookup_policy")
    expect(panel.get_by_text("Tokens", exact=True)).to_be_visible()

    waiting.click()
    expect(panel).to_contain_text("left_on_account")
    panel.get_by_placeholder("Reason").fill("looks right")
    panel.get_by_role("button", name="Approve", exact=True).click()
    expect(row(page, "Account/who-C-1/pay")).to_be_visible()
    expect(status(page)).to_have_text("Succeeded")
    expect(page.locator("dl.facts").first).to_contain_text("3 model calls")

    # What it called unfolds in place, and its own page says who called it.
    row(page, "Account/who-C-1/pay").get_by_label("Unfold").click()
    expect(row(page, "transfer")).to_be_visible()
    row(page, "Account/who-C-1/pay").first.click()
    panel.get_by_role("link", name="Account/who-C-1/pay").click()
    expect(page.get_by_role("link", name="ClaimAgent/settle")).to_be_visible()


def test_a_promise_is_resolved_with_json_and_only_with_json(world: World, page: Page) -> None:
    trip = world.send("Expense/trip-1/submit", 90)
    page.goto(world.page_of(trip))
    row(page, "decision").click()
    panel = page.get_by_role("complementary")
    value = panel.get_by_label("Value, as JSON")
    value.fill("yes")
    expect(panel).to_contain_text('Text needs quotes: "yes"')
    expect(panel.locator("button[type=submit]")).to_be_disabled()
    value.fill("false")
    panel.locator("button[type=submit]").click()
    expect(status(page)).to_have_text("Succeeded")
    row(page, "Expense/trip-1/submit").click()
    expect(panel).to_contain_text("declined")


def test_cancelling_takes_the_whole_tree_of_calls_along(world: World, page: Page) -> None:
    tree = world.send("Lab/tree", 2)
    page.goto(world.page_of(tree))
    calls = row(page, "Lab/tree").filter(has=page.locator(".fold"))
    expect(calls).to_have_count(2)
    calls.first.get_by_label("Unfold").click()
    expect(calls).to_have_count(4)
    page.get_by_role("button", name="Cancel").click()
    expect(status(page)).to_have_text("Failed")
    expect(page.locator(".callout-failed")).to_be_visible()
    # All of them, the unfolded ones on the same stream too.
    expect(page.locator(".row-lane[data-state=failed]")).to_have_count(2)
    expect(page.locator(".row[data-state=pending]")).to_have_count(0)
    with world.admin() as admin:
        left = admin.http.get(
            "/invocations", params={"service": "Lab", "handler": "tree", "status": "running"}
        )
        assert left.json()["invocations"] == []


def test_kill_asks_first_and_restart_leads_to_the_new_run(world: World, page: Page) -> None:
    doomed = world.send("Lab/failing", "the mail server is down")
    page.goto(world.page_of(doomed))
    expect(page.locator(".callout")).to_contain_text("the mail server is down")
    page.get_by_role("button", name="Kill").click()
    page.get_by_role("dialog").get_by_role("button", name="Keep it").click()
    assert world.status(doomed) != "failed"
    page.get_by_role("button", name="Kill").click()
    page.get_by_role("dialog").get_by_role("button", name="Kill it").click()
    expect(status(page)).to_have_text("Failed")
    page.get_by_role("button", name="Restart as new").click()
    expect(page).not_to_have_url(re.compile(doomed))
    expect(page.get_by_role("heading", level=1)).to_have_text("Lab/failing")
    page.get_by_role("button", name="Pause").click()
    expect(status(page)).to_have_text("Paused")
    page.get_by_role("button", name="Kill").click()
    page.get_by_role("dialog").get_by_role("button", name="Kill it").click()
    expect(status(page)).to_have_text("Failed")


def test_what_is_purged_leaves_the_list_and_says_so_on_its_page(world: World, page: Page) -> None:
    kept, purged = world.send("Lab/steps", 1), world.send("Lab/steps", 2)
    wait_until(lambda: world.status(purged) == "succeeded", "the steps to be done")
    own = page.context.new_page()
    own.goto(world.page_of(purged))
    expect(row(own, "step 1")).to_be_visible()
    page.goto(f"{world.ui}?handler=steps")
    expect(page.locator(f"[data-id={purged}]")).to_be_visible()
    with world.admin() as admin:
        assert admin.http.patch(f"/invocations/{purged}/purge").status_code == 200
    expect(page.locator(f"[data-id={purged}]")).to_have_count(0)
    expect(page.locator(f"[data-id={kept}]")).to_be_visible()
    expect(own.get_by_text("Gone from the server")).to_be_visible()
    expect(row(own, "step 1")).to_be_visible()
    expect(own.get_by_role("button", name="Restart as new")).to_have_count(0)


ATTACK = "<img src=x onerror=\"document.title='stolen'\"><script>document.title='stolen'</script>'\"`${1}"


def test_what_others_wrote_is_text_and_nothing_else(world: World, page: Page) -> None:
    """Names, keys, values, failures and addresses that are HTML: all is shown as it is, none of it runs."""
    key = "<b onmouseover=alert(1)>key</b>"
    page.add_init_script("window.alert = () => { document.title = 'stolen' }")
    echo = world.send("Lab/echo", {"name": ATTACK, ATTACK: ATTACK})
    broken = world.send("Lab/broken", ATTACK)
    with world.ingress() as ingress:
        ingress.post(f"Account/{key.replace('/', '%2F')}/reserve/send", 5)
    page.goto(world.ui)
    expect(page.get_by_role("grid")).to_contain_text(ATTACK)
    expect(page.get_by_role("grid")).to_contain_text(key)

    page.goto(world.page_of(echo))
    row(page, ATTACK).first.click()
    expect(page.get_by_role("complementary")).to_contain_text("onerror")
    row(page, "awakeable").click()
    page.get_by_role("complementary").get_by_label("Value, as JSON").fill(f'"{"<script>1</script>"}"')
    page.get_by_role("complementary").locator("button[type=submit]").click()
    expect(status(page)).to_have_text("Succeeded")

    page.goto(world.page_of(broken))
    expect(page.locator(".callout")).to_contain_text(ATTACK)
    page.goto(f"{world.ui}?service={ATTACK}&status={ATTACK}&id={ATTACK}")
    expect(page.locator("input[name=service]")).to_have_value(ATTACK)
    page.goto(world.page_of("inv_" + "%3Cimg%20src%3Dx%20onerror%3Dalert(1)%3E"))
    expect(page.get_by_text("No such invocation")).to_be_visible()
    assert "stolen" not in page.title()
    assert page.locator("img, script:not([src]), iframe").count() == 0


def test_the_page_recovers_from_a_killed_server(world: World, page: Page) -> None:
    """The list and a timeline say that the server is gone, and are up to date again when it is back."""
    trip = world.send("Expense/trip-2/submit", 120)
    page.goto(world.page_of(trip))
    expect(row(page, "decision")).to_be_visible()
    world.server.kill9()
    banner = page.get_by_text("The connection to the server is broken")
    expect(banner).to_be_visible()
    world.server.start()
    expect(banner).to_be_hidden()
    with world.admin() as admin:
        timeline = admin.http.get(f"/invocations/{trip}/timeline").json()
        index = next(e["index"] for e in timeline["entries"] if e["type"] == "promise_get")
        resolved = admin.http.post(f"/invocations/{trip}/entries/{index}/resolve", json={"value": True})
        assert resolved.status_code < 300, resolved.text
    expect(status(page)).to_have_text("Succeeded")


def test_everything_is_reached_by_keyboard(world: World, page: Page) -> None:
    first = world.send("Lab/steps", 3)
    wait_until(lambda: world.status(first) == "succeeded", "the steps to be done")
    page.goto(f"{world.ui}?handler=steps")
    expect(page.locator(f"[data-id={first}]")).to_be_visible()
    page.keyboard.press("/")
    page.keyboard.type("Lab")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("service=Lab"))
    page.keyboard.press("Escape")
    expect(page.locator(f"[data-id={first}]")).to_be_visible()
    page.keyboard.press("j")
    expect(page.locator(".grid-row-chosen")).to_have_count(1)
    page.keyboard.press("Enter")
    expect(row(page, "step 2")).to_be_visible()
    for key in ("j", "ArrowDown", "ArrowDown", "k"):
        page.keyboard.press(key)
    expect(page.locator(".row-selected")).to_contain_text("step 0")
    expect(page.get_by_role("complementary")).to_contain_text("step 0")
    page.keyboard.press("Escape")
    page.go_back()
    expect(page).to_have_url(re.compile("service=Lab"))


def test_a_long_timeline_is_made_of_what_is_in_sight(world: World, page: Page) -> None:
    """Two thousand entries: few of them are in the document, wherever one looks."""
    long = world.send("Lab/steps", 2000)
    wait_until(lambda: world.status(long) == "succeeded", "two thousand steps", 60)
    page.goto(world.page_of(long))
    expect(row(page, "step 0").first).to_be_visible()
    page.keyboard.press("End")
    expect(row(page, "step 1999")).to_be_visible()
    assert page.locator(".row").count() < 120
    page.locator(".timeline-scroll").evaluate("(element) => { element.scrollTop = element.scrollHeight / 2 }")
    expect(row(page, "step 1000")).to_be_visible()


def test_deployments_are_registered_and_shown_with_revisions(world: World, page: Page) -> None:
    page.goto(f"{world.ui}deployments")
    page.get_by_role("textbox", name="address").fill("http://127.0.0.1:1")
    page.get_by_role("button", name="Register").click()
    expect(page.get_by_role("alert")).to_contain_text("127.0.0.1:1")
    page.get_by_role("textbox", name="address").fill(world.uri)
    page.get_by_label("Replace").check()
    page.get_by_role("button", name="Register").click()
    expect(page.locator("form .notice")).to_be_visible()
    expect(page.locator("article")).to_contain_text("ClaimAgent")
    page.get_by_role("link", name="Services").click()
    expect(page.get_by_role("heading", name="ClaimAgent")).to_be_visible()
    page.get_by_role("button", name="Dark").click()
    page.reload()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
