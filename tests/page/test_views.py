"""Every view in a real browser: what it shows, by keyboard, in the dark, on a phone, and for those who do not see."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from tests.page.browsing import addresses, chromium, visiting

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

    from tests.asking import Asked

VIEWS = ("overview", "graph", "pipeline", "batch", "files", "quarantine", "schema", "table", "rewind")
SHOWN = {
    "overview": ["Pipelines", "orders", "silver.orders", "every 30s", "1 row rejected", "gold.big"],
    "graph": ["landing/orders/*.ndjson", "silver.orders", "gold.big"],
    "pipeline": ["Run now", "Rows by fate", "Duration", "Rejected, open"],
    "batch": ["Batch 1", "silver.orders__quarantine", '{"start":{', "onerror=alert(1)"],
    "files": ["1.ndjson", "onerror=alert(1)", "Filtered"],
    "quarantine": ["syntax", '<script>alert("row")</script>', "Replay …", "Discard …"],
    "schema": ["Version 0", "amount", "float64"],
    "table": ["silver.orders", "Small files", "rejected rows"],
    "rewind": ["Back to batch 0: 1 batch undone", "Type orders to confirm"],
}
SIZES: dict[str, dict[str, Any]] = {
    "light": {},
    "dark": {"color_scheme": "dark"},
    "phone": {"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True},
}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as running:
        found = running.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture(scope="module", params=list(SIZES))
def visited(browser: Browser, acting_once: Asked, request: pytest.FixtureRequest) -> Iterator[Page]:
    """Return a page that stays open for all views; axe is let in past the policy that forbids foreign code."""
    with visiting(browser, acting_once, bypass_csp=True, **SIZES[request.param]) as page:
        yield page


@pytest.mark.parametrize("view", VIEWS)
def test_a_view_shows_what_it_is_for_and_fits(visited: Page, acting_once: Asked, view: str) -> None:
    visited.goto(addresses(acting_once)[view])

    text = visited.inner_text("main")
    assert [each for each in SHOWN[view] if each not in text] == []
    assert visited.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize("view", VIEWS)
def test_a_view_has_no_finding_of_axe(visited: Page, acting_once: Asked, view: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    visited.goto(addresses(acting_once)[view])
    visited.wait_for_selector("#live-state[data-state=on]")

    found = axe.run(visited).response["violations"]

    assert [(each["id"], each["nodes"][0]["html"]) for each in found] == []


@pytest.mark.parametrize("view", VIEWS)
def test_a_view_does_not_move_while_it_loads(visited: Page, acting_once: Asked, view: str) -> None:
    visited.add_init_script(
        "window.moved = 0; new PerformanceObserver(list => list.getEntries().forEach(each => moved += each.value))"
        ".observe({type: 'layout-shift', buffered: true})"
    )
    visited.goto(addresses(acting_once)[view])
    visited.wait_for_selector("#live-state[data-state=on]")

    assert visited.evaluate("window.moved") < 0.01


def test_the_dark_is_dark(browser: Browser, acting_once: Asked) -> None:
    grounds = []
    for scheme in ("light", "dark"):
        with visiting(browser, acting_once, color_scheme=scheme) as page:
            grounds.append(page.evaluate("getComputedStyle(document.documentElement).backgroundColor"))

    assert grounds == ["rgb(247, 247, 245)", "rgb(20, 22, 25)"]


def test_everything_is_reached_with_the_keyboard(browser: Browser, acting_once: Asked) -> None:
    with visiting(browser, acting_once) as page:
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == "Skip to content"
        reached = tabbed(page)
        assert [name for name in ("Pipelines", "Graph", "big", "orders") if name not in reached] == []

        page.goto(addresses(acting_once)["pipeline"])
        reached = tabbed(page)
        wanted = ("Run now", "Pause", "Report", "Files", "Quarantine", "Rewind")
        assert [name for name in wanted if name not in reached] == []
        page.focus("text=Files")
        page.keyboard.press("Enter")
        page.wait_for_url(re.compile("/files$"))


def test_what_has_the_focus_shows_it(browser: Browser, acting_once: Asked) -> None:
    with visiting(browser, acting_once) as page:
        for _ in range(3):
            page.keyboard.press("Tab")
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"


def test_a_chart_tells_a_figure_under_the_pointer(browser: Browser, acting_once: Asked) -> None:
    with visiting(browser, acting_once) as page:
        page.goto(addresses(acting_once)["pipeline"])
        chart = page.locator("#chart-rows .u-over")
        chart.hover()

        assert page.locator("#chart-rows").get_attribute("role") == "img"
        assert "Rows by fate of batches 0 to 1: written" in (
            page.locator("#chart-rows").get_attribute("aria-label") or ""
        )
        assert page.locator("#chart-rows canvas").count() == 1


def test_without_scripts_the_same_is_shown(browser: Browser, acting_once: Asked) -> None:
    with visiting(browser, acting_once, java_script_enabled=False) as page:
        page.goto(addresses(acting_once)["pipeline"])

        assert page.locator("#chart-rows svg path").first.get_attribute("d")
        assert "static" in page.inner_text("#live-state")


def tabbed(page: Page) -> set[str]:
    """Return the texts of what the Tab key reaches."""
    reached = set()
    for _ in range(40):
        page.keyboard.press("Tab")
        reached.add(str(page.evaluate("document.activeElement.textContent.trim()")))
    return reached
