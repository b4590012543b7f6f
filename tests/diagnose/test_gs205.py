from __future__ import annotations

from dataclasses import replace

import pytest

from gradscope.model.graph import Graph, Traits
from gradscope.model.stats import TensorStats
from tests.builders import GraphBuilder, trace_with
from tests.diagnose.broken_traces import chain, values, with_bad_path
from tests.diagnose.traces import judge

NOTHING = TensorStats((0,), "float32", "cpu", 0, 0.0)
FINITE = values(-1.0, 1.0)


def ratio(above: float, *, counted: bool = True) -> Graph:
    """A sum divided by something without a graph, or by a learned number; NaN comes out."""
    b = GraphBuilder()
    total = b.op("Sum", b.leaf("x", (4,)), shape=(), gradient=1.0, value=above)
    inputs = (total,) if counted else (total, b.leaf("n", ()))
    b.op("Div", *inputs, shape=(), gradient=1.0)
    b.drafts[-1].value = values(0.0, 0.0, 1, nan=1)
    return b.graph()


@pytest.mark.parametrize(
    "graph",
    [
        with_bad_path(chain([("Index", NOTHING, 1.0), ("Mean", None, 1.0)], 1.0), ["Mean"]),
        with_bad_path(chain([("Pow", NOTHING, 1.0), ("MseLoss", None, 1.0)], 1.0), ["MseLoss"]),
        with_bad_path(
            chain([("LogSoftmax", FINITE, 1.0), ("NllLoss", None, 1.0)], 1.0), ["NllLoss"]
        ),
        with_bad_path(
            chain([("Addmm", FINITE, 1.0), ("LogSoftmax", None, 1.0), ("NllLoss", None, 1.0)], 1.0),
            ["NllLoss"],
        ),
        ratio(0.0),
    ],
)
def test_means_of_nothing(graph: Graph) -> None:
    (finding,) = judge(trace_with(graph), "GS205")
    assert finding.severity == "error"
    assert "is the mean of nothing: NaN" in finding.message
    assert finding.fix
    assert judge(trace_with(graph), "GS202") == []


def test_the_trait_tells_what_the_values_do_not() -> None:
    graph = with_bad_path(chain([("Index", None, 1.0), ("Mean", None, 1.0)], 1.0), ["Mean"])
    assert judge(trace_with(graph), "GS205") == []
    graph = replace(graph, traits={graph.structure.roots[0]: Traits(empty=True)})
    assert len(judge(trace_with(graph), "GS205")) == 1


@pytest.mark.parametrize("graph", [ratio(2.0), ratio(0.0, counted=False)])
def test_another_division_is_no_mean(graph: Graph) -> None:
    assert judge(trace_with(graph), "GS205") == []
    assert len(judge(trace_with(graph), "GS202")) == 1


def test_a_log_probability_that_is_infinite_is_not_nothing() -> None:
    infinite = values(-float("inf"), 0.0, inf=1)
    graph = chain([("Log", infinite, 1.0), ("NllLoss", None, 1.0)], 1.0)
    assert judge(trace_with(with_bad_path(graph, ["NllLoss"])), "GS205") == []
