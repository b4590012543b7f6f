"""Where finite numbers turn into NaN or Inf, forward and backward."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from gradscope.analysis.paths import op_base, sent_along
from gradscope.model.graph import Graph, Node
from gradscope.model.stats import TensorStats

_MASKING = frozenset({"MaskedFill", "Where", "IndexFill", "IndexPut", "MaskedScatter", "Add"})
_HIDING = frozenset({"Where", "MaskedFill", "MaskedScatter"})
_CUTTING = frozenset(
    {"Index", "MaskedSelect", "NanToNum", "Clamp", "ClampMin", "ClampMax", "Relu", "Threshold"}
)
_WITHOUT_DATA = ("parameter", "input")


@dataclass(frozen=True)
class Origin:
    """The node where it begins.

    Attributes:
        node: Its id.
        before: Statistics of what went in: forward values, or the gradient received.
        after: Statistics of what came out, not finite.
        forward: Whether it happened in the forward pass.
    """

    node: int
    before: tuple[TensorStats, ...]
    after: TensorStats
    forward: bool

    @property
    def is_nan(self) -> bool:
        """Whether NaN came out; else only Inf."""
        after = self.after
        unnumbered = after.nan_count is None and after.l2_norm is not None
        return bool(after.nan_count) or (unnumbered and math.isnan(after.l2_norm or 0.0))


def backward_origin(graph: Graph) -> Origin | None:
    """The first node in backward order that gets a finite gradient and passes on another."""
    nodes = graph.structure.nodes
    for node in sorted(nodes, key=lambda node: (-node.order, node.id)):
        received = _received(graph, node)
        if not received or any(stats.is_finite is False for stats in received):
            continue
        for edge in graph.structure.outgoing[node.id]:
            sent = sent_along(graph, edge)
            if sent is not None and sent.is_finite is False:
                return Origin(node.id, received, sent, forward=False)
    return None


def _received(graph: Graph, node: Node) -> tuple[TensorStats, ...]:
    found = (graph.gradient(node.id, nr) for nr in range(node.inputs))
    return tuple(stats for stats in found if stats is not None)


def forward_origin(graph: Graph) -> Origin | None:
    """The op that first made the loss NaN or Inf; None if the loss is finite or unmeasured.

    It is searched from the loss down, over results that are not finite themselves: an attention
    mask of -Inf that does no harm is passed by.
    """
    start = [root for root in graph.structure.roots if _bad(graph, root)]
    seen = set(start)
    stack = list(start)
    candidates: list[int] = []
    while stack:
        node = stack.pop()
        below = [
            target
            for target, nr in _measured_targets(graph, node)
            if _bad_value(graph.value(target, nr)) and not _is_mask(graph, target)
        ]
        if not below:
            candidates.append(node)
        stack += [target for target in below if target not in seen]
        seen.update(below)
    if not candidates:
        return None
    first = min(candidates, key=lambda node: (graph.structure.nodes[node].order, node))
    after = _first_bad(graph, first)
    if after is None:
        return None
    return Origin(first, input_values(graph, first), after, forward=True)


def measured_below(graph: Graph, node: int) -> tuple[TensorStats, ...]:
    """Forward values that went into the op, or into those before it where they are not known."""
    found = (graph.value(*slot) for slot in _measured_targets(graph, node))
    return tuple(stats for stats in found if stats is not None)


def _measured_targets(graph: Graph, node: int) -> list[tuple[int, int]]:
    """The nearest nodes below whose values are known, past those inside a composite call."""
    found: list[tuple[int, int]] = []
    seen = {node}
    stack = [node]
    while stack:
        for edge in map(graph.structure.edges.__getitem__, graph.structure.outgoing[stack.pop()]):
            if graph.value(edge.target, edge.output_nr) is not None:
                found.append((edge.target, edge.output_nr))
            elif edge.target not in seen:
                seen.add(edge.target)
                stack.append(edge.target)
    return list(dict.fromkeys(found))


def input_values(graph: Graph, node: int) -> tuple[TensorStats, ...]:
    """Forward values of the op's inputs, as far as they take part in the graph."""
    edges = map(graph.structure.edges.__getitem__, graph.structure.outgoing[node])
    found = (graph.value(edge.target, edge.output_nr) for edge in edges)
    return tuple(stats for stats in found if stats is not None)


def nan_source(graph: Graph, node: int) -> int | None:
    """The first op in front of a node whose result is NaN and goes into it; None if none is."""
    stack = [node]
    seen: set[int] = set()
    first: list[int] = []
    while stack:
        here = stack.pop()
        below = [t for t, nr in _measured_targets(graph, here) if _has_nan(graph.value(t, nr))]
        if not below and here != node:
            first.append(here)
        stack += [target for target in below if target not in seen]
        seen.update(below)
    return min(first, key=lambda i: (graph.structure.nodes[i].order, i), default=None)


def _has_nan(stats: TensorStats | None) -> bool:
    return stats is not None and (bool(stats.nan_count) or math.isnan(stats.min or 0.0))


def hidden_by(graph: Graph, origin: Origin) -> int | None:
    """The mask between the loss and an op that turned a gradient of 0 into one of NaN.

    Where nothing masks the op, or where Inf came out, the derivative itself is to blame.
    """
    if origin.forward or not any(s.zero_fraction or s.abs_max == 0 for s in origin.before):
        return None
    masks = [
        (node.order, node.id)
        for node in map(graph.structure.nodes.__getitem__, _towards_loss(graph, origin.node))
        if (base := op_base(node.op)) in _HIDING or (base in _CUTTING and origin.is_nan)
    ]
    return min(masks)[1] if masks else None


def _towards_loss(graph: Graph, node: int) -> set[int]:
    seen = {node}
    stack = [node]
    while stack:
        for edge in graph.structure.incoming[stack.pop()]:
            source = graph.structure.edges[edge].source
            if source not in seen:
                seen.add(source)
                stack.append(source)
    return seen - {node}


def is_empty_mean(graph: Graph, origin: Origin) -> bool:
    """Whether the op divided a sum over nothing by a count of 0."""
    traits = graph.traits.get(origin.node)
    if traits is not None and traits.empty:
        return True
    if not origin.is_nan:
        return False
    inputs = measured_below(graph, origin.node)
    if any(stats.count == 0 for stats in inputs):
        return True
    base = op_base(graph.structure.nodes[origin.node].op)
    if base.startswith("NllLoss"):
        return bool(inputs) and all(stats.is_finite for stats in inputs)
    return base == "Div" and _is_empty_sum(graph, origin)


def _is_empty_sum(graph: Graph, origin: Origin) -> bool:
    """Whether the numerator is a single sum of exactly 0, and the rest is a plain count."""
    outgoing = graph.structure.outgoing[origin.node]
    if len(outgoing) != 1 or origin.after.count != 1:
        return False
    edge = graph.structure.edges[outgoing[0]]
    above = graph.value(edge.target, edge.output_nr)
    is_sum = op_base(graph.structure.nodes[edge.target].op) == "Sum"
    return is_sum and above is not None and above.value == 0


def touches_zero(values: Iterable[TensorStats]) -> bool:
    """Whether some value is exactly 0, as far as the statistics tell."""
    return any(
        stats.zero_fraction or stats.min == 0 or stats.max == 0 for stats in values if stats.count
    )


def _bad(graph: Graph, node: int) -> bool:
    return _first_bad(graph, node) is not None


def _first_bad(graph: Graph, node: int) -> TensorStats | None:
    outputs = range(graph.structure.nodes[node].inputs)
    values = (graph.value(node, nr) for nr in outputs)
    return next((stats for stats in values if _bad_value(stats)), None)


def _bad_value(stats: TensorStats | None) -> bool:
    return stats is not None and stats.is_finite is False


def _is_mask(graph: Graph, target: int) -> bool:
    """Whether its Infs were put there on purpose: constants, not results."""
    node = graph.structure.nodes[target]
    stats = _first_bad(graph, target)
    if stats is None or node.kind in _WITHOUT_DATA or op_base(node.op) not in _MASKING:
        return False
    only_minus = stats.min == -math.inf and stats.max is not None and stats.max < math.inf
    return only_minus and not stats.nan_count and not _any_bad(graph, target)


def _any_bad(graph: Graph, node: int) -> bool:
    return any(_bad_value(stats) for stats in input_values(graph, node))
