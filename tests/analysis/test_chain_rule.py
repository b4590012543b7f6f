"""The chain rule's numbers against plain ``torch.autograd``."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import gradscope
from gradscope.analysis.chain_rule import ChainRule
from gradscope.analysis.story import tell_flow
from gradscope.session import Session

Function = Callable[[Tensor, Tensor], Tensor]
C = torch.tensor(5.0)

EXPRESSIONS: dict[str, Function] = {
    "polynomial": lambda x, b: x**2 + 3 * x - 5,
    "line": lambda x, b: x * b + b,
    "difference": lambda x, b: x - 2 * b - x.sub(b, alpha=3),
    "reversed difference": lambda x, b: (5 - x) * (1 - b),
    "quotient": lambda x, b: x / b + x / 4 + 2 / x,
    "constant tensors": lambda x, b: C * x + x * C - x / C + C / b,
    "negation": lambda x, b: -x * -b,
    "powers": lambda x, b: x**3 + x**-1 + x**0.5 + x**b + 2**x + b**1 + x.square(),
    "roots": lambda x, b: torch.sqrt(x) + torch.rsqrt(b) + x.reciprocal(),
    "exponentials": lambda x, b: torch.exp(x) * torch.exp(-b) + torch.expm1(x) + torch.exp2(b),
    "logarithms": lambda x, b: torch.log(x * b) + torch.log1p(x) + torch.log2(b) + torch.log10(x),
    "circles": lambda x, b: torch.sin(x) * torch.cos(x * b) + torch.tan(b) + torch.atan(x),
    "hyperbolas": lambda x, b: torch.sinh(x) + torch.cosh(b) + torch.tanh(x - b),
    "sigmoids": lambda x, b: torch.sigmoid(x) + F.softplus(b) + F.logsigmoid(x - b),
    "kinks": lambda x, b: torch.relu(x) + torch.relu(-b) + torch.abs(-x) + F.leaky_relu(-b, 0.1),
    "mse": lambda x, b: F.mse_loss(x, b) + F.mse_loss(x * b, C) + nn.MSELoss()(C, b),
    "bce": lambda x, b: F.binary_cross_entropy(torch.sigmoid(x), torch.tensor(1.0)),
    "bce with logits": lambda x, b: F.binary_cross_entropy_with_logits(x, torch.tensor(0.0)),
    "reductions": lambda x, b: x.sum() * b.mean() + x.reshape(1, 1).squeeze(),
    "matrices of one": lambda x, b: (x.view(1, 1) @ b.view(1, 1) @ C.view(1, 1)).sum(),
    "dot": lambda x, b: torch.dot(x.view(1), b.view(1)) + x.view(1) @ C.view(1),
    "linear": lambda x, b: F.linear(C.view(1, 1), x.view(1, 1), b.view(1)).sum(),
    "twice": lambda x, b: (x + b) * (x + b) + (x * x) * (x * b),
    "deep": lambda x, b: torch.tanh(torch.sin(torch.exp(-x * b) + x) ** 2) / (1 + x**2),
}


def leaves(dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    return (
        torch.tensor(0.75, dtype=dtype, requires_grad=True),
        torch.tensor(1.5, dtype=dtype, requires_grad=True),
    )


def rule(session: Session, name: str) -> ChainRule:
    found = tell_flow(session.trace, name).route.chain
    assert found is not None, f"no chain rule for {name}"
    return found


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_the_products_add_up_to_what_autograd_gives(name: str) -> None:
    x, b = leaves()
    expected = torch.autograd.grad(EXPRESSIONS[name](x, b), (x, b), allow_unused=True)
    with gradscope.trace() as t:
        y = EXPRESSIONS[name](x, b)
        y.backward()
    gradients: list[Tensor | None] = list(expected)
    for leaf, gradient in zip(("x", "b"), gradients, strict=True):
        if gradient is None:
            continue
        found = rule(t, leaf)
        assert found.total == pytest.approx(gradient.item(), rel=1e-4, abs=1e-6)
        assert not [link for link in found.links.values() if link.is_measured]
        assert all(link.formula for link in found.links.values())


def test_every_path_of_the_tutorials_polynomial() -> None:
    x = torch.tensor(2.0, requires_grad=True)
    with gradscope.trace() as t:
        y = x**2 + 3 * x - 5
        y.backward()
    found = rule(t, "x")
    assert x.grad is not None
    assert found.total == found.recorded == x.grad.item() == 7
    told = [(path.nodes, [link.formula for link in path.links]) for path in found.terms]
    names = [([found.names[n] for n in nodes], formulas) for nodes, formulas in told]
    assert names == [
        (["y", "x**2", "x"], ["1", "2·x"]),
        (["y", "3 * x", "x"], ["1", "3"]),
    ]
    assert [path.product for path in found.terms] == [4, 3]
    assert [path.links[-1].filled for path in found.terms] == ["2·2", "3"]


def test_a_line_in_one_point() -> None:
    x = torch.tensor(1.0, requires_grad=True)
    W = torch.tensor(2.0, requires_grad=True)
    b = torch.tensor(3.0, requires_grad=True)
    with gradscope.trace() as t:
        y = W * x + b
        y.backward()
    assert [rule(t, name).total for name in ("x", "W", "b")] == [2, 1, 1]
    assert [rule(t, n).terms[0].links[-1].formula for n in ("x", "W", "b")] == ["W", "x", "1"]


def test_a_model_of_one_weight() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(1, 1), nn.Sigmoid(), nn.Linear(1, 1))
    with gradscope.trace() as t:
        loss = (net(torch.tensor([[2.0]])) - torch.tensor([[1.0]])) ** 2
        loss.backward()
    for name, parameter in net.named_parameters():
        assert parameter.grad is not None
        found = rule(t, f"net.{name}")
        assert found.total == pytest.approx(parameter.grad.item(), rel=1e-4)
        assert all(link.formula for link in found.links.values())


def test_time_is_a_sum_over_paths() -> None:
    w = torch.tensor(0.5, requires_grad=True)
    with gradscope.trace() as t:
        h = torch.tensor(0.3)
        for _ in range(12):
            h = torch.tanh(w * h + 0.1)
        h.backward()
    assert w.grad is not None
    found = rule(t, "w")
    assert found.count == 12
    assert len(found.terms) == 8
    assert found.total == pytest.approx(w.grad.item(), rel=1e-4)
    shown = sum(path.product for path in found.terms)
    assert shown == pytest.approx(w.grad.item(), rel=1e-2)  # the largest ones


def test_a_million_paths_are_counted_not_walked() -> None:
    x = torch.tensor(1.0, dtype=torch.float64, requires_grad=True)
    with gradscope.trace() as t:
        y = x
        for _ in range(60):
            y = y * 0.5 + y * 0.5
        y.backward()
    found = rule(t, "x")
    assert found.count == 2**60
    assert found.total == pytest.approx(1.0)
    assert len(found.terms) == 8


def test_what_has_no_formula_is_measured_and_says_so() -> None:
    x, _ = leaves()
    with gradscope.trace() as t:
        y = torch.erf(x) * 2
        y.backward()
    assert x.grad is not None
    found = rule(t, "x")
    assert [link.is_measured for link in found.terms[0].links] == [False, True]
    assert found.total == pytest.approx(x.grad.item(), rel=1e-5)


class Reversed(torch.autograd.Function):
    @staticmethod
    def forward(ctx: object, x: Tensor) -> Tensor:
        return x * 1

    @staticmethod
    def backward(ctx: object, gradient: Tensor) -> Tensor:
        return -gradient


def test_a_formula_that_a_hook_contradicts_is_withdrawn() -> None:
    x, _ = leaves()
    with gradscope.trace() as t:
        h = x * 3
        h.register_hook(lambda gradient: gradient * 10)
        y = h**2
        y.backward()
    assert x.grad is not None
    found = tell_flow(t.trace, "x").route.chain
    assert found is None or found.total == pytest.approx(x.grad.item(), rel=1e-4)


def test_a_custom_function_counts_as_it_is() -> None:
    x, _ = leaves()
    with gradscope.trace() as t:
        y = Reversed.apply(x) ** 2  # type: ignore[no-untyped-call]
        y.backward()
    assert x.grad is not None
    assert rule(t, "x").total == pytest.approx(x.grad.item(), rel=1e-5)


def test_the_gradient_given_to_backward_is_told() -> None:
    x, _ = leaves()
    with gradscope.trace() as t:
        y = x**2
        y.backward(torch.tensor(10.0))
    found = rule(t, "x")
    assert (found.total, found.seed, found.recorded) == (1.5, 10, 15)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_other_precisions(dtype: torch.dtype) -> None:
    x, b = leaves(dtype)
    with gradscope.trace() as t:
        y = torch.tanh(x * b) ** 2 + x / b
        y.backward()
    assert x.grad is not None
    assert rule(t, "x").total == pytest.approx(x.grad.item(), rel=3e-2)


def test_tensors_have_no_chain_rule_of_numbers() -> None:
    x = torch.ones(3, requires_grad=True)
    with gradscope.trace() as t:
        y = (x**2).sum()
        y.backward()
    assert tell_flow(t.trace, "x").route.chain is None


def test_a_gradient_of_nan_has_none_either() -> None:
    x = torch.tensor(0.0, requires_grad=True)
    with gradscope.trace() as t:
        y = torch.sqrt(x) * 0
        y.backward()
    assert tell_flow(t.trace, "x").route.chain is None
