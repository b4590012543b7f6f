from __future__ import annotations

import re
import time
from collections.abc import Callable
from functools import partial

import pytest
from markdown_it import MarkdownIt

from gradscope.model.finding import Report
from gradscope.render.markdown import render_markdown
from gradscope.render.options import RenderOptions
from gradscope.render.rows import parameter_rows
from tests.render import reports
from tests.render.golden import check_golden

CASES: dict[str, Callable[[], Report]] = {
    "scalar": reports.scalar_report,
    "accumulated": reports.accumulated_report,
    "crash": reports.crash_report,
    "forward_only": partial(reports.empty_report, forward=True),
    "many_parameters": reports.many_parameters_report,
    "hostile": reports.hostile_report,
    "bare": reports.bare_report,
}
OPTIONS = RenderOptions(image="train graph (1).svg", max_rows=12)

_TABLE_TAGS = ("table", "thead", "tbody", "tr", "th", "td")
OWN_TAGS = {"h1", "h2", "h3", "p", "ul", "li", "strong", "code", "pre", "img", *_TABLE_TAGS}


def to_html(markdown: str) -> str:
    """As GitHub reads it, but with raw HTML let through, so that it would show here."""
    parser = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    return str(parser.render(markdown))


@pytest.mark.parametrize("name", CASES)
def test_golden(name: str) -> None:
    check_golden(f"{name}.md", render_markdown(CASES[name](), OPTIONS))


@pytest.mark.parametrize("name", CASES)
def test_only_our_own_markup_is_left_in_html(name: str) -> None:
    html = to_html(render_markdown(CASES[name](), OPTIONS))
    tags = set(re.findall(r"</?([a-zA-Z][\w-]*)", html))
    assert tags <= OWN_TAGS
    assert html.count("<img") == 1
    assert "href" not in html
    assert not re.search(r"<[^>]*\sonerror", html)


def test_hostile_names_neither_split_nor_lose_a_row() -> None:
    report = reports.hostile_report()
    html = to_html(render_markdown(report, RenderOptions()))
    table = html.split("<table>")[-1]
    rows = re.findall(r"<tr>(.*?)</tr>", table, re.DOTALL)[1:]
    cells = [re.findall(r"<td[^>]*>(.*?)</td>", row) for row in rows]
    assert len(rows) == len(reports.HOSTILE_NAMES)
    assert {len(row) for row in cells} == {5}
    assert all(row[1] == "<code>[2, 3]</code>" and row[4] == "GS105" for row in cells)
    names = [row[0] for row in cells]
    assert "<code>d['a|b`c``d']</code>" in names
    assert "<code>&lt;script&gt;alert(1)&lt;/script&gt;</code>" in names
    assert r"<code>line\nbreak\r\n| a | b |\n# heading</code>" in names
    assert r"<code>\|` **bold** _it_ [a](http://b) &amp;lt; $x$</code>" in names


def test_hostile_prose_shows_as_it_is() -> None:
    html = to_html(render_markdown(reports.hostile_report(), RenderOptions()))
    assert "<li>&lt;script&gt;alert(1)&lt;/script&gt;</li>" in html
    assert r"<li>\|` **bold** _it_ [a](http://b) &amp;lt; $x$</li>" in html
    assert html.count("<h1>") == 1


def test_nothing_hidden_is_in_it() -> None:
    markdown = render_markdown(reports.hostile_report(), OPTIONS)
    assert all(char.isprintable() for char in markdown.replace("\n", ""))


def test_image_is_linked_with_the_step_it_shows() -> None:
    markdown = render_markdown(reports.accumulated_report(), OPTIONS)
    assert "![Gradient graph of train.py, step 119](train%20graph%20%281%29.svg)" in markdown


def test_image_may_be_embedded() -> None:
    image = "data:image/svg+xml;base64,PHN2Zy8+PC9zdmc+=="
    markdown = render_markdown(reports.scalar_report(), RenderOptions(image=image))
    assert f"]({image})" in markdown


def test_a_graph_without_backward_is_called_so() -> None:
    markdown = render_markdown(reports.empty_report(forward=True), OPTIONS)
    assert "![Forward graph of tensors.py](" in markdown
    assert "1 forward graph (5 nodes) had no backward" in markdown


def test_no_image_no_link() -> None:
    assert "](" not in render_markdown(reports.scalar_report(), RenderOptions())


def test_every_parameter_is_shown_or_counted() -> None:
    report = reports.many_parameters_report()
    markdown = render_markdown(report, OPTIONS)
    shown = len(re.findall(r"^\| `", markdown, re.MULTILINE))
    hidden = sum(int(n) for n in re.findall(r"^\| … (\d+) more", markdown, re.MULTILINE))
    assert shown == 12
    assert shown + hidden == len(parameter_rows(report))


def test_a_long_run_is_quick_and_small() -> None:
    report = reports.large_report()
    start = time.perf_counter()
    markdown = render_markdown(report, OPTIONS)
    assert time.perf_counter() - start < 2
    assert len(markdown) < 10_000


def test_plots_come_after_the_findings_and_their_words_are_text() -> None:
    about = "loss <b>1</b> → 2 ](http://evil) `x` | ![y](z)"
    plots = ((about, "out files/depth (1).svg"), ("second", "out files/heat.svg"))
    markdown = render_markdown(reports.accumulated_report(), RenderOptions(plots=plots))
    assert markdown.index("## Findings") < markdown.index("## Plots") < markdown.index("## Run")
    html = to_html(markdown)
    assert re.findall(r'<img src="([^"]*)"', html) == [
        "out%20files/depth%20%281%29.svg",
        "out%20files/heat.svg",
    ]
    assert "href" not in html
    assert "<b>" not in html


def test_a_traceback_is_told_from_the_folder() -> None:
    report = reports.crash_with_traceback('File "/home/user/lab/train.py", line 31\nError: no')
    assert '"/home/user/lab/train.py"' in render_markdown(report, RenderOptions())
    assert '"lab/train.py"' in render_markdown(report, RenderOptions(folder="/home/user"))
