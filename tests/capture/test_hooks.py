"""Hooks on nodes: the user's own stay theirs, ours leave nothing behind and cost few objects."""

from __future__ import annotations

import gc
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.autograd.graph import get_gradient_edge

import gradscope
from gradscope.analysis.paths import edge_norm, sent_nothing
from gradscope.capture.hooks import Hooks
from tests.capture.reading import last_graph, leaves, named, op

LENGTH = 300


class _Heard:
    """Counts calls of hooks by name."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def hook(self, name: str) -> Any:
        return lambda *_: self.calls.append(name)


def test_the_users_hooks_on_nodes_are_called_at_their_node_alone() -> None:
    x, heard = torch.ones(3, requires_grad=True), _Heard()
    leaf = get_gradient_edge(x).node  # alive between the backwards, with ours on it
    with gradscope.trace() as t:
        y = (x * x).sin()
        y.sum().backward(retain_graph=True)
        assert y.grad_fn is not None
        handles = [
            y.grad_fn.register_hook(heard.hook("after sin")),
            y.grad_fn.register_prehook(heard.hook("before sin")),
            leaf.register_prehook(heard.hook("before leaf")),
            leaf.register_hook(heard.hook("after leaf")),
        ]
        y.sum().backward(retain_graph=True)
        assert heard.calls == ["before sin", "after sin", "before leaf", "after leaf"]
        for handle in handles:
            handle.remove()
        y.sum().backward()
    assert len(heard.calls) == 4
    assert x.grad is not None
    assert len(last_graph(t).gradients) == 4


def test_hooks_that_were_there_before_are_called_and_stay() -> None:
    x, heard = torch.ones(3, requires_grad=True), _Heard()
    leaf = get_gradient_edge(x).node
    leaf.register_hook(heard.hook("after"))
    leaf.register_prehook(heard.hook("before"))
    with gradscope.trace():
        for _ in range(2):
            (x * x).sum().backward()
    (x * x).sum().backward()
    assert heard.calls == ["before", "after"] * 3


def test_a_nested_backward_over_the_same_leaf_does_not_take_its_hook_away() -> None:
    x = torch.ones(3, requires_grad=True)

    def again(_: Tensor) -> None:
        with torch.enable_grad():
            (x * 3).sum().backward()

    with gradscope.trace() as t:
        y = x * 2
        y.register_hook(again)
        y.sum().backward()
    assert x.grad is not None
    inner, outer = sorted(t.trace.steps, key=lambda step: step.nested_in is None)
    assert (inner.nested_in, outer.nested_in) == (outer.index, None)
    for step, size in ((inner, 3.0), (outer, 2.0)):
        assert step.graph is not None
        (found,) = leaves(step.graph)
        assert step.graph.gradient_rms(found.id) == pytest.approx(size)


def test_without_the_short_way_torchs_own_handles_do() -> None:
    x, heard = torch.ones(3, requires_grad=True), _Heard()
    y = (x * x).sin()
    hooks = Hooks()
    hooks.before([y.grad_fn], heard.hook("before"))
    hooks.after([y.grad_fn], heard.hook("after"))
    y.sum().backward(retain_graph=True)
    hooks.remove()
    y.sum().backward()
    assert heard.calls == ["before", "after"]


def _objects_per_node() -> float:
    """Objects that the collector would have to look at, more at the end of a backward."""
    x, counts = torch.ones(3, requires_grad=True), []
    for _ in range(40):
        y = x
        for _ in range(LENGTH):
            y = y.sin()
        loss, handle = y.sum(), x.register_hook(lambda _: counts.append(gc.get_count()[0]))
        before = gc.get_count()[0]
        loss.backward()
        counts[-1] -= before
        handle.remove()
        x.grad = None
        del y, loss
    return counts[-1] / LENGTH


def test_listening_costs_few_objects_of_the_garbage_collectors() -> None:
    was_on = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        plain = _objects_per_node()
        with gradscope.trace():
            traced = _objects_per_node()
    finally:
        if was_on:
            gc.enable()
    # Torch's wrapper of the node, and a copy of its gradient: 2. A hook for each node made it 7.
    assert traced - plain < 3


def test_what_comes_along_an_edge_alone_is_what_the_output_received() -> None:
    w = torch.ones(2, 4, requires_grad=True)
    with gradscope.trace() as t:
        a, b = (w * 2).chunk(2, dim=1)
        (a.sum() + 3 * b.sum()).backward()
    graph = last_graph(t)
    split = op(graph, "Split")
    edges = graph.structure.incoming[split.id]
    assert not graph.contributions
    assert sorted(edge_norm(graph, edge) or 0 for edge in edges) == [2.0, 6.0]
    assert not any(sent_nothing(graph, edge) for edge in edges)


def test_what_backward_starts_from_meets_what_comes_along_an_edge() -> None:
    x = torch.tensor(2.0, requires_grad=True)
    with gradscope.trace() as t:
        y = x * 3
        torch.autograd.backward([y * 5, y])
    graph = last_graph(t)
    first = next(n for n in named(graph, "Mul") if n.label == "y")
    (edge,) = graph.structure.incoming[first.id]
    assert edge_norm(graph, edge) == 5.0
    assert graph.gradient_rms(first.id) == 6.0


@pytest.mark.parametrize("steps", [2, 200])  # the last graph is one of those that are kept, or not
def test_a_transposed_weight_of_a_recurrence_never_shows_the_gradient_of_all_its_uses(
    steps: int,
) -> None:
    cell, x = nn.RNNCell(2, 3), torch.ones(1, 2)
    with gradscope.trace() as t:
        for _ in range(steps):
            h: Tensor = torch.zeros(1, 3)
            for _ in range(10):
                h = cell(x, h)
            cell.zero_grad()
            h.sum().backward()
    graph = last_graph(t)
    (weight,) = (n for n in leaves(graph) if n.label == "cell.weight_ih")
    uses = [graph.structure.edges[e].source for e in graph.structure.incoming[weight.id]]
    sizes = [graph.gradient_rms(use) for use in uses]
    assert len(sizes) == 10
    assert cell.weight_ih.grad is not None
    total = cell.weight_ih.grad.pow(2).mean().sqrt().item()
    assert all(size != pytest.approx(total, rel=1e-3) for size in sizes)
    assert (sizes[0] is None) == (steps > 2)
