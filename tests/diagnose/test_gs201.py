from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import replace

import pytest

from gradscope.diagnose import diagnose
from gradscope.model.graph import Graph
from gradscope.model.stats import TensorStats
from gradscope.model.trace import Trace, Update
from tests.builders import GraphBuilder, line, stats, trace_with
from tests.diagnose.traces import INF, NAN, gradients, history_trace, judge, parameter


def values(low: float, high: float, n: int = 4, *, nan: int = 0, inf: int = 0) -> TensorStats:
    """Forward values between two numbers."""
    bad = nan + inf
    norm = (NAN if nan else INF) if bad else math.hypot(low, high)
    zeros = 1 / n if low == 0 else 0.0
    return TensorStats(
        (n,), "float32", "cpu", n, norm, NAN if nan else low, NAN if nan else high, zeros,
        nan_count=nan, inf_count=inf,
    )  # fmt: skip


def broken(kind: str, amount: int = 1, n: int = 4) -> TensorStats:
    """A gradient with NaN or Inf in it."""
    low, norm = (NAN, NAN) if kind == "nan" else (-INF, INF)
    nan, inf = (amount, 0) if kind == "nan" else (0, amount)
    return TensorStats(
        (n,), "float32", "cpu", n, norm, low, norm, 0.0, nan_count=nan, inf_count=inf
    )


def chain(
    ops: Sequence[tuple[str, TensorStats | None, TensorStats | float]], leaf: TensorStats | float
) -> Graph:
    """Ops in forward order, each with its forward values and the gradient it receives."""
    b = GraphBuilder()
    h = b.leaf("x", (4,), gradient=leaf)
    handles = {}
    for i, (name, value, gradient) in enumerate(ops):
        source = line(10 + i, f"h = {name.lower()}(h)")
        h = b.op(name, h, shape=(4,), gradient=gradient, source=source, label=f"h{i}")
        handles[h] = value
    graph = b.graph()
    known = {(b.ids[handle], 0): value for handle, value in handles.items() if value is not None}
    return replace(graph, values={**graph.values, **known})


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


def test_a_loss_that_is_no_number_leads_to_the_first_op_of_the_forward() -> None:
    graph = chain(
        [
            ("Mul", values(0.0, 4.0), broken("nan", 4)),
            ("Log", values(-INF, 1.4, inf=1), broken("nan", 4)),
            ("Exp", values(0.0, 4.0), 1.0),
            ("Div", values(0.0, 0.0, nan=1), 1.0),
        ],
        broken("nan", 4),
    )
    graph = with_bad_path(graph, ["Log", "Exp", "Div"])
    (finding,) = judge(trace_with(graph), "GS201")
    assert (
        "`LogBackward0` of `h = log(h)` (train.py:11) turned finite values into" in finding.message
    )
    assert finding.evidence["where"] == "forward"


def with_bad_path(graph: Graph, ops: Sequence[str]) -> Graph:
    """The same graph with non-finite results along those ops."""
    found = dict(graph.values)
    for node in graph.structure.nodes:
        if node.op.removesuffix("Backward0") in ops:
            old = found.get((node.id, 0))
            if old is None or old.is_finite:
                found[node.id, 0] = values(0.0, 0.0, nan=2)
    return replace(graph, values=found)


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


def test_behind_a_mask_the_fix_is_the_double_where() -> None:
    b = GraphBuilder()
    x = b.op("Mul", b.leaf("x", (4,)), shape=(4,), gradient=broken("nan"), value=1.0)
    log = b.op("Log", x, shape=(4,), gradient=stats(0.5, (4,), zeros=0.5), value=1.0)
    masked = b.op("Where", log, shape=(4,), gradient=1.0, value=1.0)
    b.op("Sum", masked, shape=(), gradient=1.0, value=1.0)
    (finding,) = judge(trace_with(b.graph()), "GS201")
    assert finding.where.op == "LogBackward0"
    assert "0 × Inf is NaN" in finding.cause
    assert finding.fix.startswith("x = torch.where(mask, x, 1.0)")


def test_an_infinite_mask_that_does_no_harm_is_passed_by() -> None:
    b = GraphBuilder()
    scores = b.op("Bmm", b.leaf("q", (4,)), shape=(4,), gradient=1.0, value=1.0)
    masked = b.op("MaskedFill", scores, shape=(4,), gradient=1.0)
    soft = b.op("Softmax", masked, shape=(4,), gradient=1.0, value=0.5)
    b.op("Sum", soft, shape=(), gradient=1.0, value=1.0)
    graph = b.graph()
    mask = {(b.ids[masked], 0): values(-INF, 1.0, inf=2)}
    harmless = replace(graph, values={**graph.values, **mask})
    assert diagnose(trace_with(harmless)).findings == ()
    whole_row = {
        (b.ids[soft], 0): values(0.0, 0.0, nan=4),
        (graph.structure.roots[0], 0): values(0.0, 0.0, 1, nan=1),
    }
    harmful = replace(harmless, values={**harmless.values, **whole_row})
    (finding,) = judge(trace_with(harmful), "GS201")
    assert finding.where.op == "SoftmaxBackward0"
    assert "finfo" in finding.fix


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


@pytest.mark.parametrize(
    ("op", "value", "cause"),
    [
        ("Sqrt", values(-2.0, 1.0), "no real square root"),
        ("Log", values(-2.0, 1.0), "no real logarithm"),
        ("Log", values(0.0, 1.0), "log\\(0\\)"),
        ("Mean", TensorStats((0,), "float32", "cpu", 0, 0.0), "no element"),
        ("Exp", values(0.0, 100.0), "overflows"),
        ("Addmm", values(-1.0, 1.0), "data"),
        ("Addmm", values(-1.0, 1e30), "too large"),
    ],
)
def test_the_values_decide_about_the_cause(op: str, value: TensorStats, cause: str) -> None:
    graph = chain([("Mul", value, 1.0), (op, None, 1.0)], 1.0)
    (finding,) = judge(trace_with(with_bad_path(graph, [op])), "GS201")
    assert finding.where.op == f"{op}Backward0"
    assert re.search(cause, finding.cause)


def test_finite_gradients_are_silent() -> None:
    trace = Trace(
        steps=trace_with(chain([("Sqrt", values(0.0, 1.0), 1.0)], 1e30)).steps,
        parameters=(parameter(gradient=gradients([0.0, 1e30])),),
    )
    assert judge(trace, "GS201") == []
