from __future__ import annotations

from dataclasses import replace

import pytest

from gradscope.model.trace import Trace, Update
from tests.builders import GraphBuilder, line, stats, trace_with
from tests.diagnose.broken_traces import broken, chain, values, with_bad_path
from tests.diagnose.traces import INF, NAN, gradients, history_trace, judge, parameter


def test_the_op_the_line_and_the_values_that_did_it() -> None:
    graph = chain(
        [
            ("Mul", values(0.0, 4.0), broken("inf")),
            ("Sqrt", values(0.0, 2.0), 1.0),
            ("Sum", None, 1.0),
        ],
        broken("nan"),
    )
    (finding,) = judge(trace_with(graph), "GS201")
    assert finding.severity == "error"
    assert finding.message == (
        "`SqrtBackward0` of `h = sqrt(h)` (train.py:11) turned a finite gradient into Inf "
        "in 1 of 4 elements: its input `h0` goes from 0 to 4"
    )
    assert finding.where.op == "SqrtBackward0"
    assert finding.where.variable == "h1"
    assert finding.where.source is not None
    assert finding.where.source.line == 11
    assert [graph.structure.nodes[i].op for i in finding.where.nodes] == ["SqrtBackward0"]
    assert finding.evidence["where"] == "backward"
    assert finding.evidence["singular"] == 1
    assert "1e-12" in finding.fix


def test_the_earliest_of_several_broken_nodes_is_named() -> None:
    """Backward order: the node nearest to the loss comes first."""
    graph = chain(
        [("Sqrt", None, 1.0), ("Pow", None, broken("inf")), ("Log", None, 1.0), ("Sum", None, 1.0)],
        broken("nan"),
    )
    (finding,) = judge(trace_with(graph), "GS201")
    assert finding.where.op == "LogBackward0"


def test_a_fan_in_is_judged_by_its_contributions() -> None:
    b = GraphBuilder()
    x = b.op("Mul", b.leaf("x", (4,), gradient=broken("nan")), shape=(4,), gradient=broken("nan"))
    good = b.op("Exp", x, shape=(4,), gradient=1.0)
    bad = b.op("Rsqrt", x, shape=(4,), gradient=1.0)
    b.op("Add", good, bad, shape=(4,), gradient=1.0)
    graph = b.graph()
    carried = {
        i: broken("nan") if e.source == b.ids[bad] else stats(1.0, (4,))
        for i, e in enumerate(graph.structure.edges)
        if e.target == b.ids[x]
    }
    (finding,) = judge(trace_with(replace(graph, contributions=carried)), "GS201")
    assert finding.where.op == "RsqrtBackward0"


def test_weights_that_are_nan_already_are_blamed_on_the_update() -> None:
    graph = chain(
        [("Mm", values(0.0, 0.0, nan=4), broken("nan")), ("Sum", None, 1.0)], broken("nan")
    )
    graph = with_bad_path(graph, ["Sum"])
    leaf = next(n.id for n in graph.structure.nodes if n.kind == "parameter")
    graph = replace(graph, values={**graph.values, (leaf, 0): values(0.0, 0.0, nan=4)})
    trace = trace_with(chain([("Mm", None, 1.0), ("Sum", None, 1.0)], 1.0), graph)
    trace = replace(trace, updates=(Update(0, 0, "optimizer", "SGD", line(50, "opt.step()")),))
    (finding,) = judge(trace, "GS201")
    assert finding.message.startswith("`x` held NaN in 4 of 4 elements before the forward pass")
    assert "the update after step 0 wrote it" in finding.message
    assert finding.where.source is not None
    assert finding.where.source.line == 50


def test_only_the_first_step_is_told_and_the_others_counted() -> None:
    good = chain([("Sqrt", None, 1.0), ("Sum", None, 1.0)], 1.0)
    bad = chain([("Sqrt", None, 1.0), ("Sum", None, 1.0)], broken("nan"))
    (finding,) = judge(trace_with(good, good, bad, bad, bad), "GS201")
    assert (finding.steps, finding.seen, finding.of) == ((2, 4), 3, 5)
    assert finding.where.step == 2
    assert finding.message.endswith("first in step 2, 3 of 5 backwards")


def test_a_step_whose_graph_was_not_kept_names_the_parameters() -> None:
    (finding,) = judge(history_trace([1.0, 1.0, NAN, NAN], lambda i: 1.0), "GS201")
    assert finding.message.startswith("gradient of `net.0.weight` is NaN or Inf")
    assert finding.where.parameter == "net.0.weight"
    assert finding.steps == (2, 3)


def scaler_trace(bad_steps: set[int], updated: set[int]) -> Trace:
    trace = history_trace([INF if i in bad_steps else 1.0 for i in range(10)], lambda i: 1.0)
    return replace(
        trace,
        updates=tuple(Update(n, i, "optimizer", "SGD") for n, i in enumerate(sorted(updated))),
    )


def test_steps_that_a_scaler_skips_are_no_finding() -> None:
    assert judge(scaler_trace({0, 1}, set(range(2, 10))), "GS201") == []


@pytest.mark.parametrize(
    ("bad", "updated"),
    [
        ({0, 1}, set(range(10))),  # the updates used them
        ({8, 9}, set(range(8))),  # the run ended with them
        ({0, 1}, set()),  # nobody ever updates: a demonstration
    ],
)
def test_others_are(bad: set[int], updated: set[int]) -> None:
    assert len(judge(scaler_trace(bad, updated), "GS201")) == 1


@pytest.mark.parametrize(
    ("op", "low", "high", "singular"),
    [
        ("Sqrt", 0.0, 1.0, 1),
        ("Log", 0.0, 1.0, 1),
        ("Div", 0.0, 1.0, 1),
        ("Pow", 0.0, 1.0, 1),
        ("Pow", 1.0, 1e20, 0),
        ("Exp", 0.0, 800.0, 0),
        ("Mm", 1e18, 1e30, 0),
        ("Acos", -1.0, 1.0, 1),
    ],
)
def test_a_pole_is_told_from_an_overflow(op: str, low: float, high: float, singular: int) -> None:
    graph = chain(
        [("Mul", values(low, high), broken("inf")), (op, None, 1.0), ("Sum", None, 1.0)], 1.0
    )
    (finding,) = judge(trace_with(graph), "GS201")
    assert finding.where.op == f"{op}Backward0"
    assert finding.evidence["singular"] == singular
    assert finding.cause
    assert finding.fix


def test_finite_gradients_are_silent() -> None:
    trace = Trace(
        steps=trace_with(chain([("Sqrt", values(0.0, 1.0), 1.0)], 1e30)).steps,
        parameters=(parameter(gradient=gradients([0.0, 1e30])),),
    )
    assert judge(trace, "GS201") == []
