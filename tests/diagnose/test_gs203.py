from __future__ import annotations

from pathlib import Path

import pytest

from gradscope.model.graph import Graph
from tests.builders import GraphBuilder, stats, trace_with
from tests.diagnose.broken_traces import broken
from tests.diagnose.script_runs import run
from tests.diagnose.traces import judge


def test_behind_a_mask_the_fix_is_the_double_where() -> None:
    b = GraphBuilder()
    x = b.op("Mul", b.leaf("x", (4,)), shape=(4,), gradient=broken("nan"), value=1.0)
    log = b.op("Log", x, shape=(4,), gradient=stats(0.5, (4,), zeros=0.5), value=1.0)
    masked = b.op("Where", log, shape=(4,), gradient=1.0, value=1.0)
    b.op("Sum", masked, shape=(), gradient=1.0, value=1.0)
    (finding,) = judge(trace_with(b.graph()), "GS203")
    assert finding.where.op == "LogBackward0"
    assert "0 × Inf is NaN" in finding.cause
    assert finding.fix.startswith("x = torch.where(mask, x, 1.0)")


def hidden(mask: str, *, kind: str = "nan", zeros: float = 0.5) -> Graph:
    """``sum(mask(log(x)))`` whose log gets a gradient with zeros and sends on NaN or Inf."""
    b = GraphBuilder()
    x = b.op("Mul", b.leaf("x", (4,)), shape=(4,), gradient=broken(kind), value=1.0)
    log = b.op("Log", x, shape=(4,), gradient=stats(0.5, (4,), zeros=zeros), value=1.0)
    masked = b.op(mask, log, shape=(4,), gradient=1.0, value=1.0)
    b.op("Sum", masked, shape=(), gradient=1.0, value=1.0)
    return b.graph()


@pytest.mark.parametrize("mask", ["Where", "MaskedFill", "Index", "MaskedSelect", "Clamp"])
def test_whatever_hides_the_result(mask: str) -> None:
    graph = hidden(mask)
    (finding,) = judge(trace_with(graph), "GS203")
    assert finding.severity == "error"
    assert f"`{mask}Backward0`" in finding.message
    assert [graph.structure.nodes[i].op for i in finding.where.nodes] == [
        "LogBackward0",
        f"{mask}Backward0",
    ]
    assert judge(trace_with(graph), "GS201") == []


@pytest.mark.parametrize(
    "graph",
    [
        hidden("Where", zeros=0.0),  # nothing was masked off
        hidden("Index", kind="inf"),  # 0 × Inf is NaN: this is the derivative itself
        hidden("Mul"),
    ],
)
def test_a_derivative_that_is_infinite_by_itself_is_another_rule(graph: Graph) -> None:
    assert judge(trace_with(graph), "GS203") == []
    assert len(judge(trace_with(graph), "GS201")) == 1


BRANCH = """
import torch

x = torch.tensor([-1.5, 0.5, 2.0], requires_grad=True)
y = torch.where(x > 0, x.sqrt() * x.log(), torch.zeros_like(x))
y.sum().backward()
"""


def test_nan_that_was_there_before_is_followed_to_where_it_comes_from(tmp_path: Path) -> None:
    (finding,) = judge(run(BRANCH, str(tmp_path / "train.py")), "GS203")
    assert finding.where.op == "MulBackward0"
    assert (
        "turned a gradient of 0 into NaN in 1 of 3 elements: NaN comes into it from `x.sqrt()` "
        "(train.py:5) (its input `x` goes from -1.5 to 2); `WhereBackward0`"
    ) in finding.message
    assert "no real square root" in finding.cause
