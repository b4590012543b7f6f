"""The chain rule with its numbers: a derivative as a sum over paths of products of links.

Only for graphs of single numbers. Every link is a local derivative, by formula where one is
known and agrees with what was recorded, else measured: the ratio of the gradients on both sides.
The sum over all paths has to give the recorded gradient, or nothing is claimed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from gradscope.analysis.chain_terms import Link, Term, largest_terms, sums
from gradscope.analysis.derivatives import derivative
from gradscope.analysis.operands import local_at
from gradscope.analysis.paths import backward_order, sent_along
from gradscope.analysis.symbols import Sym, number
from gradscope.analysis.titles import titles
from gradscope.model.graph import Graph, Structure
from gradscope.model.stats import TensorStats
from gradscope.model.trace import Parameter

MOST_NODES = 2000
_AGREES = {"float64": 1e-6, "float32": 1e-3, "bfloat16": 5e-2, "float16": 1e-2}  # relative
_NEGLIGIBLE = 1e-6  # a link this small, as 1 − y² at saturation, is mostly rounding


@dataclass(frozen=True, slots=True)
class ChainRule:
    """``d root / d target``, written out.

    Attributes:
        root: Node that backward started from.
        target: Node by which the root is derived.
        names: Of every node of the graph.
        seed: Gradient that backward started with; 1 unless the user gave another.
        terms: The largest ones in the order of the user's expressions.
        count: How many paths there are.
        total: Sum over all paths, without the seed.
        recorded: Gradient that the target received.
        links: Local derivative along every edge between root and target.
    """

    root: int
    target: int
    names: tuple[str, ...]
    seed: float
    terms: tuple[Term, ...]
    count: int
    total: float
    recorded: float
    links: dict[int, Link]


def chain_rule(graph: Graph, target: int, parameters: Sequence[Parameter] = ()) -> ChainRule | None:
    """The derivative of the graph's root by ``target``.

    Returns:
        None where something on the way is no single number, nothing was recorded, or the formulas
        do not give what was recorded.
    """
    structure = graph.structure
    if len(structure.roots) != 1 or len(structure.nodes) > MOST_NODES or not graph.backward_ran:
        return None
    root = structure.roots[0]
    above = _above(structure, target)
    between = [node for node in backward_order(structure) if node in above]
    if root == target or root not in between or not _all_single(graph, between):
        return None
    seed, recorded = _scalar(graph.gradient(root)), _scalar(graph.gradient(target))
    if seed is None or not seed or recorded is None:
        return None
    names = titles(structure, parameters)
    links = _links(graph, between, names)
    if links is None:
        return None
    found = sums(structure, between, links, root)
    total, size, count = found[target]
    if not _close(total * seed, recorded, _tolerance(graph, target), abs(size * seed)):
        return None
    terms = largest_terms(structure, links, between, root, target)
    return ChainRule(root, target, names, seed, terms, count, total, recorded, links)


def _above(structure: Structure, target: int) -> frozenset[int]:
    """The target and every node that leads to it."""
    seen = {target}
    stack = [target]
    while stack:
        for edge in structure.incoming[stack.pop()]:
            source = structure.edges[edge].source
            if source not in seen:
                seen.add(source)
                stack.append(source)
    return frozenset(seen)


def _all_single(graph: Graph, nodes: Sequence[int]) -> bool:
    """Whether every node's gradient, or else its shape, has one element."""
    for node in nodes:
        known = graph.gradient(node)
        shape = known.shape if known is not None else graph.structure.nodes[node].shape
        if shape is None or any(size != 1 for size in shape):
            return False
        if graph.structure.nodes[node].inputs > 1:
            return False
    return True


def _scalar(stats: TensorStats | None) -> float | None:
    value = stats.value if stats is not None else None
    return value if value is not None and math.isfinite(value) else None


def _tolerance(graph: Graph, node: int) -> float:
    known = graph.gradient(node)
    return _AGREES.get(known.dtype, 1e-3) if known is not None else 1e-3


def _close(found: float, recorded: float, tolerance: float, size: float) -> bool:
    return abs(found - recorded) <= tolerance * max(abs(recorded), size)


def _links(graph: Graph, between: Sequence[int], names: tuple[str, ...]) -> dict[int, Link] | None:
    """The local derivative along every edge between these nodes; None where one is unknown."""
    inside = frozenset(between)
    found: dict[int, Link] = {}
    for node in between:
        for edge in graph.structure.outgoing[node]:
            if graph.structure.edges[edge].target not in inside:
                continue
            link = _link(graph, names, edge)
            if link is None:
                return None
            found[edge] = link
    return found


def _link(graph: Graph, names: tuple[str, ...], edge: int) -> Link | None:
    here = graph.structure.edges[edge]
    op = graph.structure.nodes[here.source].op
    formula = derivative(op, local_at(graph, names, edge))
    ratio = _measured(graph, edge)
    if formula is None or (ratio is not None and not _agrees(graph, edge, formula, ratio)):
        if ratio is None:
            return None
        return Link(edge, here.source, here.target, "", number(ratio).text, ratio)
    value = formula.value
    if ratio is not None and abs(value - ratio) > 1e-3 * abs(ratio):
        value = ratio
    return Link(edge, here.source, here.target, formula.text, formula.filled, value, formula.is_sum)


def _agrees(graph: Graph, edge: int, formula: Sym, ratio: float) -> bool:
    tolerance = _tolerance(graph, graph.structure.edges[edge].source)
    return _close(formula.value, ratio, tolerance, 0.0) or (
        max(abs(formula.value), abs(ratio)) < _NEGLIGIBLE
    )


def _measured(graph: Graph, edge: int) -> float | None:
    """What came along the edge by what its source received."""
    here = graph.structure.edges[edge]
    received = _scalar(graph.gradient(here.source))
    sent = _scalar(sent_along(graph, edge))
    return sent / received if received and sent is not None else None
