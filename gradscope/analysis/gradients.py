"""The gradients at the borders of boxes and inside them."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from gradscope.analysis.folded import FoldedEdge, GradientSummary
from gradscope.model.graph import Graph
from gradscope.model.stats import TensorStats

Key = tuple[int, int]  # node id and output_nr


@dataclass
class Sum:
    """Norms added up as if their tensors were one."""

    norm: float = 0.0
    count: int = 0

    def add(self, stats: TensorStats | None) -> None:
        """Adds one tensor, if it was measured."""
        if stats is not None and stats.l2_norm is not None:
            # hypot, since squares of float64 norms overflow and underflow.
            self.norm = math.hypot(self.norm, stats.l2_norm)
            self.count += stats.count

    @property
    def rms(self) -> float | None:
        """Root mean square over all elements; None when nothing was measured."""
        return self.norm / math.sqrt(self.count) if self.count else None


@dataclass
class _Flow:
    """All edges between two boxes."""

    sum: Sum
    edges: int = 0
    absent: int = 0


def along(graph: Graph, edge_index: int) -> tuple[TensorStats | None, bool]:
    """What came along one edge, and whether it is known that nothing did.

    Where only the sum at the target was measured, that.
    """
    edge = graph.structure.edges[edge_index]
    if edge_index in graph.contributions:
        stats = graph.contributions[edge_index]
        return stats, stats is None
    key = (edge.target, edge.output_nr)
    return graph.gradients.get(key), key in graph.gradients and graph.gradients[key] is None


class Borders:
    """What crosses the borders of boxes, and of the turns of loops, in one pass over the edges.

    Args:
        graph: The graph.
        box_of: Per node, the number of its box.
        turn_of: Op to the number of its turn, for ops in loops.
        leaf_boxes: Numbers of boxes with nothing but leaves.
    """

    def __init__(
        self,
        graph: Graph,
        box_of: Sequence[int],
        turn_of: Mapping[int, int],
        leaf_boxes: frozenset[int],
    ) -> None:
        self._graph = graph
        self._leaf_boxes = leaf_boxes
        self._entries: defaultdict[int, dict[Key, None]] = defaultdict(dict)
        self._turns: defaultdict[tuple[int, int], dict[Key, None]] = defaultdict(dict)
        self._flows: dict[tuple[int, int], _Flow] = {}
        for root in graph.structure.roots:
            for nr in range(graph.structure.nodes[root].inputs):
                self._enter(box_of[root], turn_of.get(root), (root, nr))
        for index, edge in enumerate(graph.structure.edges):
            source, target = box_of[edge.source], box_of[edge.target]
            turn = turn_of.get(edge.target)
            if source != target:
                self._enter(target, turn, (edge.target, edge.output_nr))
                self._cross(source, target, index)
            elif turn is not None and turn_of.get(edge.source) != turn:
                self._turns[target, turn][edge.target, edge.output_nr] = None

    def _enter(self, box: int, turn: int | None, key: Key) -> None:
        self._entries[box][key] = None
        if turn is not None:
            self._turns[box, turn][key] = None

    def _cross(self, source: int, target: int, index: int) -> None:
        flow = self._flows.setdefault((source, target), _Flow(Sum()))
        stats, absent = along(self._graph, index)
        flow.sum.add(stats)
        flow.edges += 1
        flow.absent += absent

    def entering(self, box: int) -> float | None:
        """RMS of all that a box receives from the side of the loss."""
        return self._total(self._entries[box])

    def turns(self, box: int, count: int) -> tuple[float | None, ...]:
        """RMS of what each turn of a loop receives, the turn nearest to the loss first."""
        return tuple(self._total(self._turns[box, turn]) for turn in reversed(range(count)))

    def leaving(self) -> dict[int, float | None]:
        """Per box, RMS of what it hands on to other ops."""
        sums: defaultdict[int, Sum] = defaultdict(Sum)
        for (source, target), flow in self._flows.items():
            if target not in self._leaf_boxes and flow.sum.count:
                sums[source].norm = math.hypot(sums[source].norm, flow.sum.norm)
                sums[source].count += flow.sum.count
        return {box: found.rms for box, found in sums.items()}

    def edges(self, ids: Sequence[str]) -> tuple[FoldedEdge, ...]:
        """One edge per pair of boxes."""
        return tuple(
            FoldedEdge(
                source=ids[source],
                target=ids[target],
                count=flow.edges,
                gradient=flow.sum.rms,
                is_absent=flow.absent == flow.edges,
            )
            for (source, target), flow in self._flows.items()
        )

    def _total(self, keys: Iterable[Key]) -> float | None:
        total = Sum()
        for key in keys:
            total.add(self._graph.gradients.get(key))
        return total.rms


def summarise(
    graph: Graph,
    members: Sequence[int],
    entering: float | None,
    leaving: float | None,
    turns: tuple[float | None, ...],
) -> GradientSummary:
    """The gradients of a box; ``members`` nearest to the loss first."""
    sizes = [(node, graph.gradient_rms(node)) for node in members]
    found = [(node, rms) for node, rms in sizes if rms is not None]
    telling = [rms for _, rms in found if math.isfinite(rms) and rms > 0]
    return GradientSummary(
        entering=entering,
        leaving=leaving,
        smallest=min(telling, default=None),
        largest=max(telling, default=None),
        turns=turns,
        nonfinite=tuple(node for node, rms in found if not math.isfinite(rms)),
        zero=tuple(node for node, rms in found if rms == 0),
        absent=tuple(node for node, rms in sizes if rms is None and _is_absent(graph, node)),
        measured=len(found),
    )


def _is_absent(graph: Graph, node: int) -> bool:
    """Whether the engine delivered None for every output of the node."""
    gradients = graph.gradients
    keys = [(node, nr) for nr in range(graph.structure.nodes[node].inputs)]
    return any(key in gradients for key in keys) and all(gradients.get(key) is None for key in keys)
