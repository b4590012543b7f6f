"""The chain rule in the reports: for small graphs of single numbers, and for no others."""

from __future__ import annotations

from gradscope.model.finding import Report
from gradscope.model.graph import Graph
from gradscope.model.trace import Step, Trace
from gradscope.render.chains import MOST_LEAVES, ChainView, chain_text, chain_views
from gradscope.render.html import render_html
from gradscope.render.markdown import render_markdown
from gradscope.render.options import RenderOptions
from gradscope.render.summary import chosen_graph
from tests.graph_builder import GraphBuilder
from tests.render import reports


def _views(report: Report) -> list[ChainView]:
    return chain_views(report, chosen_graph(report))


def _report(graph: Graph) -> Report:
    return Report(Trace(steps=(Step(0, graph=graph),), parameters=reports.leaves_of(graph)))


def _sum_of(leaves: int, name: str = "x") -> Report:
    b = GraphBuilder()
    top = b.leaf(f"{name}0", gradient=1.0, value=1.0)
    for n in range(1, leaves):
        leaf = b.leaf(f"{name}{n}", gradient=1.0, value=1.0)
        top = b.op("Add", top, leaf, gradient=1.0, value=n + 1.0, shape=())
    return _report(b.graph(top))


def test_every_leaf_has_its_derivative() -> None:
    views = _views(reports.scalar_report())
    assert [view.title for view in views] == ["∂y/∂W = 1", "∂y/∂x = 2", "∂y/∂b = 1"]
    assert views[1].at == "at b = 3, x = 1, W = 2"
    assert views[1].rows == [("path 1", "y ← W * x ← x", "1 · W = 1 · 2 = 2")]
    assert views[1].notes == ["autograd recorded 2 for x: the same"]


def test_a_wrong_number_is_not_explained() -> None:
    b = GraphBuilder()
    x = b.leaf("x", gradient=9.0, value=1.0)
    assert _views(_report(b.graph(b.op("Add", x, x, gradient=1.0, value=2.0, shape=())))) == []


def test_large_graphs_and_tensors_have_none() -> None:
    assert len(_views(_sum_of(MOST_LEAVES))) == MOST_LEAVES
    assert _views(_sum_of(MOST_LEAVES + 1)) == []
    assert _views(reports.accumulated_report()) == []
    assert _views(reports.empty_report()) == []
    assert "The chain rule" not in render_html(reports.accumulated_report(), RenderOptions())


def test_the_page_and_markdown_show_it() -> None:
    report = reports.scalar_report()
    page = render_html(report, RenderOptions())
    assert "The chain rule, with the numbers" in page
    assert "∂y/∂x = 2" in page
    assert "1 · W = 1 · 2 = 2" in render_markdown(report, RenderOptions())


def test_names_show_as_text() -> None:
    report = _sum_of(2, "<b>`\n\u202e")
    assert "<b>" not in render_html(report, RenderOptions())
    assert "\u202e" not in render_markdown(report, RenderOptions())
    assert "\n" not in _views(report)[0].title


def test_text_has_every_path() -> None:
    b = GraphBuilder()
    x = b.leaf("x", gradient=2.0, value=3.0)
    views = _views(_report(b.graph(b.op("Add", x, x, gradient=1.0, value=6.0, shape=()))))
    lines = chain_text(views[0]).splitlines()
    assert lines[0].endswith("∂x = 2   at x = 3")
    assert [line.split()[0] for line in lines[1:]] == ["path", "1", "path", "1", "sum", "autograd"]
