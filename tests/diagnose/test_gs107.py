from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from gradscope.diagnose import diagnose
from gradscope.model.finding import Finding
from gradscope.model.graph import Graph, Traits
from gradscope.model.trace import Trace
from tests.builders import GraphBuilder, line, mlp_graph
from tests.diagnose.graph_traces import trained
from tests.diagnose.traces import findings_of, judge, scaled


def net(
    share: float,
    gain: float,
    *,
    op: str = "Tanh",
    inner: bool = True,
    gate: bool = False,
) -> Graph:
    """``w0 → op → w1 → loss`` with so many flat elements, passing on so much of the gradient."""
    b = GraphBuilder()
    x = b.op("Mm", b.leaf("w0", (8, 8), gradient=0.1), shape=(4, 8), gradient=0.1 * gain)
    act = h = b.op(op, x, shape=(4, 8), gradient=0.1, source=line(12, "h = tanh(x @ w0)"))
    if gate:
        other = b.op("Mm", b.leaf("v", (8, 8), gradient=0.1), shape=(4, 8), gradient=0.1)
        h = b.op("Mul", h, other, shape=(4, 8), gradient=0.1)
    if inner:
        h = b.op("Mm", h, b.leaf("w1", (8, 8), gradient=0.1), shape=(4, 8), gradient=0.1)
    b.op("MseLoss", h, shape=(), gradient=1.0)
    return replace(b.graph(), traits={b.ids[act]: Traits(saturated_fraction=share)})


def found(graphs: Sequence[Graph], losses: Sequence[float] = ()) -> list[Finding]:
    return judge(with_losses(trained(graphs), losses), "GS107")


def with_losses(trace: Trace, losses: Sequence[float]) -> Trace:
    if not losses:
        return trace
    steps = (replace(s, loss=v) for s, v in zip(trace.steps, losses, strict=True))
    return replace(trace, steps=tuple(steps))


@pytest.mark.parametrize("factor", [1e-8, 1.0, 1e8])
def test_the_op_the_line_and_the_share(factor: float) -> None:
    (finding,) = found([scaled(net(0.9, 0.05), factor)] * 5)
    assert finding.severity == "warning"
    assert finding.message == (
        "90 % of the elements are where `TanhBackward0` of `h = tanh(x @ w0)` (train.py:12) is "
        "flat, so that it passes on ×0.05 of the gradient"
    )
    assert finding.where.op == "TanhBackward0"
    assert finding.where.source == line(12, "h = tanh(x @ w0)")
    assert "from the start" in finding.cause


@pytest.mark.parametrize(
    ("op", "share", "gain", "expected"),
    [
        ("Tanh", 0.8, 0.2, 1),
        ("Tanh", 0.8, 0.5, 0),  # flat here and there, and the gradient passes all the same
        ("Tanh", 0.4, 0.1, 0),
        ("Sigmoid", 0.9, 0.02, 1),
        ("Sigmoid", 0.9, 0.2, 0),  # as much as a sigmoid passes on at best
        ("Relu", 0.9, 0.02, 0),
    ],
)
def test_it_must_be_flat_and_starve_what_is_below(
    op: str, share: float, gain: float, expected: int
) -> None:
    assert len(found([net(share, gain, op=op)] * 5)) == expected


def test_an_output_and_a_gate_may_be_sure() -> None:
    assert found([net(1.0, 0.01, inner=False)] * 5) == []
    assert found([net(1.0, 0.01, gate=True)] * 5) == []


@pytest.mark.parametrize(("pattern", "expected"), [("fff", 1), ("sff", 0), ("ffs", 0), ("ff", 0)])
def test_it_must_last(pattern: str, expected: int) -> None:
    kinds = {"f": net(0.9, 0.05), "s": net(0.1, 0.8)}
    assert len(found([kinds[c] for c in pattern])) == expected


@pytest.mark.parametrize(
    ("losses", "expected"),
    [([3.0] * 8, 1), ([3, 3, 2, 1, 0.5, 0.2, 0.1, 0.1], 0), ([9, 9, 9, 9, 8, 7, 7, 7], 1)],
)
def test_a_network_that_converges_may_saturate(losses: list[float], expected: int) -> None:
    assert len(found([net(0.9, 0.05)] * 8, losses)) == expected
    late = [net(0.1, 0.8)] * 2 + [net(0.9, 0.05)] * 6
    assert len(found(late, losses)) == expected


def test_layers_that_this_loss_does_not_train_do_not_count() -> None:
    trace = trained([net(0.9, 0.05)] * 5, owned=lambda p: p.name != "w1")
    assert judge(trace, "GS107") == []


def test_the_vanishing_gradient_goes_under_it() -> None:
    graph = mlp_graph(9, activation="Tanh", factor=0.01)
    flat = {
        node.id: Traits(saturated_fraction=0.95)
        for node in graph.structure.nodes
        if node.op == "TanhBackward0"
    }
    report = diagnose(trained([replace(graph, traits=flat)] * 5))
    assert [f.code for f in report.findings if f.severity != "info"] == ["GS107"]
    assert len(findings_of(report, "GS101")) == 1
    report = diagnose(trained([graph] * 5))
    assert [f.code for f in report.findings if f.severity != "info"] == ["GS101"]
