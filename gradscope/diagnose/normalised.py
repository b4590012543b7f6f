"""Weights that were normalised over the rows: what is summed with them is a mean already."""

from __future__ import annotations

from collections.abc import Callable

from gradscope.analysis.paths import op_base, role
from gradscope.diagnose.around import inputs_of
from gradscope.model.graph import Graph, Node

_FACTORS = frozenset({"Mul", "Neg"})  # a product, and its sign
_LINEAR = frozenset({"Add", "Sub", "Rsub", "Div", "Mul", "Neg"})
_SOFTMAXES = frozenset({"Softmax", "LogSoftmax"})
_MOST = 64  # nodes between an exponential and what it is normalised by


def has_normalised_factor(graph: Graph, product: int) -> bool:
    """Whether some factor of a product has a total over its rows (index 0) that is fixed."""
    return any(_is_normalised(graph, i) for i in _behind(graph, product, _is_factor))


def _is_factor(node: Node) -> bool:
    return op_base(node.op) in _FACTORS


def _is_linear(node: Node) -> bool:
    return op_base(node.op) in _LINEAR or role(node.op) == "move"


def _behind(graph: Graph, start: int, passed: Callable[[Node], bool]) -> list[int]:
    """The first ops towards the leaves that are not passed through."""
    nodes, seen, stack = graph.structure.nodes, {start}, [start]
    found: list[int] = []
    while stack and len(seen) < _MOST:
        for below in inputs_of(graph.structure, stack.pop()):
            if below in seen:
                continue
            seen.add(below)
            (stack if passed(nodes[below]) else found).append(below)
    return found


def _is_normalised(graph: Graph, index: int) -> bool:
    """A softmax, a quotient by a sum, or an exponential of a difference to a logsumexp."""
    base = op_base(graph.structure.nodes[index].op)
    if base in _SOFTMAXES:
        return _takes_rows(graph, index)
    if base == "Exp":
        return any(_ends_rows(graph, i) for i in _behind(graph, index, _is_linear))
    return base == "Div" and any(
        _ends_rows(graph, i, "Sum") for i in inputs_of(graph.structure, index)[1:]
    )


def _ends_rows(graph: Graph, index: int, reduction: str = "Logsumexp") -> bool:
    """Whether it is a reduction over the rows, or a logarithm of a softmax over them."""
    node = graph.structure.nodes[index]
    if op_base(node.op) == "LogSoftmax" and reduction == "Logsumexp":
        return _takes_rows(graph, index)
    if op_base(node.op) != reduction or node.shape is None:
        return False
    edges = graph.structure.outgoing[index]
    before = graph.structure.nodes[graph.structure.edges[edges[0]].target].shape if edges else None
    if not before or before == node.shape:
        return False
    kept = len(node.shape) == len(before)
    return node.shape[:1] == (1,) if kept else node.shape in ((), before[1:])


def _takes_rows(graph: Graph, index: int) -> bool:
    """Whether a softmax is that of a vector: of others it is not known what they run over."""
    return len(graph.structure.nodes[index].shape or ()) == 1
