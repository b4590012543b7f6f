"""Vega's SVG inside a page: what stays, what becomes of links and colours, what is left out."""

from __future__ import annotations

import pytest

from gradscope.render.html import asset
from gradscope.render.inline_plot import inline_plot
from gradscope.render.plot import THEME

HEAD = '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '


def inlined(inside: str) -> str:
    drawn = inline_plot(f'{HEAD} width="9" viewBox="0 0 9 9">{inside}</svg>', "heat", 'a "plot"')
    head = '<svg viewBox="0 0 9 9" role="img" aria-label="a &quot;plot&quot;">'
    assert drawn.startswith(head)
    return drawn.removeprefix(head).removesuffix("</svg>")


def test_marks_keep_their_words_and_links_become_nodes() -> None:
    drawn = inlined(
        '<g class="mark-symbol role-mark dots_marks" role="graphics-object">'
        '<a xlink:href="https://vega.github.io/vega-datasets/#n12">'
        '<path aria-label="&lt;b&gt; &amp; &quot;c&quot;" role="graphics-symbol" '
        'aria-roledescription="point" transform="translate(1.23456,2)" d="M3.999,0h1" '
        'fill="#440154" opacity="1"/></a>'
        '<path aria-label="other" d="M0,0"/></g>'
    )
    assert drawn == (
        '<g class="dots"><path aria-label="&lt;b&gt; &amp; &quot;c&quot;" '
        'transform="translate(1.2,2)" d="M3.9,0h1" fill="#440154" data-n="12"></path>'
        '<path aria-label="other" d="M0,0"></path></g>'
    )


@pytest.mark.parametrize(
    "link", ["javascript:alert(1)", "https://evil.example/", "#finding-1", "#n1x", "#n", "n1"]
)
def test_only_a_node_of_the_graph_is_a_link(link: str) -> None:
    drawn = inlined(f'<a xlink:href="{link}"><path d="M0,0"/></a><path d="M1,1"/>')
    assert drawn == '<path d="M0,0"></path><path d="M1,1"></path>'


def test_colours_follow_the_page() -> None:
    drawn = inlined(
        '<text fill="#53636f" font-family="Evil" font-size="11px">1</text>'
        '<path stroke="#16202a" fill="rgb(1, 2, 3)"/><path fill="url(http://e/#x)"/>'
        '<path fill="none" stroke="expression(1)"/>'
    )
    assert drawn == (
        '<text fill="var(--soft)" font-size="11">1</text>'
        '<path stroke="var(--ink)" fill="rgb(1, 2, 3)"></path><path></path>'
        '<path fill="none"></path>'
    )


def test_theme_colours_are_those_of_the_page_on_light_paper() -> None:
    light = asset("page.css").split("}")[0]
    for color, name in THEME.items():
        assert f"--{name}: {color};" in light, name


def test_ids_cannot_meet_those_of_another_plot() -> None:
    drawn = inlined(
        '<defs><linearGradient id="gradient_0" x1="0"><stop offset="0.123456" '
        'stop-color="rgb(68, 1, 84)"/></linearGradient></defs>'
        '<path fill="url(#gradient_0)"/>'
    )
    assert drawn == (
        '<defs><linearGradient x1="0" id="heat-gradient_0"><stop offset="0.1234" '
        'stop-color="rgb(68, 1, 84)"></stop></linearGradient></defs>'
        '<path fill="url(#heat-gradient_0)"></path>'
    )


def test_nothing_that_runs_loads_or_restyles_is_left() -> None:
    drawn = inlined(
        "<script>alert(1)</script><style>*{}</style><foreignObject><text>no</text></foreignObject>"
        '<g onclick="a()" style="x" class="a b" clip-path="url(#c)">'
        '<text x="1">&lt;b&gt;</text></g>'
        '<path class="background" d="M0,0"/><use xlink:href="#x"/>'
        '<image xlink:href="https://e/x.png" style="image-rendering: pixelated"/>'
        '<image xlink:href="data:image/svg+xml;base64,AAAA" href="http://e"/>'
        '<image xlink:href="data:image/png;base64,iVBORw0KGgo=" width="3"/>'
    )
    assert drawn == (
        '<text x="1">&lt;b&gt;</text><image></image><image></image>'
        '<image width="3" href="data:image/png;base64,iVBORw0KGgo="></image>'
    )


@pytest.mark.parametrize("svg", ["<svg><g></svg>", "", "not xml"])
def test_what_is_no_svg_is_refused(svg: str) -> None:
    with pytest.raises(ValueError, match="no SVG"):
        inline_plot(svg, "depth", "about")
