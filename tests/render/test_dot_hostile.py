"""Names and lines of the user's program may hold anything; pictures show it and stay pictures."""

from __future__ import annotations

import pytest

from gradscope.model.finding import Where
from gradscope.model.graph import Graph
from gradscope.render.safe import visible
from tests.builders import GraphBuilder, line
from tests.render.drawing import SVG, drawn, finding, svg_of, texts, tooltips

HOSTILE = [
    'quo"te',
    "<script>alert(1)</script>",
    "</text></svg><script>alert(1)</script>",
    "javascript:alert(1)",
    r"back\slash \N \G \L \E \T \H \l \r \n",
    "trailing\\",
    "\\",
    r"\\\\N",
    "&lt;b&gt; &amp; &#60; &notanentity;",
    "100% {braces} [brackets] |pipes|",
    "]; evil [label=x]; //",
    "<B>bold</B><BR/>",
    "line\nbreak\ttab\rreturn",
    "\x00\x01\x1b[31mred\x7f",
    "\ud800 lone surrogate",
    "\ufffe\uffff",
    "emoji 😀👩‍👩‍👧 and 中文",
    "right\u202eto left",
    "--> <!-- comment ]]>",
    "n" * 10_000,
]


def graph_named(name: str) -> Graph:
    b = GraphBuilder(line(3, name, name))
    x = b.leaf(name, (3,), kind="input", gradient=1.0)
    with b.module(name.replace(".", "·"), name):
        y = b.op("Mul", x, shape=(3,), gradient=1.0, label=name, call=name)
        z = b.op("Exp", y, shape=(3,), gradient=1.0)
    b.op("Sum", z, shape=(), gradient=1.0, label=name)
    return b.graph()


def shown(name: str, limit: int) -> str:
    """How a name reads in a picture."""
    return visible(name, limit).replace("\ufffe", "\\ufffe").replace("\uffff", "\\uffff")


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_are_shown_as_text(name: str) -> None:
    about = finding(name, name, Where(nodes=(1,)), message=name)
    svg = svg_of(graph_named(name), [about])

    assert {element.tag for element in svg.iter()} <= {
        f"{SVG}{tag}" for tag in ("svg", "g", "title", "polygon", "path", "text", "polyline")
    }
    assert not any("href" in attribute for e in svg.iter() for attribute in e.attrib)
    assert not any(attribute.startswith("on") for e in svg.iter() for attribute in e.attrib)
    everything = " ".join(text for t in texts(svg) for text in t.split())
    told = " ".join(shown(f"{name} [3]", 52).split())
    assert told in everything
    tips = " ".join(" ".join(tooltips(svg).values()).split())
    assert " ".join(shown(f"in {name.replace('.', '·')} ({name}, call 1)", 120).split()) in tips


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_titles(name: str) -> None:
    dot = drawn(graph_named("x"), title=name, subtitle=name)

    assert len(dot) < 20_000
    assert dot.isprintable() or "\n" in dot


def test_a_hostile_folded_graph() -> None:
    name = '<b>"&\\N'
    b = GraphBuilder(line(3, name, name))
    x = b.leaf(name, (3,), gradient=1.0)
    for i in range(300):
        with b.module(f"{name}{i}", name):
            x = b.op("Mul", x, b.leaf(f"{name}{i}.{name}"), shape=(3,), gradient=1.0)
    b.op("Sum", x, shape=(), gradient=1.0)

    svg = svg_of(b.graph())

    assert any(f"{name} ×300" in text.replace("  ", " ") for text in ("".join(texts(svg)),))
