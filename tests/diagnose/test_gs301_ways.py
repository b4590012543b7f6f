"""GS301: the ways in which a parameter is cut off that are not seen at the call alone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gradscope.model.asked import FunctionCheck
from gradscope.model.events import Cut
from gradscope.model.stats import TensorStats
from gradscope.model.trace import Trace, UpdateHistory
from tests.builders import GraphBuilder, line
from tests.diagnose.graph_traces import trained
from tests.diagnose.test_gs301 import cut_at, with_idle
from tests.diagnose.traces import judge


def test_a_sample_is_told_to_be_reparametrised() -> None:
    cut = replace(cut_at(12, "sample", "q.sample()", 1), variable="q")
    (finding,) = judge(replace(with_idle("encoder.weight"), cuts=(cut,)), "GS301")
    assert finding.severity == "warning"
    assert finding.where.source is not None
    assert (finding.where.source.line, finding.fix[:11]) == (12, "q.rsample()")
    cut = replace(cut, op="Poisson.sample")
    (finding,) = judge(replace(with_idle("encoder.weight"), cuts=(cut,)), "GS301")
    assert finding.cause == "A random choice has no derivative."


@pytest.mark.parametrize(("into_loss", "severity"), [(True, "warning"), (False, "info")])
def test_a_number_in_the_loss_behind_a_trunk(into_loss: bool, severity: str) -> None:
    cut = replace(cut_at(9, "item", "second.item()", 0, 1), into_loss=into_loss)
    (finding,) = judge(replace(with_idle("head.weight"), cuts=(cut,)), "GS301")
    assert finding.severity == severity
    assert ("loss = loss + code" in finding.fix) is into_loss


def under_no_grad(steps: int = 6, bound: float = 0.25, shape: tuple[int, int] = (16, 16)) -> Trace:
    """An encoder in a block, its elements spread evenly between plus and minus the bound."""
    trace = with_idle("encoder.weight")
    count = shape[0] * shape[1]
    rms = bound / 3**0.5
    values = TensorStats(shape, "float32", "cpu", count, rms * count**0.5, -bound, bound)
    encoder = replace(trace.parameters[1], shape=shape, count=count, value=values)
    cut = Cut("no_grad", line(9, "with torch.no_grad():"), parameters=(1,), steps=steps)
    return replace(trace, parameters=(trace.parameters[0], encoder), cuts=(cut,))


def test_a_fresh_encoder_in_a_block_without_a_graph() -> None:
    (finding,) = judge(under_no_grad(), "GS301")
    assert finding.severity == "warning"
    assert finding.where.source is not None
    assert finding.where.source.line == 9
    assert "`with torch.no_grad():` (train.py:9) records no graph" in finding.message


@pytest.mark.parametrize(
    "trace",
    [
        under_no_grad(bound=0.4),  # trained elsewhere
        under_no_grad(steps=2),  # seldom
        under_no_grad(bound=0.5, shape=(4, 4)),  # too small to tell
        replace(under_no_grad(), cuts=(replace(under_no_grad().cuts[0], parameters=(0, 1)),)),
    ],
)
def test_a_block_that_may_be_meant(trace: Trace) -> None:
    (finding,) = judge(trace, "GS301")
    assert finding.severity == "info"


def through(op: str, *, gradient: float | None = 0.1, moved: bool = False) -> Trace:
    """A weight that gets None from an op, which gets a gradient itself."""
    b = GraphBuilder()
    x = b.op("Mm", b.leaf("head.weight", (8, 8), gradient=0.1), shape=(4, 8), gradient=0.1)
    w = b.leaf("w", (8, 8), gradient=None)
    w = b.op("T", w, shape=(8, 8), gradient=None) if moved else w
    source = line(14, "h = Mine.apply(x, self.w)", "Mine.apply(x, self.w)")
    h = b.op(op, x, w, shape=(4, 8), gradient=gradient, source=source)
    b.op("MseLoss", h, shape=(), gradient=1.0)
    trace = trained([b.graph()] * 6)
    parameters = tuple(
        replace(p, updates=UpdateHistory()) if p.name == "w" else p for p in trace.parameters
    )
    return replace(trace, parameters=parameters)


@pytest.mark.parametrize("moved", [False, True])
def test_a_function_that_returns_none(moved: bool) -> None:
    trace = through("MineBackward", moved=moved)
    (finding,) = judge(trace, "GS301")
    assert finding.severity == "warning"
    assert finding.where.source is not None
    assert (finding.where.source.line, finding.where.op) == (14, "MineBackward")
    assert "`Mine.backward` returns None" in finding.message
    assert "argument 2 of `Mine.apply`" in finding.cause
    assert "Mine.backward" in finding.fix
    known = replace(trace, functions=(FunctionCheck("Mine", line(8, "def backward(ctx, g):")),))
    (finding,) = judge(known, "GS301")
    assert finding.where.source == line(8, "def backward(ctx, g):")


@pytest.mark.parametrize("trace", [through("Mm"), through("MineBackward", gradient=None)])
def test_what_is_not_a_functions_fault(trace: Trace) -> None:
    """An op of torch, and a Function that gets no gradient either."""
    (finding,) = judge(trace, "GS301")
    assert finding.severity == "info"


@pytest.mark.parametrize(
    ("text", "severity"),
    [
        ("target.data.mul_(0.99).add_(online.data, alpha=0.01)", "info"),
        ("target.data = 0.99 * target.data + 0.01 * online.data", "info"),
        ("target.detach()[:] = online", "info"),
        ("h = prompt.data.expand(8, -1)", "warning"),
        ("assert prompt.data == 0", "warning"),
    ],
)
def test_values_that_are_changed_there(text: str, severity: str) -> None:
    """A target network inside the module that the optimizer was given whole."""
    op = "detach" if "detach" in text else "data"
    cut = Cut(op, line(9, text, text), 0, 6, "target", parameters=(1,))
    (finding,) = judge(replace(with_idle("target.weight"), cuts=(cut,)), "GS301")
    assert finding.severity == severity
