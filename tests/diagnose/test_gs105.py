from __future__ import annotations

from dataclasses import replace

import pytest

from gradscope.diagnose import diagnose
from gradscope.model.graph import Graph
from gradscope.model.stats import TensorStats
from tests.builders import GraphBuilder, line, stats
from tests.diagnose.graph_traces import trained
from tests.diagnose.traces import history_trace, judge, scaled


def killed(op: str, *, inner: bool = True, below: float = 0.0, value: float = 0.0) -> Graph:
    """``w0 → op → w1 → loss``: the op passes on ``below`` of what it gets."""
    b = GraphBuilder()
    b_below = below
    h = b.op("Mm", b.leaf("w0", (8, 8), gradient=b_below), shape=(4, 8), gradient=b_below)
    constant = replace(stats(abs(value), (4, 8)), min=value, max=value)
    h = b.op(op, h, shape=(4, 8), gradient=0.1, source=line(12, "h = f(h)"), value=1.0)
    b.drafts[-1].value = constant
    if inner:
        h = b.op("Mm", h, b.leaf("w1", (8, 8), gradient=0.1), shape=(4, 8), gradient=0.1)
    b.op("MseLoss", h, shape=(), gradient=1.0)
    return b.graph()


@pytest.mark.parametrize("op", ["Relu", "Clamp", "Hardtanh", "Threshold"])
@pytest.mark.parametrize("factor", [1e-8, 1.0, 1e8])
def test_the_op_that_passes_nothing_on_is_named(op: str, factor: float) -> None:
    (finding,) = judge(trained([scaled(killed(op), factor)] * 5), "GS105")
    assert finding.severity == "warning"
    assert finding.message.startswith(
        f"gradient of `w0` is exactly 0 in every element: `{op}Backward0` of `h = f(h)` "
        "(train.py:12) "
    )
    assert finding.message.endswith("(from step 0 on, 5 of 5 backwards)")
    assert (finding.where.parameter, finding.where.op) == ("w0", f"{op}Backward0")
    assert finding.where.source is not None
    assert finding.where.source.line == 12
    assert finding.where.step == 4


@pytest.mark.parametrize("op", ["Mul", "Mm", "Sigmoid", "Tanh", "Index", "Where", "MyFunction"])
def test_zeros_for_reasons_that_are_not_understood_are_left_alone(op: str) -> None:
    assert judge(trained([killed(op, value=0.5)] * 5), "GS105") == []


@pytest.mark.parametrize("below", [1e-30, 1e-3])
def test_tiny_is_not_zero(below: float) -> None:
    assert judge(trained([killed("Relu", below=below)] * 5), "GS105") == []


def test_a_gradient_that_underflowed_is_another_illness() -> None:
    assert judge(trained([scaled(killed("Relu"), 1e-35)] * 5), "GS105") == []


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("dddddd", 1),
        ("aaaddd", 1),  # died on the way, for half of the run
        ("aaaadd", 0),
        ("aaaaddd", 0),  # less than half
        ("dddda", 0),  # awake again
        ("dd", 0),
        ("daaaaa", 0),  # a branch that starts at zero
    ],
)
def test_it_must_last_to_the_end(pattern: str, expected: int) -> None:
    kinds = {"d": killed("Relu"), "a": killed("Relu", below=0.1)}
    assert len(judge(trained([kinds[c] for c in pattern]), "GS105")) == expected


def test_without_updates_nothing_could_have_woken_up() -> None:
    assert judge(trained([killed("Relu")] * 9, steps=False), "GS105") == []


def test_the_output_activation_is_only_told_and_a_dead_network_is_an_error() -> None:
    shared = killed("Relu", inner=False)
    (finding,) = judge(trained([shared] * 5), "GS105")
    assert finding.severity == "error"
    b = GraphBuilder()
    head = b.op("Mm", b.leaf("w0", (8, 8), gradient=0.0), shape=(4, 8), gradient=0.0)
    head = b.op("Relu", head, shape=(4, 8), gradient=0.1)
    other = b.op("Mm", b.leaf("w1", (8, 8), gradient=0.1), shape=(4, 8), gradient=0.1)
    b.op("MseLoss", head, other, shape=(), gradient=1.0)
    (finding,) = judge(trained([b.graph()] * 5), "GS105")
    assert finding.severity == "info"


@pytest.mark.parametrize("ops", [["Mean"], ["Sum", "Mul", "Add"], ["Neg", "Div", "Mean"]])
def test_a_satisfied_hinge_loss_is_healthy(ops: list[str]) -> None:
    b = GraphBuilder()
    h = b.op("Mm", b.leaf("w0", (8, 8), gradient=0.0), shape=(4, 8), gradient=0.0)
    h = b.op("Relu", h, shape=(4, 8), gradient=0.1)
    for op in ops:
        h = b.op(op, h, shape=(), gradient=1.0)
    assert judge(trained([b.graph()] * 5), "GS105") == []


@pytest.mark.parametrize(("value", "expected"), [(1.0, 1), (0.5, 0), (0.999, 0)])
def test_a_softmax_over_one_entry(value: float, expected: int) -> None:
    assert len(judge(trained([killed("Softmax", value=value)] * 5), "GS105")) == expected


def test_attention_to_a_single_token_is_only_told() -> None:
    (finding,) = judge(trained([killed("Softmax", value=1.0)] * 5), "GS105")
    assert finding.severity == "info"
    alone = killed("Softmax", value=1.0, inner=False)
    (finding,) = judge(trained([alone] * 5), "GS105")
    assert finding.severity == "error"


def zero_weights(hidden: float, weight: float) -> Graph:
    """``tanh(x @ w0) @ w1`` with all of ``h`` and ``w1`` equal to the given numbers."""
    b = GraphBuilder()
    h = b.op("Mm", b.leaf("w0", (8, 8), gradient=0.0), shape=(4, 8), gradient=0.0)
    h = b.op("Tanh", h, shape=(4, 8), gradient=0.0, value=1.0)
    b.drafts[-1].value = _all(hidden, (4, 8))
    w1 = b.leaf("w1", (8, 8), gradient=0.0)
    b.drafts[-1].value = _all(weight, (8, 8))
    out = b.op("Mm", h, w1, shape=(4, 8), gradient=0.1, source=line(13, "out = h @ w1"))
    out = b.op("Add", out, b.leaf("b1", (8,), gradient=0.1), shape=(4, 8), gradient=0.1)
    b.op("MseLoss", out, shape=(), gradient=1.0)
    return b.graph()


def _all(value: float, shape: tuple[int, ...]) -> TensorStats:
    return replace(stats(abs(value), shape), min=value, max=value)


@pytest.mark.parametrize(("hidden", "weight", "expected"), [(0, 0, 1), (0, 0.1, 0), (0.1, 0, 0)])
def test_zeros_on_both_sides_never_move(hidden: float, weight: float, expected: int) -> None:
    found = judge(trained([zero_weights(hidden, weight)] * 5), "GS105")
    assert [f.evidence["parameters"] for f in found] == [2] * expected
    assert all(f.evidence["kind"] == "zero-weights" for f in found)


def test_frozen_parameters_and_inputs_are_not_looked_at() -> None:
    trace = trained([killed("Relu")] * 5)
    frozen = tuple(replace(p, requires_grad=False) for p in trace.parameters)
    assert judge(replace(trace, parameters=frozen), "GS105") == []
    inputs = tuple(replace(p, kind="input") for p in trace.parameters)
    assert judge(replace(trace, parameters=inputs), "GS105") == []


def test_without_any_graph_the_rule_says_so() -> None:
    report = diagnose(history_trace([0.0] * 9, lambda i: 1.0), select=["GS105"])
    assert (report.findings, len(report.skipped)) == ((), 1)
    assert not report.skipped[0].failed
