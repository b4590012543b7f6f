from __future__ import annotations

from dataclasses import replace

import pytest

from gradscope.diagnose import diagnose
from gradscope.model.finding import Severity
from gradscope.model.graph import Graph
from gradscope.model.trace import Update
from tests.builders import (
    GraphBuilder,
    gpt2_like_graph,
    line,
    mlp_graph,
    resnet_like_graph,
    trace_with,
)
from tests.diagnose.test_gs101 import layered
from tests.diagnose.traces import history_trace, judge, run_of, scaled


def recurrent(steps: int, gain: float, *, gated: bool = False, every_step: float = 0.0) -> Graph:
    """One weight at every time step; ``every_step`` is a local loss' gradient."""
    b = GraphBuilder()
    w = b.leaf("W_h", (8, 8), gradient=1.0)
    h = -1
    losses: list[int] = []
    for t in range(steps):
        rms = max(0.1 * gain ** (steps - 1 - t), every_step)
        source = line(14, "h = torch.tanh(h @ W_h)", "h @ W_h")
        inputs = (w,) if h < 0 else (h, w)
        h = b.op("Mm", *inputs, shape=(4, 8), gradient=rms, iteration=t + 1, source=source)
        h = b.op("Sigmoid" if gated else "Tanh", h, shape=(4, 8), gradient=rms, iteration=t + 1)
        h = b.op("Mul", h, shape=(4, 8), gradient=rms, iteration=t + 1) if gated else h
        if every_step:
            losses.append(b.op("Pow", h, shape=(4, 8), gradient=every_step))
    h = b.op("Mm", h, b.leaf("W_o", (8, 1), gradient=1.0), shape=(4, 1), gradient=0.1)
    b.op("MseLoss", h, *losses, shape=(), gradient=1.0)
    return b.graph()


@pytest.mark.parametrize("factor", [1e-12, 1e-4, 1.0, 1e5, 1e12])
def test_a_long_plain_recurrence_forgets_at_every_scale_of_the_loss(factor: float) -> None:
    (finding,) = judge(run_of(scaled(recurrent(40, 0.5), factor)), "GS103")
    assert finding.severity == "warning"
    assert finding.message.startswith(
        "gradient shrinks 5.5e11-fold through time, over 40 uses of `W_h` (×0.5 each"
    )
    assert finding.evidence["decades"] == pytest.approx(11.7, abs=0.1)
    assert (finding.seen, finding.of, finding.steps) == (5, 5, (0, 4))
    assert finding.where.source is not None
    assert finding.where.source.line == 14


@pytest.mark.parametrize(
    ("steps", "gain", "severity"),
    [
        (40, 0.5, "warning"),  # 11.7 decades
        (24, 0.5, "warning"),  # 6.9
        (16, 0.5, "info"),  # 4.5: a short memory may be enough
        (12, 0.6, None),  # 2.4
        (40, 0.9, None),  # 1.8
        (100, 0.98, None),  # 0.9
        (40, 1.0, None),
        (5, 0.01, None),  # not a sequence
    ],
)
def test_both_sides_of_the_bars(steps: int, gain: float, severity: Severity | None) -> None:
    found = judge(run_of(recurrent(steps, gain)), "GS103")
    assert [f.severity for f in found] == ([severity] if severity else [])


@pytest.mark.parametrize(
    ("steps", "gain", "severity"),
    [
        (40, 2.0, "error"),  # 11.7 decades
        (30, 1.5, "warning"),  # 5.1
        (16, 1.7, "warning"),  # 3.5, but every step does much
        (24, 1.4, "info"),  # 3.4
        (12, 1.5, None),  # 1.9
    ],
)
def test_growth_through_time(steps: int, gain: float, severity: Severity | None) -> None:
    found = judge(run_of(recurrent(steps, gain)), "GS103")
    assert [f.severity for f in found] == ([severity] if severity else [])
    assert all(f.name == "exploding-through-time" and "grows" in f.message for f in found)


def test_gates_open_while_they_learn() -> None:
    (finding,) = judge(run_of(recurrent(60, 0.5, gated=True)), "GS103")
    assert finding.severity == "info"
    assert finding.evidence["gated"] == 1


@pytest.mark.parametrize(("steps", "severity"), [(0, "warning"), (20, "warning"), (40, "info")])
def test_an_iteration_with_the_same_input_is_meant_to_forget(steps: int, severity: str) -> None:
    b = GraphBuilder()
    w = b.leaf("W", (8, 8), gradient=1.0)
    same = b.op("Mm", b.leaf("U", (8, 8), gradient=1.0), shape=(4, 8), gradient=0.1)
    h = -1
    for t in range(40):
        rms = 0.1 * 0.5 ** (39 - t)
        h = b.op("Mm", *((w,) if h < 0 else (h, w)), shape=(4, 8), gradient=rms)
        h = b.op("Add", h, same, shape=(4, 8), gradient=rms) if t < steps else h
        h = b.op("Tanh", h, shape=(4, 8), gradient=rms)
    b.op("MseLoss", h, same, shape=(), gradient=1.0)
    (finding,) = judge(run_of(b.graph()), "GS103")
    assert finding.severity == severity


def test_a_loss_at_every_step_keeps_the_gradient_up() -> None:
    assert judge(run_of(recurrent(60, 0.5, every_step=0.05)), "GS103") == []


def test_few_backwards_weigh_less() -> None:
    (finding,) = judge(run_of(recurrent(40, 0.5), 2), "GS103")
    assert finding.severity == "info"
    assert finding.message.endswith("judged on 2 backwards only")


@pytest.mark.parametrize(
    ("pattern", "expected"), [("bbbbb", 1), ("ggbbb", 1), ("bbbbg", 0), ("gggbb", 0)]
)
def test_it_takes_half_of_the_backwards_and_the_last(pattern: str, expected: int) -> None:
    kinds = {"b": recurrent(40, 0.5), "g": recurrent(40, 0.97)}
    assert len(judge(trace_with(*[kinds[c] for c in pattern]), "GS103")) == expected


def test_only_one_rule_speaks_of_one_path() -> None:
    assert {f.code for f in diagnose(run_of(recurrent(40, 0.5))).findings} == {"GS103"}
    assert {f.code for f in diagnose(run_of(recurrent(40, 2.0))).findings} == {"GS103"}
    assert {f.code for f in diagnose(run_of(layered([0.1] * 9))).findings} == {"GS101"}


@pytest.mark.parametrize(
    "graph", [mlp_graph(12, factor=0.1), gpt2_like_graph(), resnet_like_graph()]
)
def test_depth_is_not_time(graph: Graph) -> None:
    assert judge(run_of(graph), "GS103") == []


def test_layers_that_share_one_weight_and_have_their_own_are_depth() -> None:
    b = GraphBuilder()
    slope = b.leaf("prelu", (1,), gradient=1.0)
    h = -1
    for i in range(12):
        rms = 0.1 * 0.3 ** (11 - i)
        w = b.leaf(f"w{i}", (8, 8), gradient=rms)
        h = b.op("Mm", *((w,) if h < 0 else (h, w)), shape=(4, 8), gradient=rms)
        h = b.op("PreluKernel", h, slope, shape=(4, 8), gradient=rms)
    b.op("MseLoss", h, shape=(), gradient=1.0)
    assert judge(run_of(b.graph()), "GS103") == []


def test_without_any_graph_the_rule_says_so() -> None:
    report = diagnose(history_trace([1.0] * 9, lambda i: 1.0), select=["GS103"])
    assert (report.findings, len(report.skipped)) == ((), 1)


@pytest.mark.parametrize(("updated", "expected"), [(False, 0), (True, 1)])
def test_derivatives_of_derivatives_that_train_nothing(updated: bool, expected: int) -> None:
    trace = run_of(recurrent(30, 2.0))
    made = tuple(Update(i, i, "optimizer", "SGD") for i in range(4)) if updated else ()
    steps = tuple(replace(step, create_graph=True) for step in trace.steps)
    trace = replace(trace, steps=steps, updates=made)
    assert len(judge(trace, "GS103")) == expected
    deep = run_of(layered([4.0] * 9))
    steps = tuple(replace(step, create_graph=True) for step in deep.steps)
    assert len(judge(replace(deep, steps=steps, updates=made), "GS102")) == expected


def test_an_overflow_is_the_consequence_of_growth_through_time() -> None:
    trace = run_of(recurrent(40, 2.0))
    nan = run_of(scaled(recurrent(40, 2.0), float("nan")), 1).steps[0]
    broken = replace(nan, index=5, loss=float("nan"))
    found = diagnose(replace(trace, steps=(*trace.steps, broken)), select=["GS103", "GS102"])
    assert [f.code for f in found.findings][:1] == ["GS103"]
