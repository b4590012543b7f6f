"""The picture of one gradient's way: what is strong, what is pale, what is beside the arrows."""

from __future__ import annotations

import re

import torch
from torch import nn

import gradscope
from gradscope.analysis.story import tell_flow
from gradscope.render.flow_dot import flow_dot
from gradscope.render.image import render_image
from gradscope.render.way import STRONG


def arrows(dot: str) -> list[str]:
    return [line for line in dot.splitlines() if " -> " in line]


def boxes(dot: str) -> list[str]:
    return [line for line in dot.splitlines() if re.match(r"\s*[nf]\d+ \[", line)]


def vanishing() -> str:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 4), nn.Sigmoid(), nn.Linear(4, 1))
    with gradscope.trace() as t:
        loss = net(torch.randn(2, 4)).square().mean()
        loss.backward()
    return flow_dot(tell_flow(t.trace, "net.0.weight"))


def test_the_way_is_strong_and_all_else_pale() -> None:
    dot = vanishing()
    strong = [line for line in arrows(dot) if STRONG in line]
    assert len(strong) == 6  # mean, square, layer, sigmoid, layer, transpose, weight
    assert all("penwidth=4" in line for line in strong)
    assert [line for line in arrows(dot) if STRONG not in line]
    (other,) = [line for line in boxes(dot) if "net.2.weight" in line]
    (weight,) = [line for line in boxes(dot) if "net.0.weight" in line]
    assert STRONG in weight
    assert STRONG not in other
    assert "fontcolor" in other


def test_gains_stand_beside_the_arrows() -> None:
    labels = re.findall(r'label="  (×[^"]*)"', "\n".join(arrows(vanishing())))
    assert len(labels) == 6


def test_local_derivatives_stand_beside_the_arrows_of_a_scalar_graph() -> None:
    x = torch.tensor(2.0, requires_grad=True)
    with gradscope.trace() as t:
        y = x**2 + 3 * x - 5
        y.backward()
    dot = flow_dot(tell_flow(t.trace, "x"))
    labels = re.findall(r'label="  ([^"]*)"', "\n".join(arrows(dot)))
    assert sorted(labels) == sorted(["1", "1", "1", "3", "2·x = 4"])
    assert "∂y/∂x = 4 + 3 = 7" in dot
    assert b"<svg" in render_image(dot, "svg")


def test_without_a_way_nothing_is_changed() -> None:
    x = torch.tensor(2.0, requires_grad=True)
    with gradscope.trace() as t:
        (x**2).backward()
    assert STRONG not in t.report("dot")


def test_a_folded_picture_keeps_the_way() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(*[part for _ in range(60) for part in (nn.Linear(4, 4), nn.Tanh())])
    with gradscope.trace() as t:
        net(torch.randn(2, 4)).square().mean().backward()
    dot = flow_dot(tell_flow(t.trace, "net.0.weight"))
    assert len(boxes(dot)) <= 80
    assert len([line for line in arrows(dot) if STRONG in line]) >= 3
    assert "flagged" not in dot
