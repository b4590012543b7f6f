from __future__ import annotations

from dataclasses import replace

import pytest

from gradscope.model.graph import Graph, Traits
from gradscope.model.trace import Trace
from tests.builders import GraphBuilder, trace_with
from tests.diagnose.loop_traces import called, loop
from tests.diagnose.traces import judge


def graph(*tiny: float | None) -> Graph:
    """A chain whose nodes have such shares of gradients at the end of float16."""
    b = GraphBuilder()
    h = b.leaf("x", (4, 4), gradient=1e-6)
    traits = {}
    for share in tiny:
        h = b.op("Tanh", h, shape=(4, 4), gradient=1e-6)
        traits[h] = Traits(tiny_fraction=share)
    b.op("Mean", h, shape=(), gradient=1.0)
    built = b.graph()
    # The builder's ids are those of the graph once it is numbered from the loss.
    nodes = [n.id for n in built.structure.nodes if n.op.startswith("Tanh")]
    shares = dict(zip(nodes, [t.tiny_fraction for t in traits.values()], strict=True))
    return replace(built, traits={i: Traits(tiny_fraction=s) for i, s in shares.items()})


@pytest.mark.parametrize(
    ("graphs", "expected"),
    [
        ([graph(0.5)] * 3, 1),
        ([graph(0.5)] * 2, 0),
        ([graph(0.04)] * 5, 0),
        ([graph(0.2, 0.0)] * 3, 1),  # a tenth in all
        ([graph(0.08, 0.0)] * 3, 0),
        ([graph(0.5)] * 3 + [graph(0.0)] * 4, 0),
        ([graph(None)] * 5, 0),
    ],
)
def test_gradients_at_the_end_of_float16(graphs: list[Graph], expected: int) -> None:
    found = judge(trace_with(*graphs, loss=1.0), "GS108")
    assert [f.severity for f in found] == ["warning"] * expected


def test_the_worst_op_is_named() -> None:
    (finding,) = judge(trace_with(*[graph(0.5)] * 4, loss=1.0), "GS108")
    assert finding.message.startswith("50 % of the float16 gradients are as small")
    assert "`TanhBackward0`" in finding.message
    assert (finding.seen, finding.of) == (4, 4)


def skipping(skipped: int, of: int) -> Trace:
    trace = loop(of)
    for i in range(of):
        trace = called(trace, "scaler_step", [(i, i - 1)], value=float(i >= skipped))
    return trace


@pytest.mark.parametrize(
    ("skipped", "of", "expected"), [(5, 5, 1), (6, 10, 1), (5, 10, 0), (4, 4, 0), (2, 20, 0)]
)
def test_steps_that_are_skipped(skipped: int, of: int, expected: int) -> None:
    found = judge(skipping(skipped, of), "GS108")
    assert [f.evidence["skipped"] for f in found] == [skipped] * expected
