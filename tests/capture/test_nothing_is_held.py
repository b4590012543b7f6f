"""Nothing of the user's is held while its numbers wait: what they free or reuse is theirs."""

from __future__ import annotations

import gc
import math
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import gradscope
from gradscope.capture.readable import is_wrapped


@pytest.fixture(autouse=True)
def _collects() -> Iterator[None]:
    yield
    gc.enable()


class _Reused(torch.autograd.Function):
    """Its backward returns the same memory every time."""

    buffer = torch.zeros(3)

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        _Reused.buffer.copy_(gradient)
        return _Reused.buffer.view(3)


def _reuse() -> Tensor:
    x = torch.ones(3, requires_grad=True)
    for factor in (1, 2):
        (_Reused.apply(x) * factor).sum().backward()  # type: ignore[no-untyped-call]
    assert x.grad is not None
    return x.grad


def test_a_gradient_in_reused_memory_adds_up_as_without_us() -> None:
    plain = _reuse()
    with gradscope.trace():
        assert torch.equal(_reuse(), plain)


def test_a_storage_that_is_freed_is_not_read() -> None:
    w = torch.ones(4, requires_grad=True)
    with gradscope.trace() as t:
        for _ in range(3):
            h = w * 3
            h.sum().backward()
            h.untyped_storage().resize_(0)
        w.data.untyped_storage().resize_(0)
    assert len(t.trace.steps) == 3


def test_a_piece_does_not_keep_the_whole_alive() -> None:
    w = torch.ones(1, requires_grad=True)
    with gradscope.trace():
        for _ in range(3):
            y = w * torch.ones(1_000_000)
            torch.cat([y[:10].tanh(), y[10:]])[:10].sum().backward()
        del y
        tensors = [found for found in gc.get_objects() if type(found) is Tensor]
        assert not [found for found in tensors if found.numel() and _bytes(found) > 1_000_000]


def _bytes(tensor: Tensor) -> int:
    has_storage = tensor.layout is torch.strided and not is_wrapped(tensor)
    return tensor.untyped_storage().nbytes() if has_storage else 0


def test_other_memory_formats_are_measured() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    with gradscope.trace() as t:
        for _ in range(3):
            net(torch.ones(2, 3, 5, 5)).sum().backward()
    assert not t.trace.dropped
    assert all(math.isfinite(n) for p in t.trace.parameters for n in p.gradients.norm)


@pytest.mark.parametrize("change", ["data", "numpy"])
def test_a_change_that_no_version_tells_comes_too_late(change: str) -> None:
    x = torch.ones(3, requires_grad=True)

    def spoil(gradient: Tensor) -> None:
        if change == "data":
            gradient.data.mul_(5)
        else:
            gradient.numpy()[:] = 7

    with gradscope.trace() as t:
        tripled = x * 3
        tripled.register_hook(spoil)  # an addition hands on what it gets
        ((tripled + 1) * 2).sum().backward()
    graph = t.trace.graphs[0][1]
    add = next(n.id for n in graph.structure.nodes if n.op == "AddBackward0")
    stats = graph.gradient(add)
    assert stats is not None
    assert stats.max == 2.0


def test_the_users_gc_disable_holds() -> None:
    x = torch.ones(3, requires_grad=True)
    seen = []

    def stop(_gradient: Tensor) -> None:
        seen.append(gc.isenabled())
        gc.disable()

    x.register_hook(stop)
    with gradscope.trace():
        (x * 2).sum().backward()
        assert not gc.isenabled()
    assert seen == [True]


def test_numbers_are_reduced_outside_autocast() -> None:
    net = nn.Linear(4, 4).bfloat16()
    with gradscope.trace() as t:
        for _ in range(40):
            with torch.autocast("cpu", torch.float16):
                net(torch.ones(2, 4)).float().sum().backward()
                net(torch.ones(2, 4)).tanh().sum().backward()
    assert not t.trace.dropped


def test_a_model_without_memory_costs_no_other_graph() -> None:
    real, empty = nn.Linear(3, 3), nn.Linear(3, 3, device="meta")
    with gradscope.trace() as t:
        for _ in range(2):
            real(torch.ones(2, 3)).sum().backward()
            empty(torch.ones(2, 3, device="meta")).sum().backward()
    assert len(t.trace.graphs) == 4
    assert not t.trace.notes
