"""Whether the optimizer was given only the rear part of a network, and the front is forgotten."""

from __future__ import annotations

from collections.abc import Sequence

from gradscope.diagnose.around import leaves_of, ops_using, towards_leaves, towards_loss
from gradscope.diagnose.fresh import is_fresh
from gradscope.model.graph import Graph
from gradscope.model.trace import Parameter, Trace


def is_forgotten_front(trace: Trace, graph: Graph, idle: Sequence[Parameter]) -> bool:
    """Whether all that gets a gradient for nothing lies before all that is trained, by mistake.

    It may be fixed on purpose: a single small layer behind it is a probe, weights that were
    trained before are a backbone, and an optimizer that never steps may be for a later phase.

    Args:
        trace: The run.
        graph: One of its graphs.
        idle: The parameters that get a gradient for nothing.
    """
    if any(not optimizer.steps for optimizer in trace.optimizers):
        return False
    known = [fresh for p in idle if (fresh := is_fresh(p)) is not None]
    trained = [p for p in trace.parameters if len(p.updates) and p.kind == "parameter"]
    random = bool(known) and all(known)
    return random and not _is_probe(trained, idle) and _is_before(graph, trained, idle)


def _is_probe(trained: Sequence[Parameter], idle: Sequence[Parameter]) -> bool:
    """Whether one matrix is trained, smaller than all that gets a gradient for nothing."""
    small = sum(p.count for p in trained) < sum(p.count for p in idle)
    return small and sum(len(p.shape) > 1 for p in trained) <= 1


def _is_before(graph: Graph, trained: Sequence[Parameter], idle: Sequence[Parameter]) -> bool:
    """Whether every op of the front leads to trained matrices, and nothing trained lies below.

    Most of what is trained must work on its result: two towers meet in the loss alone. That a
    part of the front also leads to the loss directly, as the divergence in a VAE does, is fine.
    """
    if any(p.index not in leaves_of(graph) for p in idle):
        return False
    structure = graph.structure
    front = ops_using(graph, idle)
    matrices = ops_using(graph, [p for p in trained if len(p.shape) > 1])
    below = front | towards_leaves(structure, front)
    if below & ops_using(graph, trained) or not front <= towards_leaves(structure, matrices):
        return False
    return 2 * len(towards_loss(structure, front) & matrices) >= len(matrices)
