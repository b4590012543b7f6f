"""The terms of a loss, and how much gradient each of them sends to what they share."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from gradscope.analysis.paths import edge_norm, op_base, role
from gradscope.diagnose.around import towards_leaves
from gradscope.model.graph import Graph, Node, Structure

_SUMS = frozenset({"Add", "Sub", "Rsub", "Stack", "Cat", "Sum", "Mean"})
_SCALES = frozenset({"Mul", "Div", "Neg"})
_PENALTIES = frozenset(
    ("Pow", "Abs", "Norm", "LinalgVectorNorm", "Mul", "Sum", "Mean", "Dot", "View", "Cat")
)
MOST = 16


@dataclass(frozen=True, slots=True)
class Term:
    """One summand of a loss.

    Attributes:
        node: Where it ends, at the loss's side.
        norm: Of the gradient that it sends to what other terms lead to as well.
        weighted: Whether it was multiplied by a number of its own, or its gradient by one in a
            custom ``autograd.Function``.
    """

    node: Node
    norm: float
    weighted: bool


def terms(graph: Graph) -> tuple[Term, ...]:
    """The summands whose gradients meet, those that only hold weights down left out."""
    structure = graph.structure
    ends = _ends(structure) if has_terms(structure) else {}
    reached = {end: towards_leaves(structure, [end]) | {end} for end in ends}
    owners: dict[int, set[int]] = {}
    for end, nodes in reached.items():
        for node in nodes:
            owners.setdefault(node, set()).add(end)
    return tuple(
        Term(structure.nodes[end], norm, weighted or _is_custom(structure, reached[end], owners))
        for end, weighted in sorted(ends.items())
        if not _is_penalty(structure, reached[end], owners)
        and (norm := _sent(graph, end, reached[end], owners)) is not None
    )


def has_terms(structure: Structure) -> bool:
    """Whether a loss of several terms is learned from; a formula is only differentiated."""
    learns = any(node.kind == "parameter" for node in structure.nodes)
    return learns and 2 <= len(_ends(structure)) <= MOST


def _ends(structure: Structure) -> dict[int, bool]:
    """The summands of the only root, each with whether it has a factor of its own."""
    if len(structure.roots) != 1:
        return {}
    found: dict[int, bool] = {}
    stack = [(structure.roots[0], False)]
    seen = set(structure.roots)
    while stack:
        node, weighted = stack.pop()
        inner = _summands(structure, node)
        if not inner:
            found[node] = weighted
        scaled = op_base(structure.nodes[node].op) in _SCALES
        kept = (weighted or scaled) and len(inner) == 1
        stack += [(child, kept) for child in inner if child not in seen]
        seen.update(inner)
    return found


def _summands(structure: Structure, node: int) -> list[int]:
    """What a number is a sum of, or a multiple of; nothing where it is neither."""
    here = structure.nodes[node]
    children = [structure.edges[edge].target for edge in structure.outgoing[node]]
    numbers = all(_is_number(structure, child) for child in children)
    if not children or not numbers or structure.nodes[children[0]].kind in ("parameter", "input"):
        return []
    base = op_base(here.op)
    if base in _SUMS or role(here.op) == "move":
        return children
    return children if base in _SCALES and len(children) == 1 else []


def _is_number(structure: Structure, node: int) -> bool:
    shape = structure.nodes[node].shape
    few = shape is not None and len(shape) == 1 and shape[0] <= MOST
    stacked = few and op_base(structure.nodes[node].op) in ("Stack", "Cat")
    return shape is not None and (math.prod(shape) == 1 or stacked)


def _sent(graph: Graph, end: int, mine: set[int], owners: dict[int, set[int]]) -> float | None:
    """Norm of what goes from a term's own nodes to those that it shares."""
    norms = [
        norm
        for node in mine
        if owners[node] == {end}
        for edge in graph.structure.outgoing[node]
        if len(owners[graph.structure.edges[edge].target]) > 1
        and (norm := edge_norm(graph, edge)) is not None
    ]
    return math.hypot(*norms) if norms else None


def _is_custom(structure: Structure, mine: set[int], owners: dict[int, set[int]]) -> bool:
    """Whether a backward written in Python is among the term's own nodes: torch's have a number."""
    own = [node for node in mine if len(owners[node]) == 1]
    return any(op.endswith("Backward") for op in _ops(structure, own))


def _is_penalty(structure: Structure, mine: set[int], owners: dict[int, set[int]]) -> bool:
    """Whether the term is computed from weights alone: decay written by hand."""
    own = [node for node in mine if len(owners[node]) == 1]
    return all(op_base(op) in _PENALTIES for op in _ops(structure, own)) and all(
        structure.nodes[node].kind in ("parameter", "input") or len(owners[node]) == 1
        for node in mine
    )


def _ops(structure: Structure, nodes: list[int]) -> Iterator[str]:
    for node in nodes:
        if structure.nodes[node].kind not in ("parameter", "input"):
            yield structure.nodes[node].op
