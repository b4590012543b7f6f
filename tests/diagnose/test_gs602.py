from __future__ import annotations

import pytest

from gradscope.diagnose import diagnose
from gradscope.model.graph import Graph
from tests.builders import GraphBuilder, gpt2_like_graph, line, trace_with
from tests.diagnose.traces import history_trace, judge, run_of, scaled


def between(first: str, *ops: str, weight_between: bool = False) -> Graph:
    b = GraphBuilder()
    h = b.op("Addmm", b.leaf("w", (8, 3), gradient=0.1), shape=(4, 3), gradient=0.1)
    h = b.op(first, h, shape=(4, 3), gradient=0.1, source=line(8, "p = net(x).softmax(1)"))
    if weight_between:
        h = b.op("Mm", h, b.leaf("v", (3, 3), gradient=0.1), shape=(4, 3), gradient=0.1)
    for op in ops:
        h = b.op(op, h, shape=(4, 3), gradient=0.1, source=line(9, "loss = ce(p, y)"), call="ce")
    b.op("NllLoss", h, shape=(), gradient=1.0)
    return b.graph()


@pytest.mark.parametrize("factor", [1e-8, 1.0, 1e8])
@pytest.mark.parametrize(
    ("first", "ops"),
    [
        ("Softmax", ["LogSoftmax"]),
        ("Softmax", ["Permute", "View", "LogSoftmax"]),
        ("Sigmoid", ["BinaryCrossEntropyWithLogits"]),
        ("Sigmoid", ["Squeeze", "BinaryCrossEntropyWithLogits"]),
    ],
)
def test_twice(first: str, ops: list[str], factor: float) -> None:
    (finding,) = judge(run_of(scaled(between(first, *ops), factor)), "GS602")
    assert finding.severity == "warning"
    assert finding.message == (
        f"{first.lower()} is applied twice: `{first}Backward0` of `p = net(x).softmax(1)` "
        "(train.py:8), and again inside `ce` (train.py:9), which expects logits"
    )
    assert finding.where.source is not None
    assert finding.where.source.line == 8
    assert finding.evidence["loss_line"] == "train.py:9"


@pytest.mark.parametrize(
    ("first", "ops"),
    [
        ("Softmax", ["Log"]),  # done right
        ("Sigmoid", ["BinaryCrossEntropy"]),  # done right
        ("Softmax", ["Div", "LogSoftmax"]),  # a temperature: on purpose
        ("LogSoftmax", ["LogSoftmax"]),  # changes nothing
        ("Softmax", ["BinaryCrossEntropyWithLogits"]),
        ("Relu", ["LogSoftmax"]),
        ("Softmax", ["Softmax"]),
    ],
)
def test_not_twice(first: str, ops: list[str]) -> None:
    assert judge(run_of(between(first, *ops)), "GS602") == []


def test_attention_before_a_layer_is_healthy() -> None:
    assert judge(run_of(between("Softmax", "LogSoftmax", weight_between=True)), "GS602") == []
    assert judge(run_of(gpt2_like_graph()), "GS602") == []


@pytest.mark.parametrize(("pattern", "expected"), [("bbbb", 1), ("bgbg", 1), ("bggg", 0), ("b", 1)])
def test_an_experiment_is_not_a_habit(pattern: str, expected: int) -> None:
    kinds = {"b": between("Softmax", "LogSoftmax"), "g": between("Relu", "LogSoftmax")}
    assert len(judge(trace_with(*[kinds[c] for c in pattern]), "GS602")) == expected


def test_without_any_graph_the_rule_says_so() -> None:
    report = diagnose(history_trace([1.0] * 9, lambda i: 1.0), select=["GS602"])
    assert (report.findings, len(report.skipped)) == ((), 1)
