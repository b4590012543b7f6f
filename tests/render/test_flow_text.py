"""The text of one gradient's way: right, plain when asked for, never wider than asked for."""

from __future__ import annotations

import pytest
import torch
from rich.cells import cell_len
from torch import nn

import gradscope
from gradscope.analysis.story import FlowStory, tell_flow
from gradscope.render.flow_text import render_flow_text
from gradscope.render.options import RenderOptions
from gradscope.session import Session


def polynomial() -> Session:
    x = torch.tensor(2.0, requires_grad=True)
    with gradscope.trace() as t:
        y = x**2 + 3 * x - 5
        y.backward()
    return t


def deep(depth: int = 12) -> Session:
    torch.manual_seed(0)
    layers = [part for _ in range(depth) for part in (nn.Linear(8, 8), nn.Sigmoid())]
    net = nn.Sequential(*layers, nn.Linear(8, 1))
    with gradscope.trace() as t:
        loss = net(torch.randn(4, 8)).square().mean()
        loss.backward()
    return t


def story(session: Session, name: str) -> FlowStory:
    return tell_flow(session.trace, name)


def text(session: Session, name: str, **options: object) -> str:
    return render_flow_text(story(session, name), RenderOptions(**options))  # type: ignore[arg-type]


def test_the_tutorials_polynomial_reads_like_a_textbook() -> None:
    lines = text(polynomial(), "x", width=100).splitlines()
    assert lines[0] == "∂y/∂x = 7   at x = 2"
    chain = lines.index("Chain rule: 2 paths, the sum of their products")
    assert lines[chain + 1 : chain + 5] == [
        "  path 1   y ← x**2 ← x    1 · 2·x = 1 · 2·2 = 4",
        "  path 2   y ← 3 * x ← x   1 · 3 = 3",
        "  sum                      = 7",
        "  autograd recorded 7 for x: the same",
    ]
    links = lines.index("Links")
    assert [line.split()[:2] for line in lines[links + 1 :]] == [
        ["∂y/∂(x**2)", "1"],
        ["∂(x**2)/∂x", "2·x"],
        ["∂y/∂(3", "*"],
        ["∂(3", "*"],
    ]


def test_ascii_keeps_the_formulas_readable() -> None:
    said = text(polynomial(), "x", unicode=False)
    assert said.isascii()
    assert "dy/dx = 7   at x = 2" in said
    assert "y <- x**2 <- x    1 * 2*x = 1 * 2*2 = 4" in said
    assert text(deep(2), "0.weight", unicode=False).isascii()


def test_a_vanishing_gradient_is_answered_in_the_first_two_lines() -> None:
    first, second, *_ = text(deep(), "net.0.weight").splitlines()
    assert first.startswith("From loss to net.0.weight the gradient shrinks ")
    assert second.startswith("By: 12 × SigmoidBackward0 at ×0.2")


@pytest.mark.parametrize("width", [60, 72, 80, 100, 120])
@pytest.mark.parametrize("name", ["net.0.weight", "net.12.bias"])
def test_no_line_is_wider_than_the_terminal(width: int, name: str) -> None:
    assert max(map(cell_len, text(deep(), name, width=width).splitlines())) <= width


def test_no_escape_sequence_unless_asked_for() -> None:
    session = deep(3)
    assert "\x1b" not in text(session, "net.0.weight")
    assert "\x1b[" in text(session, "net.0.weight", color=True)


def test_a_long_way_loses_its_middle_and_says_so() -> None:
    said = text(deep(28), "net.0.weight")
    (gap,) = [line for line in said.splitlines() if line.strip().startswith("…")]
    assert len(said.splitlines()) < 60
    assert "ops" in gap
    assert "×" in gap


def test_what_made_a_gradient_exactly_zero_is_named() -> None:
    w = torch.ones(3, requires_grad=True)
    with gradscope.trace() as t:
        h = torch.relu(w * -1)
        loss = h.sum() + 0 * w.sum().detach()
        loss.backward()
    first, second, *_ = text(t, "w").splitlines()
    assert first == "The gradient of w is exactly 0."
    assert second.startswith("By: h at test_flow_text.py:")
    assert second.endswith("(ReluBackward0) sent on zeros.")


def test_what_made_a_gradient_infinite_is_named() -> None:
    x = torch.zeros(3, requires_grad=True)
    with gradscope.trace() as t:
        y = torch.sqrt(x * 2).sum()
        y.backward()
    first, second, *_ = text(t, "x").splitlines()
    assert first == "From y to x the gradient stops being finite."
    assert "(SqrtBackward0) sent on NaN or Inf" in second


def test_every_use_of_a_shared_weight_is_counted() -> None:
    W = torch.full((3, 3), 0.3, requires_grad=True)
    with gradscope.trace() as t:
        h = torch.ones(2, 3)
        for _ in range(4):
            h = torch.tanh(h @ W)
        h.sum().backward()
    said = text(t, "W")
    assert "W is used 4 times; each use brings a part of its gradient" in said
    assert "the way above" in said
    assert "3 other ways lead there" in said


def test_hidden_characters_in_names_are_spelled_out() -> None:
    session = polynomial()
    session.trace.parameters[0].__dict__["name"] = "x\x1b[31m\n\u202eevil"
    said = text(session, "x\x1b[31m\n\u202eevil")
    assert "\x1b" not in said
    assert "\u202e" not in said
    assert "evil" in said


def test_a_measured_link_has_a_star_and_a_footnote() -> None:
    x = torch.tensor(0.5, requires_grad=True)
    with gradscope.trace() as t:
        y = torch.erf(x) * 2
        y.backward()
    said = text(t, "x")
    assert "2 · 0.8788* = 1.758" in said
    assert "* measured" in said


def test_a_gradient_given_to_backward_is_multiplied_in() -> None:
    x = torch.tensor(3.0, requires_grad=True)
    with gradscope.trace() as t:
        y = x**2
        y.backward(torch.tensor(10.0))
    assert "6 · 10 = 60" in text(t, "x")
    assert "autograd recorded 60 for x" in text(t, "x")


def test_a_long_product_is_told_by_its_ends() -> None:
    w = torch.tensor(0.9, requires_grad=True)
    with gradscope.trace() as t:
        h = w
        for _ in range(50):
            h = torch.tanh(h * w + 0.1)
        h.backward()
    said = text(t, "w", width=120)
    assert "more … · " in said
    assert "43 smaller paths" in said
    assert max(map(len, said.splitlines())) <= 120
    assert len(said.splitlines()) < 80
