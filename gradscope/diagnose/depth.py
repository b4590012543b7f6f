"""How a gradient's size changes along the depth of a network, judged without absolute numbers.

NOTE [Like with like]
Three things change the size of a gradient and are no illness. The loss: a converged loss has a
tiny gradient everywhere, so the comparison starts at the output of the last op that a parameter
enters, not at the root. Sizes: a mean over N divides by N, so ops of the role "spread" count as 1,
and norms are compared, not RMS. Single places: one division by a large constant, one saturated
output. So a change must also be *repeated*: ``typical`` replaces every gain by the median of its
kind (at least three of them), and the total must not hang on its largest step.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from statistics import median

from gradscope.analysis.flow import Flow, Hop
from gradscope.analysis.paths import direct_leaves
from gradscope.diagnose.layout import REPEATED, Layout, Layouts
from gradscope.model.graph import Graph

DECADES = 3.0  # RULES: log10(g_loss_side / g_input_side)
CORRELATION = 0.7  # RULES: Spearman(depth, log g)
SITES = 4  # RULES: at least so many
SUSTAINED = 2.5  # decades that must remain without the largest step
UNTRAINED = 6.0  # the same where nothing is trained: y = 2 * y ten times over is a lesson
TYPICAL = 2.0  # decades that must remain when every gain is the median of its kind


@dataclass(frozen=True)
class Trend:
    """The size of the gradient along one way.

    Attributes:
        graph: Where it was measured.
        hops: From the last op with a parameter to the input end.
        sites: Positions in ``hops`` that are compared.
        logs: ``log10`` of the norm at each site relative to the first, neutral gains taken out.
        zero: Position in ``hops`` where the gradient, finite before, is exactly zero; or None.
    """

    graph: Graph
    hops: tuple[Hop, ...]
    sites: tuple[int, ...]
    logs: tuple[float, ...]
    zero: int | None

    @property
    def decades(self) -> float:
        """Change from the loss side to the input side; negative where the gradient shrinks."""
        return self.logs[-1] - self.logs[0] if self.logs else 0.0

    @property
    def changes(self) -> list[float]:
        """Change in decades from each site to the next."""
        return [after - before for before, after in pairwise(self.logs)]

    @property
    def layers(self) -> int:
        """How many of the compared ops have parameters of their own; all of them if none has."""
        seen: set[int] = set()
        own = 0
        for position in self.sites:
            leaves = direct_leaves(self.graph.structure, self.hops[position].node)
            own += bool(leaves - seen)
            seen |= leaves
        return own if own >= SITES else len(self.sites)

    @property
    def gain_per_layer(self) -> float:
        """By what factor the gradient changes from one layer to the next, on average."""
        return float(10 ** (self.decades / max(1, self.layers - 1)))

    @property
    def correlation(self) -> float:
        """Spearman's rank correlation of depth and size."""
        return spearman(self.logs)

    @property
    def typical(self) -> float:
        """The change if every op had the median gain of its kind."""
        kinds: dict[str, list[float]] = {}
        for position, change in zip(self.sites, self.changes, strict=False):
            op = self.graph.structure.nodes[self.hops[position].node].op
            kinds.setdefault(op, []).append(change)
        return sum(len(all_) * median(all_) for all_ in kinds.values() if len(all_) >= REPEATED)

    @cached_property
    def trains(self) -> bool:
        """Whether the graph has parameters; without, a formula is differentiated, not learned."""
        return any(node.kind == "parameter" for node in self.graph.structure.nodes)

    def sustained(self, direction: int) -> bool:
        """Whether the gradient steadily grows (+1) or shrinks (-1) by more than the bars."""
        if len(self.sites) < SITES or direction * self.decades <= DECADES:
            return False
        largest = max(direction * change for change in self.changes)
        return (
            direction * self.decades - largest > (SUSTAINED if self.trains else UNTRAINED)
            and direction * self.typical > TYPICAL
            and direction * self.correlation > CORRELATION
        )


def trend(graph: Graph, way: Flow, *, through_time: bool) -> Trend:
    """Measures a way, from the last op that a parameter enters to the input end.

    Args:
        graph: The graph of the flow.
        way: From the loss to the input end.
        through_time: Whether steps of a recurrence count; otherwise their gains are left out.
    """
    return trend_in(Layouts().of(graph.structure, way.nodes, through_time=through_time), graph, way)


def trend_in(layout: Layout, graph: Graph, way: Flow) -> Trend:
    """The same for a way whose layout is known."""
    hops, recurrent = way.hops[layout.start :], layout.recurrent
    sites: list[int] = []
    logs: list[float] = []
    level = 0.0
    previous: tuple[int, float] | None = None
    for position, (hop, role) in enumerate(zip(hops, layout.roles, strict=True)):
        if hop.received is None:
            continue
        if not 0 < hop.received < math.inf:
            dies = hop.received == 0 and bool(sites) and position not in recurrent
            return Trend(graph, hops, tuple(sites), tuple(logs), position if dies else None)
        if previous is not None:
            level += _change(layout, hops, previous, (position, hop.received))
        previous = (position, hop.received)
        if role == "work" and position not in recurrent:
            sites.append(position)
            logs.append(level)
    return Trend(graph, hops, tuple(sites), tuple(logs), None)


def _change(
    layout: Layout, hops: Sequence[Hop], previous: tuple[int, float], here: tuple[int, float]
) -> float:
    """Decades between two measured hops, without what a neutral op did."""
    if previous[0] in layout.recurrent and here[0] in layout.recurrent:
        return 0.0
    if layout.roles[previous[0]] != "spread":
        return math.log10(here[1]) - math.log10(previous[1])
    fan_in = hops[here[0]].fan_in
    return math.log10(fan_in) if fan_in and math.isfinite(fan_in) else 0.0


def spearman(values: Sequence[float]) -> float:
    """Rank correlation of a sequence with its own order, ties sharing their mean rank."""
    n = len(values)
    if n < 2:
        return 0.0
    ranks = _ranks(values)
    middle = (n - 1) / 2
    covariance = sum((i - middle) * (rank - middle) for i, rank in enumerate(ranks))
    spread = sum((rank - middle) ** 2 for rank in ranks)
    return covariance / math.sqrt(spread * (n * (n * n - 1) / 12)) if spread else 0.0


def _ranks(values: Sequence[float]) -> list[float]:
    order = sorted(range(len(values)), key=values.__getitem__)
    ranks = [0.0] * len(values)
    first = 0
    while first < len(order):
        last = first
        while last + 1 < len(order) and values[order[last + 1]] == values[order[first]]:
            last += 1
        for position in range(first, last + 1):
            ranks[order[position]] = (first + last) / 2
        first = last + 1
    return ranks
