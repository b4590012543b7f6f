from __future__ import annotations

import base64
import hashlib
import json
import re
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from html.parser import HTMLParser
from itertools import pairwise

import pytest

from gradscope.model.finding import Report
from gradscope.render.html import Extras, asset, render_html
from gradscope.render.html_edge import html_page
from gradscope.render.listing import Listing
from gradscope.render.options import RenderOptions
from tests.render import reports

CASES: dict[str, Callable[[], Report]] = {
    "scalar": reports.scalar_report,
    "regression": partial(reports.regression_report, 40),
    "accumulated": reports.accumulated_report,
    "crash": reports.crash_report,
    "empty": reports.empty_report,
    "forward_only": partial(reports.empty_report, forward=True),
    "many_parameters": partial(reports.many_parameters_report, 40),
    "hostile": reports.hostile_report,
    "bare": reports.bare_report,
}
VOID = {"meta", "link", "input", "br"}
OPTIONS = RenderOptions()


class Page(HTMLParser):
    """What a browser sees: elements, attributes, and text per kind of element."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.text: dict[str, list[str]] = {}
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.setdefault(self.open[-1] if self.open else "", []).append(data)

    def shown(self) -> str:
        hidden = ("script", "style")
        return "".join("".join(t) for tag, t in self.text.items() if tag not in hidden)

    def values(self, name: str) -> list[str]:
        return [value for _, key, value in self.attributes if key == name]

    def island(self) -> dict[str, object]:
        found: dict[str, object] = json.loads(self.text["script"][0])
        return found


@pytest.fixture(scope="module", params=CASES)
def page(request: pytest.FixtureRequest) -> Page:
    return Page(html_page(CASES[request.param](), OPTIONS))


def test_every_element_is_closed_and_ids_are_unique(page: Page) -> None:
    assert page.open == []
    assert len(page.values("id")) == len(set(page.values("id")))


def test_nothing_is_loaded_and_nothing_runs_but_the_own_script(page: Page) -> None:
    assert page.tags.count("script") == 2
    assert not {"iframe", "object", "embed", "base", "form", "foreignobject"} & set(page.tags)
    for tag, name, value in page.attributes:
        assert not name.startswith("on"), (tag, name)
        assert name not in ("style", "src", "srcdoc", "action", "xlink:href")
        if name == "href":
            assert value.startswith(("#", "data:")), (tag, value)


def test_references_lead_to_elements(page: Page) -> None:
    ids = set(page.values("id"))
    for name in ("aria-labelledby", "aria-describedby", "aria-controls", "for"):
        assert set(page.values(name)) <= ids
    anchors = {v[1:] for t, k, v in page.attributes if t == "a" and k == "href"}
    assert anchors <= ids


def test_no_control_character_and_no_direction_override_is_left(page: Page) -> None:
    everything = page.shown() + "".join(value for _, _, value in page.attributes)
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", everything)


def test_headings_form_an_outline(page: Page) -> None:
    levels = [int(tag[1]) for tag in page.tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(b - a <= 1 for a, b in pairwise(levels))


def test_policy_names_exactly_the_inline_style_and_script() -> None:
    html = html_page(reports.scalar_report(), OPTIONS)
    page = Page(html)
    policy = next(v for t, k, v in page.attributes if k == "content" and "default-src" in v)
    style = re.search("<style>(.*?)</style>", html, re.DOTALL)
    scripts = re.findall("<script>(.*?)</script>", html, re.DOTALL)
    assert style is not None
    assert len(scripts) == 1
    for kind, text in (("style-src", style[1]), ("script-src", scripts[0])):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{kind} 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy
    assert "http" not in policy


def test_hostile_names_add_no_element_and_show_as_text() -> None:
    hostile = Page(html_page(reports.hostile_report(), OPTIONS))
    usual = {tag for name in ("accumulated", "crash") for tag in _tags(CASES[name]())}
    assert set(hostile.tags) <= usual
    shown = hostile.shown()
    for name in ("<script>alert(1)</script>", '<img src=x onerror="alert(1)">', r"\x1b[31mred"):
        assert name in shown
    assert r"right\u202eto" in shown
    assert "lone\\ud800surrogate" in shown
    assert "x" * 700 not in shown


def _tags(report: Report) -> list[str]:
    return Page(html_page(report, OPTIONS)).tags


@pytest.mark.parametrize("name", ['"}]}', "</script><script>x", "<!--", "100%s {{ 7*7 }}", "`a`b`"])
def test_names_survive_the_data_island(name: str) -> None:
    report = reports.scalar_report()
    parameters = tuple(replace(p, name=f"{name}{p.index}") for p in report.trace.parameters)
    report = replace(report, trace=replace(report.trace, parameters=parameters))
    names = Page(html_page(report, OPTIONS)).island()["names"]
    assert isinstance(names, list)
    assert {f"{name}{i}" for i in range(3)} <= {entry[1] for entry in names}


def test_the_verdict_comes_first() -> None:
    page = Page(html_page(reports.accumulated_report(), OPTIONS))
    shown = "".join(page.text["h1"]) + "".join(page.text["code"])
    assert "Accumulated gradient at" in shown
    assert "train.py:23" in shown
    order = [v for t, k, v in page.attributes if t == "section" and k == "id"]
    assert order == ["answer", "findings", "graph", "plots", "parameters", "run"]


def test_the_blamed_line_is_marked_in_its_context() -> None:
    report = reports.accumulated_report()
    source = report.findings[0].where.source
    assert source is not None
    around = ("    for x in data:", "        loss.backward()", "        step()")
    extras = Extras({(source.file, source.line): Listing(source.line - 1, around)})
    page = Page(render_html(report, OPTIONS, (), extras))
    assert page.text["mark"][0] == "    loss.backward()"
    assert "for x in data:\n" in page.text["span"]


def test_consequences_stand_under_their_cause() -> None:
    html = html_page(reports.accumulated_report(), OPTIONS)
    places = [html.index(f">{code}</span>") for code in ("GS401", "GS102", "GS101")]
    assert places == sorted(places)
    assert html.count("a consequence of the above") == 1


def test_a_crash_is_shown_with_its_traceback() -> None:
    page = Page(html_page(reports.crash_report(), OPTIONS))
    assert "the script raised" in page.shown()
    assert "Traceback (most recent call last):" in page.shown()


def test_what_was_not_seen_is_said() -> None:
    page = Page(
        render_html(reports.regression_report(40), OPTIONS, (), Extras({}, ["No graph: no dot."]))
    )
    said = "".join(page.text["li"])
    assert "No graph: no dot." in said
    assert "kept for 3 of 40 backwards" in said


def _luminance(color: str) -> float:
    digits = color[1:] if len(color) == 7 else "".join(2 * c for c in color[1:])
    channels = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("theme", ["light", "dark", "system dark"])
def test_text_contrasts_with_what_it_stands_on(theme: str) -> None:
    """WCAG 2.2 asks for 4.5 : 1 (AA, success criterion 1.4.3)."""
    block = asset("page.css").split(":root")[("light", "dark", "system dark").index(theme) + 1]
    colors = dict(re.findall(r"--(\w+): (#\w+)", block))
    text = ("ink", "soft", "accent", "error", "warning", "info", "clean", "line0", "line1")
    pairs = [(name, ground) for name in text for ground in ("paper", "card", "tint")]
    for name, ground in [*pairs, ("ink", "mark"), ("soft", "mark")]:
        light, dark = sorted(map(_luminance, (colors[name], colors[ground])), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 4.5, (name, ground)


def test_the_same_report_gives_the_same_page() -> None:
    first, second = (html_page(reports.accumulated_report(), OPTIONS) for _ in range(2))
    assert first == second


def test_a_small_report_is_small_and_quick() -> None:
    start = time.perf_counter()
    html = html_page(reports.accumulated_report(), OPTIONS)
    assert time.perf_counter() - start < 2
    assert len(html.encode()) < 2_000_000


def test_a_long_run_stays_below_five_megabytes() -> None:
    report = reports.large_report(2_000, 200)
    start = time.perf_counter()
    html = html_page(report, OPTIONS)
    assert time.perf_counter() - start < 6
    assert len(html.encode()) < 5_000_000
