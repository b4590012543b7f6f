from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from gradscope.diagnose import diagnose
from gradscope.model.graph import Graph
from tests.builders import (
    GraphBuilder,
    chain_graph,
    gpt2_like_graph,
    line,
    mlp_graph,
    resnet_like_graph,
    scalar_graph,
    stats,
    trace_with,
    unrolled_rnn_graph,
)
from tests.diagnose.traces import history_trace, judge, run_of, scaled


def layered(gains: Sequence[float], *, op: str = "Sigmoid", top: float = 1e-2) -> Graph:
    """Linear layers of one size; ``gains[i]`` is what the i-th op from the loss does."""
    b = GraphBuilder()
    sizes = [top]
    for gain in gains:
        sizes.append(sizes[-1] * gain)
    h = -1
    for i, rms in enumerate(reversed(sizes)):
        w = b.leaf(f"w{i}", (8, 8), gradient=rms)
        inputs = (w,) if h < 0 else (h, w)
        h = b.op("Mm", *inputs, shape=(4, 8), gradient=rms, source=line(10 + i))
        if i < len(gains):
            h = b.op(op, h, shape=(4, 8), gradient=rms / gains[-1 - i], source=line(10 + i))
    b.op("MseLoss", h, shape=(), gradient=1.0, source=line(40))
    return b.graph()


def test_twelve_sigmoid_layers_are_named_with_numbers() -> None:
    (finding,) = judge(run_of(mlp_graph(12, factor=0.1)), "GS101")
    assert finding.severity == "error"
    assert finding.message.startswith("gradient shrinks 1e11-fold from ")
    assert "`SigmoidBackward0` at ×0.1 each explain" in finding.message
    assert "net.fc1" in finding.message
    assert finding.where.op == "SigmoidBackward0"
    assert finding.where.parameter == "net.fc1.weight"
    assert finding.where.source is not None
    assert (finding.steps, finding.seen, finding.of) == ((0, 4), 5, 5)
    assert finding.evidence["decades"] == pytest.approx(11.0, abs=1.5)
    assert "relu" in finding.fix


@pytest.mark.parametrize("factor", [1e-30, 1e-4, 1.0, 1e5, 1e30])
def test_the_verdict_does_not_depend_on_the_scale_of_the_loss(factor: float) -> None:
    bad, good = layered([0.1] * 7), layered([0.8] * 7)
    assert len(judge(run_of(scaled(bad, factor)), "GS101")) == 1
    assert judge(run_of(scaled(good, factor)), "GS101") == []


@pytest.mark.parametrize(
    ("gains", "expected"),
    [
        ([0.1] * 7, 1),  # 7 decades
        ([0.2] * 7, 1),  # 4.9
        ([0.55] * 7, 0),  # 1.8
        ([0.1] * 2, 0),  # steep, but only two of them
        ([1e-5] + [0.95] * 6, 0),  # one op, nothing repeated
        ([1e-3, 0.9, 1e-3] + [0.95] * 5, 0),  # two of them
        ([0.01, 30.0] * 4, 0),  # no trend: what is lost is won back
        ([8.0] * 7, 0),  # the other direction
    ],
)
def test_both_sides_of_the_bars(gains: list[float], expected: int) -> None:
    assert len(judge(run_of(layered(gains)), "GS101")) == expected


@pytest.mark.parametrize(
    ("gain", "layers", "severity"),
    [
        (0.1, 9, "error"),  # 9 decades
        (0.15, 6, "warning"),  # 4.9 decades, steep
        (0.2, 5, "warning"),  # 3.5 decades, steep
        (0.41, 9, "info"),  # 3.5 decades, as ReLU with default weights gives them
        (0.41, 13, "warning"),  # 5 decades
    ],
)
def test_a_slow_decay_weighs_less_than_a_steep_one(gain: float, layers: int, severity: str) -> None:
    (finding,) = judge(run_of(layered([gain] * layers, op="Relu")), "GS101")
    assert finding.severity == severity


def test_one_backward_is_said_and_weighs_less() -> None:
    graph = layered([0.15] * 6)
    (habit,) = judge(run_of(graph, 5), "GS101")
    (once,) = judge(run_of(graph, 1), "GS101")
    assert (habit.severity, once.severity) == ("warning", "info")
    assert once.message.endswith("judged on 1 backward only")
    assert "only" not in habit.message


@pytest.mark.parametrize(
    ("bad", "expected"),
    [("bbbbb", 1), ("ggbbb", 1), ("gggbb", 0), ("bbbbg", 0), ("bg", 0), ("bb", 1)],
)
def test_it_takes_half_of_the_backwards_and_the_last(bad: str, expected: int) -> None:
    graphs = {"b": layered([0.1] * 7), "g": layered([0.9] * 7)}
    assert len(judge(trace_with(*[graphs[c] for c in bad]), "GS101")) == expected


def test_two_players_are_judged_apart() -> None:
    trace = trace_with(*[layered([0.9] * 7), layered([0.1] * 7)] * 4)
    named = tuple(
        replace(s, roots=("g_loss",) if s.index % 2 else ("d_loss",)) for s in trace.steps
    )
    (finding,) = judge(replace(trace, steps=named), "GS101")
    assert (finding.seen, finding.of, finding.steps) == (4, 4, (1, 7))


def test_a_converged_loss_is_no_decay() -> None:
    """The gradient falls by 1e-9 inside the loss, before the last layer's output."""
    b = GraphBuilder()
    h = -1
    for i in range(6):
        w = b.leaf(f"w{i}", (8, 8), gradient=1e-9)
        h = b.op("Mm", *((w,) if h < 0 else (h, w)), shape=(4, 8), gradient=1e-9)
        h = b.op("Tanh", h, shape=(4, 8), gradient=1e-9) if i < 5 else h
    diff = b.op("Sub", h, shape=(4, 8), gradient=1e-9)
    square = b.op("Pow", diff, shape=(4, 8), gradient=0.03)
    b.op("Mean", square, shape=(), gradient=1.0)
    assert judge(run_of(b.graph()), "GS101") == []


def test_exactly_solved_is_no_decay() -> None:
    graph = chain_graph(["Mm", "Tanh", "Mm", "Sub", "Pow", "Mean"], [0, 0, 0, 0, 0.1, 1.0])
    assert judge(run_of(graph), "GS101") == []


def test_underflow_to_zero_on_the_way_is_told() -> None:
    dying = layered([1e-6] * 9)
    dead = {
        key: stats(0.0, s.shape) if s is not None and (s.rms or 0) < 1e-45 else s
        for key, s in dying.gradients.items()
    }
    (finding,) = judge(run_of(replace(dying, gradients=dead)), "GS101")
    assert finding.severity == "error"
    assert "is exactly 0 from" in finding.message
    assert finding.evidence["norm_input_side"] == 0.0


def test_a_zero_of_other_making_is_not_told() -> None:
    """Behind a weight that is still zero all is zero: that adds nothing to the decay before it."""
    graph = layered([0.15] * 6, op="Relu")
    layers = [n for n in graph.structure.nodes if n.op == "MmBackward0"]
    first = min(layers, key=lambda node: node.order).id
    zero = {**graph.gradients, (first, 0): stats(0.0, (4, 8))}
    (plain,) = judge(run_of(graph), "GS101")
    (hidden,) = judge(run_of(replace(graph, gradients=zero)), "GS101")
    assert (plain.severity, hidden.severity) == ("warning", "warning")
    assert "exactly 0" not in hidden.message


@pytest.mark.parametrize(("op", "expected"), [("Tanh", 1), ("Relu", 0), ("Clamp", 0)])
def test_a_sudden_zero_counts_only_behind_a_saturated_activation(op: str, expected: int) -> None:
    b = GraphBuilder()
    h = b.op("Mm", b.leaf("w0", (8, 8), gradient=0.0), shape=(4, 8), gradient=0.0)
    h = b.op(op, h, shape=(4, 8), gradient=0.1)
    h = b.op("Mm", h, b.leaf("w1", (8, 8), gradient=0.1), shape=(4, 8), gradient=0.1)
    b.op("MseLoss", h, shape=(), gradient=1.0)
    assert len(judge(run_of(b.graph()), "GS101")) == expected


def test_a_mean_over_many_elements_is_no_decay() -> None:
    """Global pooling divides by the number of elements; widths change by 1,000."""
    b = GraphBuilder()
    h = b.leaf("x", (4, 8, 64, 64), kind="input")
    rms = 1e-8
    for i in range(5):
        w = b.leaf(f"w{i}", (8, 8, 3, 3), gradient=1.0)
        h = b.op("Convolution", h, w, shape=(4, 8, 64, 64), gradient=rms)
        h = b.op("Relu", h, shape=(4, 8, 64, 64), gradient=rms)
        rms *= 10
        h = b.op("AvgPool2D", h, shape=(4, 8, 64, 64), gradient=rms)
    h = b.op("Mean", h, shape=(4, 8), gradient=1.0)
    h = b.op("Addmm", h, b.leaf("fc", (8, 8), gradient=1.0), shape=(4, 8), gradient=1.0)
    b.op("NllLoss", h, shape=(), gradient=1.0)
    assert judge(run_of(b.graph()), "GS101") == []


HEALTHY: list[Callable[[], Graph]] = [
    scalar_graph,
    gpt2_like_graph,
    resnet_like_graph,
    lambda: mlp_graph(12, activation="Relu", factor=0.9),
    lambda: mlp_graph(1, factor=1e-6),
    lambda: chain_graph(3, [1.0, 1.0, 1.0]),
    lambda: chain_graph(
        ["Exp", "Mul", "Log", "Sin", "Div"], [1e-9, 1e-2, 1e-4, 0.1, 1.0], shape=()
    ),
    lambda: unrolled_rnn_graph(60),
]


@pytest.mark.parametrize("make", HEALTHY)
def test_healthy_graphs_are_silent(make: Callable[[], Graph]) -> None:
    assert diagnose(run_of(make())).findings == ()


def recurrent(steps: int, gain: float) -> Graph:
    """One weight used at every time step; the loss is at the last."""
    b = GraphBuilder()
    w = b.leaf("W_h", (8, 8), gradient=1.0)
    h = -1
    for t in range(steps):
        rms = 0.1 * gain ** (steps - t)
        h = b.op("Mm", *((w,) if h < 0 else (h, w)), shape=(4, 8), gradient=rms, iteration=t + 1)
        h = b.op("Tanh", h, shape=(4, 8), gradient=rms, iteration=t + 1)
    h = b.op("Mm", h, b.leaf("W_o", (8, 1), gradient=1.0), shape=(4, 8), gradient=0.1)
    b.op("MseLoss", h, shape=(), gradient=1.0)
    return b.graph()


def test_a_decay_through_time_is_not_one_along_the_depth() -> None:
    assert judge(run_of(recurrent(30, 0.5)), "GS101") == []


def test_without_any_graph_the_rule_says_that_it_could_not_judge() -> None:
    report = diagnose(history_trace([1.0] * 5, lambda i: 1.0), select=["GS101"])
    assert report.findings == ()
    (skipped,) = report.skipped
    assert (skipped.code, skipped.failed) == ("GS101", False)
    assert "level" in skipped.reason


def test_names_of_the_user_are_put_on_one_line() -> None:
    graph = layered([0.1] * 7)
    nodes = tuple(replace(n, label="evil\n`<script>`\x1b[31m") for n in graph.structure.nodes)
    hostile = replace(graph, structure=replace(graph.structure, nodes=nodes))
    (finding,) = judge(run_of(hostile), "GS101")
    assert "\n" not in finding.message
    assert "\x1b" not in finding.message
    assert math.isfinite(float(finding.evidence["decades"]))
