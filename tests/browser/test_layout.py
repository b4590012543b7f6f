"""Where things stand on the page: the graph in its frame, text in its box, plots without gaps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from gradscope.model.finding import Report, Where
from gradscope.model.graph import Graph
from gradscope.model.trace import Trace
from gradscope.render.html_edge import html_page
from gradscope.render.options import RenderOptions
from tests.builders import GraphBuilder, gpt2_like_graph
from tests.graph_builder import line
from tests.render import reports

pytest.importorskip("playwright", reason="playwright is not installed")

from tests.browser.chromium import opened

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

OPS = ("Sin", "Cos", "Tan", "Exp", "Log", "Tanh", "Relu", "Sigmoid", "Silu", "Gelu", "Erf", "Abs")
LEGIBLE = 0.6  # pixels per point


def wide_report() -> Report:
    """Three dozen branches side by side, in three modules."""
    b = GraphBuilder()
    ends = []
    for name in ("left", "middle", "right"):
        with b.module(name, "Branches"):
            for i, op in enumerate(OPS):
                leaf = b.leaf(f"{name}.weight_of_branch_{i}", (16, 16), gradient=0.1)
                ends.append(b.op(op, leaf, shape=(16, 16), gradient=0.1))
    cat = b.op("Cat", *ends, shape=(16, 16), gradient=0.2)
    b.op("Mean", cat, shape=(), gradient=1.0, value=0.5, source=line(5, "loss = f(x)"))
    return of_graph(b.graph())


def gpt2_report() -> Report:
    return of_graph(gpt2_like_graph())


def of_graph(graph: Graph) -> Report:
    step = reports.training_step(0, 1.0, graph)
    return Report(Trace(steps=(step,), parameters=reports.leaves_of(graph)))


def framed_report() -> Report:
    """Findings that name ops of the graph, so that the plot along depth stands beside them."""
    report = reports.accumulated_report()
    found = report.findings[0]
    where = replace(found.where, nodes=(1, 2), step=119)
    return replace(report, findings=(replace(found, where=where), *report.findings[1:]))


def tall_report() -> Report:
    """Eighty parameters, and a finding that names no op."""
    report = reports.many_parameters_report(80)
    steps = reports.accumulated_report()
    found = replace(steps.findings[0], where=Where(source=steps.findings[0].where.source))
    graph = reports.layered_graph([f"net.{i}" for i in range(20)], width=4)
    trace = replace(
        steps.trace,
        steps=tuple(
            replace(step, graph=graph) if step.graph else step for step in steps.trace.steps
        ),
        parameters=reports.leaves_of(graph, steps=120, decay=lambda i: 1.0 + i),
    )
    return replace(report, trace=trace, findings=(found,))


@cache
def page_html(report: Callable[[], Report]) -> str:
    return html_page(report(), RenderOptions())


def frame_of(page: Page) -> dict[str, float]:
    """Sizes of the level shown, in points, and how many pixels a point has."""
    found: dict[str, float] = page.evaluate(
        """() => {
          const view = document.querySelector("figure.graph:not([hidden]) .view");
          const svg = view.querySelector("svg").getBoundingClientRect();
          const all = view.querySelector("g.graph").getBoundingClientRect();
          const box = view.querySelector("svg").viewBox.baseVal;
          return {
            outside: Math.max(svg.left - all.left, all.right - svg.right,
                              svg.top - all.top, all.bottom - svg.bottom),
            scale: svg.width / box.width,
          };
        }"""
    )
    return found


def sees_the_loss(page: Page) -> bool:
    seen: bool = page.evaluate(
        """() => {
          const view = document.querySelector("figure.graph:not([hidden]) .view");
          const frame = view.getBoundingClientRect();
          const title = [...view.querySelectorAll(".node > title")]
            .find((title) => title.textContent.startsWith("loss: "));
          const loss = title.parentNode.getBoundingClientRect();
          return loss.left >= frame.left && loss.right <= frame.right
            && loss.top >= frame.top && loss.bottom <= frame.bottom;
        }"""
    )
    return seen


@pytest.mark.parametrize("report", [wide_report, gpt2_report, reports.scalar_report])
@pytest.mark.parametrize("width", [800, 1280, 1600])
def test_every_level_opens_whole_or_says_that_it_is_a_part(
    browser: Browser, tmp_path: Path, report: Callable[[], Report], width: int
) -> None:
    with opened(browser, page_html(report), tmp_path, width=width) as page:
        buttons = page.locator("button.level")
        for i in range(buttons.count()):
            buttons.nth(i).click()
            frame = frame_of(page)
            told = page.locator(".rest:visible")
            assert frame["scale"] >= LEGIBLE - 0.001
            assert told.count() == (frame["outside"] > 9), frame
            assert sees_the_loss(page)


def test_the_rest_of_a_wide_level_is_told_until_fit_shows_it(
    browser: Browser, tmp_path: Path
) -> None:
    with opened(browser, page_html(wide_report), tmp_path) as page:
        page.click("button.level >> text=ops")
        assert "More left and right: drag, or press Fit" in page.inner_text(".rest:visible")
        page.click("[data-zoom=fit]")
        assert page.locator(".rest:visible").count() == 0
        assert frame_of(page)["outside"] <= 0
        page.click("[data-zoom=in]")
        assert page.locator(".rest:visible").count() == 1


def test_a_graph_nobody_moved_stays_whole_in_a_window_that_grows(
    browser: Browser, tmp_path: Path
) -> None:
    with opened(browser, page_html(gpt2_report), tmp_path, width=700) as page:
        page.click("button.level >> nth=0")
        page.set_viewport_size({"width": 1500, "height": 700})
        page.wait_for_function("document.querySelector('.view').clientWidth > 900")
        page.wait_for_timeout(100)
        assert frame_of(page)["scale"] >= LEGIBLE - 0.001
        assert sees_the_loss(page)
        assert page.locator(".rest:visible").count() == (frame_of(page)["outside"] > 9)


def test_text_stays_in_its_box_whatever_the_font(browser: Browser, tmp_path: Path) -> None:
    with opened(browser, page_html(wide_report), tmp_path) as page:
        page.evaluate("document.documentElement.style.letterSpacing = '2px'")
        page.click("button.level >> nth=0")
        page.click("button.level >> text=ops")
        over: list[str] = page.evaluate(
            """() => [...document.querySelectorAll("figure.graph:not([hidden]) .node text")]
              .filter((text) => {
                const frame = text.closest(".node").querySelector("polygon, path").getBBox();
                const own = text.getBBox();
                return own.x + own.width > frame.x + frame.width;
              }).map((text) => text.textContent)"""
        )
        assert over == []


@pytest.mark.parametrize(
    "report", [reports.accumulated_report, reports.regression_report, framed_report, tall_report]
)
@pytest.mark.parametrize("width", [800, 1280])
def test_plots_leave_no_empty_cell(
    browser: Browser, tmp_path: Path, report: Callable[[], Report], width: int
) -> None:
    with opened(browser, page_html(report), tmp_path, width=width) as page:
        filled: list[float] = page.evaluate(
            """() => [...document.querySelectorAll(".plots")].map((plots) => {
              const gap = 20;
              const area = (e) => (e.clientWidth + gap) * (e.clientHeight + gap);
              return [...plots.children].map(area).reduce((a, b) => a + b) / area(plots);
            })"""
        )
        assert filled
        assert all(share > 0.95 for share in filled), filled


def test_a_narrow_page_shows_the_finding_before_the_plot(browser: Browser, tmp_path: Path) -> None:
    with opened(browser, page_html(framed_report), tmp_path, width=800) as page:
        finding, plot = (page.locator(s).bounding_box() for s in ("#finding-0", ".hero"))
        assert finding is not None
        assert plot is not None
        assert finding["y"] < plot["y"]
