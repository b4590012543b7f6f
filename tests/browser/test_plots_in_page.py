"""The page's plots in a real browser: what the mouse is told, what a click does, how they look."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from gradscope.model.finding import Report
from gradscope.render import vega
from gradscope.render.html_edge import html_page
from gradscope.render.options import RenderOptions
from tests.render import reports
from tests.render.test_plots import hostile_report, odd_report

pytest.importorskip("playwright", reason="playwright is not installed")

from tests.browser.chromium import opened

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


@pytest.fixture(scope="module")
def accumulated() -> str:
    """120 steps of a network of two layers."""
    return html_page(reports.accumulated_report(), RenderOptions())


LOSS = "#plot-steps .loss [aria-label]"


def spread_report() -> Report:
    """Updates of each parameter ten times those of the one before."""
    report = reports.accumulated_report()
    parameters = []
    for power, parameter in enumerate(report.trace.parameters):
        sizes = parameter.updates.update_rms
        spread = type(sizes)("d", [size * 10**power for size in sizes])
        updates = replace(parameter.updates, update_rms=spread)
        parameters.append(replace(parameter, updates=updates))
    return replace(report, trace=replace(report.trace, parameters=tuple(parameters)))


def told(page: Page, x: float, y: float) -> str:
    """What the page says with the mouse there."""
    page.mouse.move(x, y)
    return page.inner_text("#tip") if page.locator("#tip").is_visible() else ""


def along(page: Page, mark: str, share: float) -> tuple[float, float]:
    """A place on a line, a share of its length from its start, in pixels of the window."""
    page.locator(mark).scroll_into_view_if_needed()
    x, y = page.locator(mark).evaluate(
        """(path, share) => {
          const p = path.getPointAtLength(path.getTotalLength() * share);
          const at = new DOMPoint(p.x, p.y).matrixTransform(path.getScreenCTM());
          return [at.x, at.y];
        }""",
        share,
    )
    return x, y


def within(page: Page, mark: str, across: float) -> tuple[float, float]:
    """A place inside a mark, a share of its width from its left."""
    page.locator(mark).scroll_into_view_if_needed()
    box = page.locator(mark).bounding_box()
    assert box is not None
    return box["x"] + box["width"] * across, box["y"] + box["height"] / 2


def selected(page: Page) -> str:
    return page.locator("tr.on th").inner_text()


def test_a_dot_says_its_name_and_gradient(
    browser: Browser, tmp_path: Path, accumulated: str
) -> None:
    with opened(browser, accumulated, tmp_path) as page:
        dots = page.locator("#plot-depth .dots [data-n]")
        assert dots.count() == 7
        said = set()
        for i in range(dots.count()):
            x, y = within(page, f"#plot-depth .dots [data-n] >> nth={i}", 0.5)
            said.add(told(page, x, y))
            assert page.locator("#plot-depth .near").count() == 1
        assert "loss = mse(h, y): gradient 1" in said
        assert "net.0.weight: gradient 0.5" in said
        assert all(re.fullmatch(r".+: gradient \S+", text) for text in said)


def test_lines_say_the_value_of_the_step_under_the_mouse(
    browser: Browser, tmp_path: Path, accumulated: str
) -> None:
    report = reports.accumulated_report()
    with opened(browser, accumulated, tmp_path) as page:
        for share, step in ((0, 0), (0.5, 59), (1, 119)):
            said = told(page, *along(page, LOSS, share))
            found = re.fullmatch(r"loss at step (\d+): (\S+)", said)
            assert found is not None, said
            assert abs(int(found[1]) - step) <= 1
            loss = report.trace.steps[int(found[1])].loss
            assert float(found[2]) == pytest.approx(loss, rel=5e-3)
        x, y = along(page, "#plot-steps .norm [aria-label] >> nth=0", 0.4)
        assert told(page, x, y).startswith("gradient norm ")
        assert page.locator("#plot-steps .cursor").count() == 1
        assert told(page, 5, 5) == ""
        assert page.locator("#plot-steps .cursor").count() == 0


def test_what_is_not_finite_and_what_was_kept_says_so(browser: Browser, tmp_path: Path) -> None:
    with opened(browser, html_page(odd_report(), RenderOptions()), tmp_path) as page:
        crosses = "#plot-steps .odd_loss path"
        assert told(page, *within(page, f"{crosses} >> nth=1", 0.5)) == "loss at step 7: NaN"
        kept = within(page, "#plot-steps .kept line >> nth=1", 0.5)
        assert told(page, *kept) == "step 119: its graph was kept"
        # The pairs and the points of a line stay together across the gap.
        said = told(page, *along(page, LOSS, 1))
        assert said == "loss at step 119: 3.5"


def test_a_cell_says_its_parameter_step_and_gradient(
    browser: Browser, tmp_path: Path, accumulated: str
) -> None:
    report = reports.accumulated_report()
    parameters = {p.name: p for p in report.trace.parameters}
    with opened(browser, accumulated, tmp_path) as page:
        rows = page.locator("#plot-heat .rows path")
        assert rows.count() == 5
        seen = set()
        for i in range(rows.count()):
            for across, step in ((0.001, 0), (0.5, 60), (0.999, 119)):
                said = told(page, *within(page, f"#plot-heat .rows path >> nth={i}", across))
                found = re.fullmatch(r"(\S+), gradient at step (\d+): (\S+)", said)
                assert found is not None, said
                assert int(found[2]) == step
                seen.add(found[1])
                parameter = parameters[found[1]]
                if not parameter.gradients.arrived[step]:
                    assert found[3] == "none"
                    continue
                rms = parameter.gradients.norm[step] / parameter.count**0.5
                assert float(found[3]) == pytest.approx(rms, rel=5e-3)
        assert seen == {"x", *(f"net.{i}.{kind}" for i in (0, 2) for kind in ("weight", "bias"))}


def test_the_nearest_line_says_whose_it_is_and_how_far_it_moved(
    browser: Browser, tmp_path: Path
) -> None:
    with opened(browser, html_page(spread_report(), RenderOptions()), tmp_path) as page:
        lines = page.locator("#plot-ratio .lines [aria-label]")
        for i in range(lines.count()):
            x, y = along(page, f"#plot-ratio .lines [aria-label] >> nth={i}", 0.5)
            said = told(page, x, y + 3)
            found = re.fullmatch(r"(\S+), ratio at update (\d+): (\S+)", said)
            assert found is not None, said
            label = lines.nth(i).get_attribute("aria-label") or ""
            assert label.startswith(f"{found[1]}, ratio at update 0:")
            assert f" {found[2]}:{found[3]} " in label


@pytest.mark.parametrize(
    "mark", ["#plot-heat .rows [aria-label]", "#plot-ratio .lines [aria-label]"]
)
def test_a_click_selects_the_parameter(
    browser: Browser, tmp_path: Path, accumulated: str, mark: str
) -> None:
    with opened(browser, accumulated, tmp_path) as page:
        last = f"{mark} >> nth=-1"
        name = (page.locator(last).get_attribute("aria-label") or "").split(",")[0]
        place = within(page, last, 0.4) if "rows" in mark else along(page, last, 0.4)
        page.mouse.move(*place)
        shown = page.inner_text("#tip").split(",")[0]
        page.mouse.click(*place)
        # Lines that lie on each other are told by one of them, and that one is selected.
        assert selected(page) == shown
        if "rows" in mark:
            assert shown == name
        assert page.locator(".view:visible .node.lit").count() == 1
        assert page.inner_text("#panel h3").startswith(shown)


def test_a_dot_selects_its_op(browser: Browser, tmp_path: Path, accumulated: str) -> None:
    with opened(browser, accumulated, tmp_path) as page:
        dot = page.locator("#plot-depth .dots [data-n]").last
        node = dot.get_attribute("data-n")
        dot.click()
        assert page.locator(f"#plot-depth .on[data-n='{node}']").count() == 1
        assert page.locator(".view:visible .node.lit").count() == 1


def test_arrows_walk_over_numbers_and_marks(
    browser: Browser, tmp_path: Path, accumulated: str
) -> None:
    with opened(browser, accumulated, tmp_path) as page:

        def press(key: str) -> str:
            page.keyboard.press(key)
            return page.inner_text("#tip")

        page.focus("#plot-heat .chart")
        first = press("ArrowDown")
        assert " at step 0: " in first
        assert " at step 1: " in press("ArrowRight")
        below = press("ArrowDown")
        assert " at step 1: " in below
        assert below.split(",")[0] != first.split(",")[0]
        page.keyboard.press("Enter")
        assert selected(page) == below.split(",")[0]
        page.keyboard.press("Escape")
        assert page.locator("#tip").is_hidden()
        page.focus("#plot-depth .chart")
        assert press("ArrowRight") == "loss = mse(h, y): gradient 1"
        assert press("ArrowRight") != "loss = mse(h, y): gradient 1"


def test_text_and_lines_follow_the_style(
    browser: Browser, tmp_path: Path, accumulated: str
) -> None:
    def color(page: Page, mark: str, of: str) -> str:
        return str(page.locator(mark).first.evaluate("(e, of) => getComputedStyle(e)[of]", of))

    with opened(browser, accumulated, tmp_path) as page:
        light, dark = "rgb(83, 99, 111)", "rgb(159, 176, 186)"  # --soft
        for key in ("depth", "steps", "heat", "ratio"):
            assert color(page, f"#plot-{key} svg text[text-anchor=end]", "fill") == light
        assert color(page, "#plot-steps .loss path", "stroke") == "rgb(20, 105, 122)"
        page.click("#theme")
        for key in ("depth", "steps", "heat", "ratio"):
            assert color(page, f"#plot-{key} svg text[text-anchor=end]", "fill") == dark
        assert color(page, "#plot-steps .loss path", "stroke") == "rgb(92, 195, 211)"
        assert color(page, "#plot-depth svg text[font-weight=bold]", "fill") == (
            "rgb(230, 236, 239)"
        )
        assert page.locator(".plot svg > rect").count() == 0


@pytest.mark.parametrize("width", [1280, 390])
def test_nothing_is_cut_off(browser: Browser, tmp_path: Path, width: int) -> None:
    html = html_page(hostile_report(), RenderOptions())
    with opened(browser, html, tmp_path, width=width) as page:
        outside = page.evaluate(
            """() => [...document.querySelectorAll(".plot")].flatMap((plot) => {
              const frame = plot.getBoundingClientRect();
              const chart = plot.querySelector(".chart");
              const right = frame.right + chart.scrollWidth - chart.clientWidth;
              const cut = (box) =>
                box.left < frame.left || box.right > right || box.bottom > frame.bottom;
              const texts = [...plot.querySelectorAll("text")];
              return texts.filter((text) => cut(text.getBoundingClientRect()))
                .map((text) => text.textContent);
            })"""
        )
        assert outside == []


def test_hostile_names_are_told_as_text(browser: Browser, tmp_path: Path) -> None:
    html = html_page(hostile_report(), RenderOptions())
    with opened(browser, html, tmp_path) as page:
        said = set()
        for i in range(page.locator("#plot-heat .rows path").count()):
            text = told(page, *within(page, f"#plot-heat .rows path >> nth={i}", 0.001))
            assert re.fullmatch(r".+, gradient at step 0: \S+", text), text
            said.add(text.rpartition(", gradient at step 0: ")[0])
        assert {
            *("<script>alert(1)</script>", '<img src=x onerror="alert(1)">', '"}]}', "100%"),
            *("</script>", "evil at step 0:1 2:3", "a\\ufffeb", "名前🙂é"),
        } <= said
        assert page.locator("img, iframe").count() == 0
        assert page.locator("script").count() == 2


def test_prints_on_white(browser: Browser, tmp_path: Path, accumulated: str) -> None:
    with opened(browser, accumulated, tmp_path) as page:
        page.emulate_media(media="print")
        for key in ("depth", "steps", "heat", "ratio"):
            assert page.locator(f"#plot-{key} svg").is_visible()


def test_a_plot_that_cannot_be_drawn_is_told(
    browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vega, "_CHILD", "raise SystemExit('<b>broken</b>')")
    html = html_page(reports.accumulated_report(), RenderOptions())
    with opened(browser, html, tmp_path) as page:
        assert page.locator(".plot").count() == 0
        assert page.locator("#run li", has_text="<b>broken</b>").count() == 4
