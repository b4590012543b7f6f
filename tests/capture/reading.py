"""Short ways to ask a finished trace for what a test wants to compare."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from gradscope.model.graph import Graph, Node
from gradscope.model.stats import TensorStats
from gradscope.model.trace import Parameter, Step, Trace
from gradscope.session import Session


def graphs(session: Session) -> list[Graph]:
    """The whole graphs of a run, in the order of their steps."""
    return [graph for _, graph in session.trace.graphs]


def last_graph(session: Session) -> Graph:
    assert not session.trace.dropped, dict(session.trace.dropped)
    return graphs(session)[-1]


def ops(graph: Graph) -> list[Node]:
    """Everything but leaves, in forward order."""
    nodes = [n for n in graph.structure.nodes if n.order >= 0]
    return sorted(nodes, key=lambda n: n.order)


def op(graph: Graph, name: str) -> Node:
    """The only node with this autograd name (``Mul`` for ``MulBackward0``)."""
    found = named(graph, name)
    assert len(found) == 1, f"{len(found)} nodes are called {name}: {[n.op for n in ops(graph)]}"
    return found[0]


def named(graph: Graph, name: str) -> list[Node]:
    """Every node with this autograd name, in forward order."""
    wanted = (name, f"{name}Backward", f"{name}Backward0")
    return [n for n in ops(graph) if n.op in wanted]


def leaves(graph: Graph) -> list[Node]:
    return [n for n in graph.structure.nodes if n.parameter is not None]


def labels(graph: Graph) -> set[str]:
    return {n.label for n in graph.structure.nodes if n.label}


def labelled(graph: Graph, label: str) -> Node:
    """The only node of that name."""
    found = [n for n in graph.structure.nodes if n.label == label]
    assert len(found) == 1, f"{len(found)} nodes are called {label}: {sorted(labels(graph))}"
    return found[0]


def parameter(trace: Trace, name: str) -> Parameter:
    found = [p for p in trace.parameters if p.name == name]
    assert len(found) == 1, f"{name} is not one of {[p.name for p in trace.parameters]}"
    return found[0]


def ledger(session: Session, name: str) -> list[tuple[int, int]]:
    """Per update of a parameter: fresh and carried contributions."""
    updates = parameter(session.trace, name).updates
    return list(zip(updates.fresh, updates.carried, strict=True))


def only_step(session: Session) -> Step:
    (step,) = session.trace.steps
    return step


def unattributed(graph: Graph) -> list[str]:
    """Ops without the torch call or the line that made them."""
    return [n.op for n in ops(graph) if not n.call or n.source is None or not n.source.text]


def assert_measures(stats: TensorStats | None, tensor: Tensor) -> None:
    """The statistics are those of ``tensor``, to float32 rounding."""
    assert stats is not None
    plain = tensor.detach()
    plain = plain if plain.layout is torch.strided else plain.to_dense()
    assert stats.shape == tuple(plain.shape)
    assert stats.dtype == str(plain.dtype).removeprefix("torch.")
    assert stats.count == plain.numel()
    wide = plain.to(torch.complex128 if plain.is_complex() else torch.float64)
    norm = math.sqrt(float((wide.abs() ** 2).sum()))
    assert stats.l2_norm == pytest.approx(norm, rel=2e-6, nan_ok=True)
    if plain.numel() == 0:
        assert stats.min is stats.max is stats.zero_fraction is stats.value is None
        return
    zeros = float((wide == 0).double().mean())
    assert stats.zero_fraction == pytest.approx(zeros, abs=1e-6 if not stats.zero_sampled else 0.05)
    if plain.is_complex():
        assert stats.min is stats.max is stats.value is None
        return
    assert (stats.min, stats.max) == (float(wide.min()), float(wide.max()))
    assert stats.value == (float(wide) if plain.numel() == 1 else None)
