from __future__ import annotations

from dataclasses import replace

import pytest

from gradscope.model.graph import Graph
from tests.builders import GraphBuilder, line
from tests.diagnose.graph_traces import trained
from tests.diagnose.traces import judge, scaled


def staircase(op: str, below: float = 0.0) -> Graph:
    """``w0 → op → w1 → loss``: the op passes on ``below`` of what it gets."""
    b = GraphBuilder()
    h = b.op("Mm", b.leaf("w0", (8, 8), gradient=below), shape=(4, 8), gradient=below)
    h = b.op(op, h, shape=(4, 8), gradient=0.1, source=line(12, "h = f(h)"))
    h = b.op("Mm", h, b.leaf("w1", (8, 8), gradient=0.1), shape=(4, 8), gradient=0.1)
    b.op("MseLoss", h, shape=(), gradient=1.0)
    return b.graph()


@pytest.mark.parametrize("op", ["Round", "Sign", "Floor", "Ceil", "Trunc"])
@pytest.mark.parametrize("factor", [1e-8, 1.0, 1e8])
def test_the_staircase_is_named_at_its_line(op: str, factor: float) -> None:
    trace = trained([scaled(staircase(op), factor)] * 5)
    (finding,) = judge(trace, "GS303")
    assert finding.severity == "warning"
    assert finding.message == (
        f"gradient of `w0` is exactly 0 in every element: `{op}Backward0` of `h = f(h)` "
        "(train.py:12) has the derivative 0 everywhere (from step 0 on, 5 of 5 backwards)"
    )
    assert (finding.where.parameter, finding.where.op) == ("w0", f"{op}Backward0")
    assert "detach" in finding.fix
    assert judge(trace, "GS105") == []


def test_an_update_by_hand_that_adds_nothing_is_not_needed() -> None:
    trace = trained([staircase("Round")] * 5, steps=False)
    inputs = tuple(replace(p, kind="input") for p in trace.parameters)
    assert len(judge(trace, "GS303")) == 1
    assert len(judge(replace(trace, parameters=inputs), "GS303")) == 1


@pytest.mark.parametrize("below", [1e-30, 0.1])
def test_a_gradient_with_another_way_is_fine(below: float) -> None:
    assert judge(trained([staircase("Floor", below)] * 5), "GS303") == []


@pytest.mark.parametrize("op", ["Relu", "Clamp", "Mul", "Softmax"])
def test_other_ops_are_other_rules(op: str) -> None:
    assert judge(trained([staircase(op)] * 5), "GS303") == []


def test_two_backwards_are_too_few() -> None:
    assert judge(trained([staircase("Round")] * 2), "GS303") == []
