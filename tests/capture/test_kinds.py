"""Tensors of many kinds side by side: what is looked at together is right for each of them."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import gradscope
from gradscope.capture.readable import plain_forms
from tests.capture.reading import assert_measures, labelled, last_graph, parameter

BACKWARDS = 10  # more than are booked at once
LARGE = 40_000


def _freed() -> Tensor:
    tensor = torch.ones(3)
    tensor.untyped_storage().resize_(0)
    return tensor


def _nested() -> Tensor:
    with warnings.catch_warnings(action="ignore"):
        return torch.nested.nested_tensor([torch.ones(2), torch.ones(3)])


@pytest.mark.parametrize("make", [_freed, _nested, lambda: torch.ones(3, device="meta")])
@pytest.mark.parametrize("others", [[torch.ones(2)], [torch.ones(0), torch.eye(2).to_sparse()]])
def test_what_cannot_be_read_is_nan_among_the_rest(
    make: Callable[[], Tensor], others: list[Tensor]
) -> None:
    found = plain_forms([*others, make()])
    assert all(a is b for a, b in zip(found, others, strict=False))
    assert found[-1].isnan().all()


def _parameters(kind: str) -> dict[str, Tensor]:
    torch.manual_seed(0)
    found: dict[str, Tensor] = {"a": nn.Parameter(torch.randn(3)), "b": torch.randn(2, 2)}
    if kind == "empty":
        found["c"] = torch.randn(0, 3)
    elif kind == "double":
        found["c"] = torch.randn(5, dtype=torch.float64)
    elif kind == "half":
        found["c"] = torch.randn(5).half()
    elif kind == "large":
        found["c"] = torch.randn(LARGE)
    return {name: tensor.requires_grad_() for name, tensor in found.items()}


KINDS = ["plain", "empty", "double", "half", "large"]


def _rms(tensor: Tensor) -> float:
    return float(tensor.double().square().mean().sqrt())


@pytest.mark.parametrize("kind", KINDS)
def test_sizes_of_updates(kind: str) -> None:
    given = _parameters(kind)
    a, b = given["a"], given["b"]
    c = given.get("c", a)
    optimizer = torch.optim.SGD(given.values(), lr=0.5)
    expected: dict[str, list[tuple[float, float, float]]] = {name: [] for name in given}
    with gradscope.trace() as session:
        for i in range(BACKWARDS):
            optimizer.zero_grad(set_to_none=i % 3 == 0)
            (a.sin().sum() + c.sin().sum() + (b.sin().sum() if i % 2 else 0)).backward()
            before = {name: p.detach().clone() for name, p in given.items()}
            optimizer.step()
            for name, p in given.items():
                if p.grad is not None:
                    moved = p.detach() - before[name]
                    norm = float(p.grad.double().norm())
                    expected[name].append((norm, _rms(before[name]), _rms(moved)))
    for name, p in given.items():
        rows = parameter(session.trace, name).updates
        found = zip(rows.grad_norm, rows.value_rms, rows.update_rms, strict=True)
        loose = 0.05 if p.numel() == LARGE else 2e-3 if p.dtype is torch.float16 else 1e-4
        same: Any = [pytest.approx(row, rel=loose, abs=1e-6, nan_ok=True) for row in expected[name]]
        assert list(found) == same
    assert not session.trace.dropped


@pytest.mark.parametrize("kind", KINDS)
def test_values_of_leaves(kind: str) -> None:
    given = _parameters(kind)
    a, b = given["a"], given["b"]
    c = given.get("c", a)
    with gradscope.trace() as session:
        (a.sum() + b.sum() + c.sum()).backward()
    graph = last_graph(session)
    for name, p in given.items():
        assert_measures(graph.value(labelled(graph, name).id), p)


def test_leaves_made_anew_stay_the_optimizers() -> None:
    w = torch.ones(3, requires_grad=True)
    optimizer = torch.optim.SGD([w], lr=0.1)
    with gradscope.trace() as session:
        for i in range(BACKWARDS):
            optimizer.zero_grad()
            (w * 2).sum().backward()
            optimizer.step()
            if i % 3 == 2:
                w = w.detach().clone().requires_grad_()
                optimizer.param_groups[0]["params"][0] = w
    (leaf,) = session.trace.parameters
    assert [update.by for update in session.trace.updates] == ["optimizer"] * BACKWARDS
    assert leaf.optimizers == ("SGD",)
    assert not any(leaf.updates.carried)
    assert list(leaf.updates.grad_norm) == [pytest.approx(2 * math.sqrt(3))] * BACKWARDS


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor")
def test_a_parameter_that_joins_and_one_that_is_no_leaf_any_more() -> None:
    a, b = torch.ones(2, requires_grad=True), torch.ones(2)
    optimizer = torch.optim.SGD([a], lr=0.1)
    c = torch.ones(2, requires_grad=True)
    with gradscope.trace() as session:
        for i in range(6):
            optimizer.zero_grad()
            (a.sum() + c.sum()).backward()
            if i == 2:
                optimizer.add_param_group({"params": [b, c]})
            if i == 4:
                b += c  # from now on b is a result
            optimizer.step()
    assert [update.parameters for update in session.trace.updates] == [1, 1, 2, 2, 2, 2]
    assert parameter(session.trace, "c").optimizers == ("SGD",)
    assert list(parameter(session.trace, "c").updates.update) == [2, 3, 4, 5]
    assert not session.trace.dropped
