from __future__ import annotations

from dataclasses import replace

import pytest

from gradscope.model.events import Cut
from gradscope.model.graph import Graph
from gradscope.model.trace import Trace
from tests.builders import GraphBuilder, line
from tests.diagnose.graph_traces import trained
from tests.diagnose.traces import judge

JOIN = line(20, "h = h.detach() + block(h)", "h.detach()")


def residual(op: str = "Add", *, layer: bool = True, shape: tuple[int, ...] = (4, 8)) -> Graph:
    b = GraphBuilder()
    h = b.op("Mm", b.leaf("stem", (8, 8)), shape=(4, 8), gradient=0.1, label="h")
    weights = (b.leaf("block", (8, 8)),) if layer else ()
    inner = b.op("Mm" if layer else "Mul", h, *weights, shape=(4, 8), gradient=0.1)
    out = b.op(op, inner, shape=shape, gradient=0.1, source=JOIN)
    b.op("MseLoss", out, shape=(), gradient=1.0)
    return b.graph()


def cut_at(graph: Graph, *, op: str = "detach", variable: str = "h", n: int = 4) -> Trace:
    trace = trained([graph] * n)
    stem = next(p.index for p in trace.parameters if p.name == "stem")
    return replace(trace, cuts=(Cut(op, JOIN, 0, n, variable, parameters=(stem,)),))


def test_a_residual_without_its_direct_way_is_told() -> None:
    (finding,) = judge(cut_at(residual()), "GS305")
    assert finding.severity == "info"
    assert finding.message == (
        "`h = h.detach() + block(h)` (train.py:20) joins `h` without its graph with what was "
        "computed from `h`: the gradient misses the direct way (4 of 4 backwards)"
    )
    assert len(judge(cut_at(residual("Cat")), "GS305")) == 1


def test_an_argument_is_known_by_the_line_that_made_it() -> None:
    trace = cut_at(residual(), variable="x")
    (cut,) = trace.cuts
    made = next(n for _, g in trace.graphs for n in g.structure.nodes if n.label == "h")
    other = replace(cut, made_by=made.op, made_at=line(4, "h = stem(x)"))
    assert judge(replace(trace, cuts=(other,)), "GS305") == []
    structure = trace.graphs[0][1].structure
    source = line(3, "h = stem(x)", "stem(x)")
    nodes = tuple(replace(n, source=source) if n.label == "h" else n for n in structure.nodes)
    graph = replace(trace.graphs[0][1], structure=replace(structure, nodes=nodes))
    steps = tuple(replace(step, graph=graph) for step in trace.steps)
    known = replace(cut, made_by=made.op, made_at=source)
    assert len(judge(replace(trace, steps=steps, cuts=(known,)), "GS305")) == 1


@pytest.mark.parametrize(
    ("graph", "op", "variable"),
    [
        (residual("Sub"), "detach", "h"),  # a distance to a target
        (residual("Mul"), "detach", "h"),  # an advantage
        (residual(shape=()), "detach", "h"),  # terms of a loss
        (residual(layer=False), "detach", "h"),  # a scaled gradient
        (residual(), "item", "h"),
        (residual(), "detach", "q - h"),  # straight-through
        (residual(), "detach", "target"),
    ],
)
def test_stop_gradients_that_are_meant(graph: Graph, op: str, variable: str) -> None:
    assert judge(cut_at(graph, op=op, variable=variable), "GS305") == []


def test_the_tensor_itself_in_the_same_sum_is_straight_through() -> None:
    b = GraphBuilder()
    h = b.op("Mm", b.leaf("stem", (8, 8)), shape=(4, 8), gradient=0.1, label="h")
    out = b.op("Add", h, shape=(4, 8), gradient=0.1, source=JOIN)
    out = b.op("Mm", out, b.leaf("block", (8, 8)), shape=(4, 8), gradient=0.1)
    b.op("MseLoss", out, shape=(), gradient=1.0)
    assert judge(cut_at(b.graph()), "GS305") == []


@pytest.mark.parametrize(("n", "expected"), [(2, 0), (3, 1)])
def test_it_takes_three_backwards(n: int, expected: int) -> None:
    assert len(judge(cut_at(residual(), n=n), "GS305")) == expected
