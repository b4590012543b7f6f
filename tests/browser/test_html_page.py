"""The HTML report in a real browser, without network."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from gradscope.model.finding import Report, Where
from gradscope.render.html_edge import html_page
from gradscope.render.options import RenderOptions
from tests.render import reports

pytest.importorskip("playwright", reason="playwright is not installed")

from tests.browser.chromium import opened

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CASES: dict[str, Callable[[], Report]] = {
    "scalar": reports.scalar_report,
    "accumulated": reports.accumulated_report,
    "crash": reports.crash_report,
    "empty": reports.empty_report,
    "hostile": reports.hostile_report,
    "bare": reports.bare_report,
    "many_parameters": reports.many_parameters_report,
}


def page_html(report: Report) -> str:
    return html_page(report, RenderOptions())


@pytest.fixture(scope="module")
def flagged() -> str:
    """A run whose first finding points at two ops of the graph."""
    report = reports.accumulated_report()
    found = report.findings[1]
    where = replace(found.where, nodes=(1, 2), step=119)
    parameter = Where(parameter="net.0.weight")
    second = replace(found, code="GS105", name="zero-gradient", where=parameter)
    return page_html(replace(report, findings=(replace(found, where=where), second)))


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_loads_offline_without_a_word_in_the_console(
    browser: Browser, tmp_path: Path, name: str, dark: bool
) -> None:
    with opened(browser, page_html(CASES[name]()), tmp_path, dark=dark) as page:
        assert page.locator("h1").is_visible()
        assert page.evaluate("document.documentElement.dataset.script") == "on"


@pytest.mark.parametrize("name", ["accumulated", "hostile", "many_parameters"])
def test_fits_a_phone(browser: Browser, tmp_path: Path, name: str) -> None:
    with opened(browser, page_html(CASES[name]()), tmp_path, width=390) as page:
        assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_hostile_names_are_text(browser: Browser, tmp_path: Path) -> None:
    with opened(browser, page_html(reports.hostile_report()), tmp_path) as page:
        assert page.locator("script").count() == 2
        assert page.locator("img, iframe, b:has-text('cpu')").count() == 0
        assert page.locator("tbody th", has_text="<script>alert(1)</script>").count() == 1
        page.click("button.level >> nth=-1")
        page.fill("#find", "<script>alert(1)")
        page.locator("#found li").first.dispatch_event("pointerdown")
        assert "<script>alert(1)</script>" in page.inner_text("#panel h3")


def test_policy_stops_a_foreign_script(browser: Browser, tmp_path: Path) -> None:
    html = page_html(reports.scalar_report())
    evil = html.replace("</main>", '<script>document.title = "evil"</script></main>')
    with (
        pytest.raises(AssertionError, match="Content Security Policy"),
        opened(browser, evil, tmp_path) as page,
    ):
        assert page.title() == "gradscope: scalar.py"


def lit(page: Page) -> list[str]:
    found: list[str] = page.locator(".view:visible .node.lit").evaluate_all(
        "nodes => nodes.map(n => n.id)"
    )
    return sorted(found)


def test_a_finding_lights_up_its_nodes(browser: Browser, tmp_path: Path, flagged: str) -> None:
    with opened(browser, flagged, tmp_path) as page:
        page.click("button.level >> text=ops")
        page.click("#finding-0 .light")
        assert lit(page) == ["ops-n1", "ops-n2"]
        assert "2 nodes" in page.inner_text("#panel")
        assert page.locator("#finding-0.on").count() == 1
        page.click("#finding-1 .light")
        assert page.locator("#finding-0.on").count() == 0
        assert len(lit(page)) == 1
        assert page.locator("tr.on th").inner_text() == "net.0.weight"


def test_a_node_leads_back_to_its_finding(browser: Browser, tmp_path: Path, flagged: str) -> None:
    with opened(browser, flagged, tmp_path) as page:
        page.click("button.level >> text=ops")
        page.locator("#ops-n1 text").first.click()
        panel = page.inner_text("#panel")
        assert "gradient" in panel
        assert "train.py:9" in panel
        page.click("#panel button")
        assert page.locator("#finding-0.on").count() == 1


def test_search_finds_and_selects(browser: Browser, tmp_path: Path, flagged: str) -> None:
    with opened(browser, flagged, tmp_path) as page:
        page.fill("#find", "NET.2.W")
        assert page.locator("#found li").count() == 1
        page.keyboard.press("ArrowDown")
        assert page.get_attribute("#find", "aria-activedescendant") == "hit-0"
        page.keyboard.press("Enter")
        assert page.inner_text("#panel h3").startswith("net.2.weight")
        assert page.locator("tr.on th").inner_text() == "net.2.weight"
        page.fill("#find", "no such thing")
        assert "No node" in page.inner_text("#found")


def test_levels_keep_the_selection(browser: Browser, tmp_path: Path) -> None:
    with opened(browser, page_html(reports.many_parameters_report()), tmp_path) as page:
        page.fill("#find", "layers.75.weight")
        page.keyboard.press("Enter")
        buttons = page.locator("button.level")
        for i in range(buttons.count()):
            buttons.nth(i).click()
            assert buttons.nth(i).get_attribute("aria-pressed") == "true"
            assert page.locator("figure.graph:visible").count() == 1
            assert len(lit(page)) == 1


def test_zoom_pan_and_keys(browser: Browser, tmp_path: Path, flagged: str) -> None:
    with opened(browser, flagged, tmp_path) as page:
        view = page.locator(".view:visible")

        def box() -> list[float]:
            told = view.locator("svg").get_attribute("viewBox") or ""
            return [float(number) for number in told.split()]

        start = box()
        page.click("[data-zoom=in]")
        assert box()[2] == pytest.approx(start[2] * 0.75, rel=1e-3)
        page.click("[data-zoom=out]")
        page.click("[data-zoom=fit]")
        view.focus()
        fitted = box()
        page.keyboard.press("+")
        assert box()[2] < fitted[2]
        page.keyboard.press("0")
        assert box() == fitted
        page.keyboard.press("Shift+ArrowRight")
        assert box()[0] > fitted[0]
        page.keyboard.press("ArrowDown")
        assert page.inner_text("#panel h3").startswith("loss = mse")
        first = lit(page)
        page.keyboard.press("ArrowDown")
        assert lit(page) != first
        page.keyboard.press("Escape")
        assert lit(page) == []


def test_dragging_moves_and_does_not_select(browser: Browser, tmp_path: Path, flagged: str) -> None:
    with opened(browser, flagged, tmp_path) as page:
        view = page.locator(".view:visible")
        view.scroll_into_view_if_needed()
        size = view.bounding_box()
        assert size is not None
        before = view.locator("svg").get_attribute("viewBox")
        page.mouse.move(size["x"] + 200, size["y"] + 60)
        page.mouse.down()
        page.mouse.move(size["x"] + 260, size["y"] + 90, steps=4)
        page.mouse.up()
        assert view.locator("svg").get_attribute("viewBox") != before
        assert lit(page) == []


def test_the_table_sorts_filters_and_selects(
    browser: Browser, tmp_path: Path, flagged: str
) -> None:
    with opened(browser, flagged, tmp_path) as page:

        def names() -> list[str]:
            return page.locator("tbody tr:visible th").all_inner_texts()

        order = names()
        head = page.locator("thead th.gradient")
        head.locator("button").click()
        assert head.get_attribute("aria-sort") == "ascending"
        cells = page.locator("tbody td.gradient").evaluate_all(
            "cells => cells.map(c => Number(c.dataset.v))"
        )
        assert cells == sorted(cells)
        head.locator("button").click()
        assert head.get_attribute("aria-sort") == "descending"
        head.locator("button").click()
        assert names() == order
        page.fill("#filter", "net.2")
        assert names() == [name for name in order if "net.2" in name]
        assert re.fullmatch(r"2 of \d+", page.inner_text("#filtered"))
        page.click("tbody tr:visible >> nth=0")
        assert page.inner_text("#panel h3").startswith("net.2.")


def test_plots_name_what_the_mouse_is_over(browser: Browser, tmp_path: Path, flagged: str) -> None:
    with opened(browser, flagged, tmp_path) as page:
        page.hover("#plot-depth [data-n='1']")
        assert ": gradient " in page.inner_text("#tip")
        page.click("#plot-depth [data-n='1']")
        assert any(name.endswith("n1") or "f" in name for name in lit(page))
        page.focus("#plot-heat .chart")
        page.keyboard.press("ArrowDown")
        assert re.fullmatch(r"\S+, gradient at step 0: \S+", page.inner_text("#tip"))
        page.keyboard.press("Enter")
        assert page.locator("tr.on").count() == 1


def test_the_switch_turns_dark_and_back(browser: Browser, tmp_path: Path, flagged: str) -> None:
    with opened(browser, flagged, tmp_path) as page:

        def paper() -> str:
            return str(page.evaluate("getComputedStyle(document.body).backgroundColor"))

        light = paper()
        page.click("#theme")
        assert page.get_attribute("#theme", "aria-pressed") == "true"
        dark = paper()
        assert dark != light
        page.reload()
        assert paper() == dark
        page.click("#theme")
        assert paper() == light


def test_the_fix_can_be_copied(browser: Browser, tmp_path: Path) -> None:
    html = page_html(reports.accumulated_report())
    with opened(browser, html, tmp_path) as page:
        page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        page.click("#finding-0 .copy")
        page.wait_for_selector("#finding-0 .copy >> text=Copied")
        copied = page.evaluate("navigator.clipboard.readText()")
        assert copied == "optimizer.zero_grad()\nloss.backward()"


def test_reads_without_script(browser: Browser, tmp_path: Path, flagged: str) -> None:
    with opened(browser, flagged, tmp_path, script=False) as page:
        assert page.locator("h1").is_visible()
        assert page.locator(".view:visible svg").count() == 1
        assert page.locator("tbody tr").first.is_visible()
        assert page.locator(".needs-script:visible").count() == 0
        assert page.locator("#plot-depth svg text", has_text="0.5 input").is_visible()
        assert page.locator("#plot-heat svg image").is_visible()


def test_everything_can_be_reached_by_keyboard(
    browser: Browser, tmp_path: Path, flagged: str
) -> None:
    with opened(browser, flagged, tmp_path) as page:
        reached = []
        for _ in range(80):
            page.keyboard.press("Tab")
            reached.append(
                page.evaluate(
                    "(e => e.id || e.dataset.zoom || e.dataset.level || e.className)"
                    "(document.activeElement)"
                )
            )
        for stop in ("skip", "theme", "light", "copy needs-script", "find", "in", "view", "filter"):
            assert stop in reached
        outline = page.evaluate(
            "document.querySelector('#theme').focus(),"
            "getComputedStyle(document.querySelector('#theme')).outlineStyle"
        )
        assert outline != "none"


def test_a_screen_reader_finds_its_way(browser: Browser, tmp_path: Path, flagged: str) -> None:
    with opened(browser, flagged, tmp_path) as page:
        told = page.locator("body").aria_snapshot()
        for part in (
            "- banner:",
            '- navigation "Sections":',
            "- main:",
            '- region "Findings":',
            '- heading "Vanishing gradient at train.py:14" [level=1]',
            '- article "warning GS101 vanishing gradient":',
            '- columnheader "grad rms"',
            "- rowheader",
            '- searchbox "Filter"',
            '- complementary "Selected node":',
        ):
            assert part in told, told
        assert page.get_attribute("#panel", "aria-live") == "polite"


def test_prints_the_verdict_the_graph_and_every_row(
    browser: Browser, tmp_path: Path, flagged: str
) -> None:
    with opened(browser, flagged, tmp_path) as page:
        page.emulate_media(media="print")
        assert page.locator("#answer h1").is_visible()
        assert page.locator("#theme").is_hidden()
        assert page.locator(".panel").is_hidden()
        height = page.evaluate("document.querySelector('.scroll').scrollHeight")
        assert page.evaluate("document.querySelector('.scroll').clientHeight") == height
        assert page.pdf().startswith(b"%PDF")


def test_a_rule_explains_itself_on_demand(browser: Browser, tmp_path: Path) -> None:
    report = reports.accumulated_report()
    docs = {"GS401": "It piles up.\n\nInstead::\n\n    optimizer.zero_grad(set_to_none=True)\n"}
    with opened(browser, page_html(replace(report, docs=docs)), tmp_path) as page:
        told = page.get_by_text("optimizer.zero_grad(set_to_none=True)")
        assert told.is_hidden()
        page.get_by_text("Learn more about GS401").click()
        assert told.is_visible()
