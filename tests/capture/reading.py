"""Short ways to ask a finished trace for what a test wants to compare."""

from __future__ import annotations

import math

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
    return graphs(session)[-1]


def ops(graph: Graph) -> list[Node]:
    """Everything but leaves, in forward order."""
    nodes = [n for n in graph.structure.nodes if n.kind in ("op", "loss") and n.order >= 0]
    return sorted(nodes, key=lambda n: n.order)


def op(graph: Graph, name: str) -> Node:
    """The only node with this autograd name (``Mul`` for ``MulBackward0``)."""
    found = [n for n in graph.structure.nodes if n.op in (name, f"{name}Backward0")]
    assert len(found) == 1, f"{len(found)} nodes are called {name}: {[n.op for n in ops(graph)]}"
    return found[0]


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


def ledger(trace: Trace, name: str) -> list[tuple[int, int]]:
    """Per update of a parameter: fresh and carried contributions."""
    updates = parameter(trace, name).updates
    return list(zip(updates.fresh, updates.carried, strict=True))


def only_step(session: Session) -> Step:
    (step,) = session.trace.steps
    return step


def assert_measures(stats: TensorStats | None, tensor: Tensor) -> None:
    """Statistics are those of ``tensor``, to float32 rounding."""
    assert stats is not None
    plain = tensor.detach()
    plain = plain.to_dense() if plain.layout is not torch.strided else plain
    assert stats.shape == tuple(plain.shape)
    assert stats.dtype == str(plain.dtype).removeprefix("torch.")
    assert stats.count == plain.numel()
    wide = plain.to(torch.complex128 if plain.is_complex() else torch.float64)
    norm = math.sqrt(float((wide.abs() ** 2).sum()))
    assert stats.l2_norm == (
        norm if not math.isfinite(norm) else _close(norm)
    ), f"{stats.l2_norm} is not {norm}"
    if plain.numel() == 0 or plain.is_complex():
        assert stats.min is stats.max is None
        return
    assert stats.min == float(wide.min())
    assert stats.max == float(wide.max())
    if not stats.zero_sampled:
        zeros = float((wide == 0).double().mean())
        assert stats.zero_fraction is not None
        assert abs(stats.zero_fraction - zeros) < 1e-6
    assert stats.value == (float(wide) if plain.numel() == 1 else None)


class _close:
    """Equal to float32 rounding."""

    def __init__(self, wanted: float) -> None:
        self.wanted = wanted

    def __eq__(self, other: object) -> bool:
        return isinstance(other, float) and math.isclose(
            other, self.wanted, rel_tol=2e-6, abs_tol=1e-38
        )

    def __hash__(self) -> int:
        return hash(self.wanted)
