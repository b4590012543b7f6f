"""Every formula on tensors, computed by hand, gives what autograd gives."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import gradscope
from gradscope.analysis.matrix_rules import matrix_rule
from gradscope.model.graph import Graph


class Case(NamedTuple):
    """An op of ``a`` and ``b``; the formula for ``a``; the same with ``G``, a, b and the result."""

    op: Callable[[Tensor, Tensor], Tensor]
    formula: str
    by_hand: Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]


N = 12
CASES = {
    "add": Case(lambda a, b: a + b, "G", lambda G, a, b, y: G),
    "sub": Case(lambda a, b: b - a, "−G", lambda G, a, b, y: -G),
    "mul": Case(lambda a, b: a * b, "G ⊙ b", lambda G, a, b, y: G * b),
    "div": Case(lambda a, b: a / b, "G / b", lambda G, a, b, y: G / b),
    "divisor": Case(lambda a, b: b / a, "−G ⊙ a/b²", lambda G, a, b, y: -G * b / a**2),
    "neg": Case(lambda a, b: -a, "−G", lambda G, a, b, y: -G),
    "pow": Case(lambda a, b: a**3, "G ⊙ 3·x²", lambda G, a, b, y: G * 3 * a**2),
    "square": Case(lambda a, b: a**2, "G ⊙ 2·x", lambda G, a, b, y: G * 2 * a),
    "powers": Case(lambda a, b: a**b, "G ⊙ b·a^(b − 1)", lambda G, a, b, y: G * b * a ** (b - 1)),
    "exp": Case(lambda a, b: a.exp(), "G ⊙ y", lambda G, a, b, y: G * y),
    "log": Case(lambda a, b: a.log(), "G / x", lambda G, a, b, y: G / a),
    "sqrt": Case(lambda a, b: a.sqrt(), "G / (2·y)", lambda G, a, b, y: G / (2 * y)),
    "rsqrt": Case(lambda a, b: a.rsqrt(), "−G ⊙ y³/2", lambda G, a, b, y: -G * y**3 / 2),
    "sin": Case(lambda a, b: a.sin(), "G ⊙ cos(x)", lambda G, a, b, y: G * a.cos()),
    "cos": Case(lambda a, b: a.cos(), "−G ⊙ sin(x)", lambda G, a, b, y: -G * a.sin()),
    "tanh": Case(lambda a, b: a.tanh(), "G ⊙ (1 − y²)", lambda G, a, b, y: G * (1 - y**2)),
    "sigmoid": Case(
        lambda a, b: a.sigmoid(), "G ⊙ y ⊙ (1 − y)", lambda G, a, b, y: G * y * (1 - y)
    ),
    "relu": Case(lambda a, b: (a - 1).relu(), "G ⊙ [x > 0]", lambda G, a, b, y: G * (a > 1)),
    "abs": Case(lambda a, b: (a - 1).abs(), "G ⊙ sign(x)", lambda G, a, b, y: G * (a - 1).sign()),
    "softmax": Case(
        lambda a, b: a.softmax(1),
        "y ⊙ (G − Σ G⊙y)",
        lambda G, a, b, y: y * (G - (G * y).sum(1, keepdim=True)),
    ),
    "log_softmax": Case(
        lambda a, b: a.log_softmax(1),
        "G − softmax(x)·ΣG",
        lambda G, a, b, y: G - a.softmax(1) * G.sum(1, keepdim=True),
    ),
    "mse": Case(
        lambda a, b: F.mse_loss(a, b), "G·2(a − b)/N", lambda G, a, b, y: G * 2 * (a - b) / N
    ),
    "bce with logits": Case(
        lambda a, b: F.binary_cross_entropy_with_logits(a, b),
        "G·(sigmoid(x) − t)/N",
        lambda G, a, b, y: G * (a.sigmoid() - b) / N,
    ),
    "sum": Case(lambda a, b: a.sum(), "G to every element", lambda G, a, b, y: G.expand(3, 4)),
    "mean": Case(
        lambda a, b: a.mean(), "G/12 to every element", lambda G, a, b, y: (G / N).expand(3, 4)
    ),
    "mean of rows": Case(
        lambda a, b: a.mean(1),
        "G/4 to every element",
        lambda G, a, b, y: (G / 4).unsqueeze(1).expand(3, 4),
    ),
    "left factor": Case(lambda a, b: a @ b.T.clone(), "G·Bᵀ", lambda G, a, b, y: G @ b),
    "right factor": Case(lambda a, b: b.T.clone() @ a, "Aᵀ·G", lambda G, a, b, y: b @ G),
    "layer input": Case(
        lambda a, b: F.linear(a, b, torch.zeros(3)), "G·W", lambda G, a, b, y: G @ b
    ),
    "layer bias": Case(
        lambda a, b: F.linear(b, b, a.flatten()[:3]),
        "G, summed over the rows",
        lambda G, a, b, y: F.pad(G.sum(0), (0, 9)).reshape(3, 4),
    ),
}


def traced(case: Case) -> tuple[Graph, Tensor, Tensor]:
    """The graph of the op's backward; autograd's gradient and the one by hand."""
    generator = torch.Generator().manual_seed(0)
    a = (torch.rand(3, 4, generator=generator) + 0.5).requires_grad_()
    b = torch.rand(3, 4, generator=generator) + 0.5
    y = case.op(a, b)
    G = torch.randn(y.shape, generator=generator)
    with gradscope.trace() as t:
        case.op(a, b).backward(G)
    assert a.grad is not None
    with torch.no_grad():
        by_hand = case.by_hand(G, a, b, y)
    return t.trace.graphs[0][1], a.grad, by_hand


@pytest.mark.parametrize("name", CASES)
def test_the_formula_is_right(name: str) -> None:
    case = CASES[name]
    graph, recorded, by_hand = traced(case)
    torch.testing.assert_close(by_hand, recorded)
    root = graph.structure.roots[0]
    edges = graph.structure.outgoing[root]
    formulas = [rule.formula for edge in edges if (rule := matrix_rule(graph, edge))]
    assert case.formula in formulas


def test_a_weight_gets_the_formula_of_the_weight_itself() -> None:
    x, w = torch.randn(5, 4), torch.randn(3, 4, requires_grad=True)
    b = torch.zeros(3, requires_grad=True)
    G = torch.randn(5, 3)
    with gradscope.trace() as t:
        y = F.linear(x, w, b)
        y.backward(G)
    assert w.grad is not None
    torch.testing.assert_close(G.T @ x, w.grad)
    (stop, *_) = t.flow("w").hops
    assert stop["rule"] == "Gᵀ·X"
    assert "Gᵀ·X  [3, 4] = [3, 5]·[5, 4]" in t.flow("w").text(width=120)


def test_an_unknown_op_has_no_formula() -> None:
    x = torch.randn(3, requires_grad=True)
    with gradscope.trace() as t:
        torch.special.i0(x).sum().backward()
    assert [hop["rule"] for hop in t.flow("x").hops] == ["G to every element", None, None]
