"""From a trend to words: which ops made the gradient smaller or larger, and where."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from gradscope.analysis.flags import leaf_name
from gradscope.analysis.flow import Share, shares
from gradscope.analysis.paths import direct_leaves, op_base
from gradscope.diagnose.depth import Trend
from gradscope.diagnose.words import name, node_name, number, percent, place, variable_name
from gradscope.model.finding import Where
from gradscope.model.graph import Node, Source
from gradscope.model.trace import Parameter

ENOUGH = 0.8  # of the explanation; what comes after is left out


@dataclass(frozen=True)
class Blame:
    """Who changed the gradient along a trend.

    Attributes:
        trend: The trend explained.
        shares: The kinds of ops that worked in its direction, largest effect first.
    """

    trend: Trend
    shares: tuple[Share, ...]

    @property
    def first(self) -> Node:
        """The site on the loss side."""
        return self._site(0)

    @property
    def last(self) -> Node:
        """The site on the input side."""
        return self._site(-1)

    @property
    def ops(self) -> frozenset[str]:
        """Base names of the ops that explain most of it."""
        return frozenset(op_base(share.name) for share in self.main)

    @property
    def main(self) -> tuple[Share, ...]:
        """The largest shares, until they explain enough."""
        chosen: list[Share] = []
        for share in self.shares:
            if sum(s.share for s in chosen) >= ENOUGH:
                break
            chosen.append(share)
        return tuple(chosen)

    def _site(self, index: int) -> Node:
        hop = self.trend.hops[self.trend.sites[index]]
        return self.trend.graph.structure.nodes[hop.node]

    def way(self) -> str:
        """``from `net.24` (train.py:12) to `net.0` (train.py:9)``."""
        first, last = self.first, self.last
        names = [self.call_it(first), self.call_it(last)]
        if names[0] == names[1] and first.iteration != last.iteration:
            names = [f"{names[i]} in iteration {(first, last)[i].iteration}" for i in (0, 1)]
        return f"from {names[0]}{place(first.source)} to {names[1]}{place(last.source)}"

    def call_it(self, node: Node) -> str:
        """A name that tells the node from the others: its module only if that holds few ops."""
        module = node.module
        others = self.trend.graph.structure.nodes
        contains = module and any(other.module.startswith(module + ".") for other in others)
        if contains or (self.first.module == self.last.module and module):
            return variable_name(node)
        return node_name(node)

    def account(self) -> str:
        """``12 × `SigmoidBackward0` at ×0.21 each explain 97 %``."""
        parts = []
        for position, share in enumerate(self.main):
            each = " each" if share.count > 1 else ""
            verb = "" if position else "explain " if share.count > 1 else "explains "
            parts.append(
                f"{share.count} × {name(share.name)} at ×{number(share.gain)}{each} "
                f"{verb}{percent(share.share)}"
            )
        return ", ".join(parts)

    def where(self, step: int, parameters: Sequence[Parameter] = ()) -> Where:
        """Points at the ops to blame and at the parameter that suffers most."""
        nodes = self.trend.graph.structure.nodes
        blamed = [nodes[i] for i in self.main[0].nodes] if self.main else [self.last]
        return Where(
            parameter=self._worst_parameter(parameters),
            op=blamed[0].op,
            module=self.last.module,
            variable=self.last.label,
            source=_most_common_line(blamed) or self.last.source,
            nodes=tuple(node.id for node in blamed),
            step=step,
        )

    def _worst_parameter(self, parameters: Sequence[Parameter]) -> str:
        structure = self.trend.graph.structure
        leaves = [structure.nodes[i] for i in direct_leaves(structure, self.last.id)]
        leaves.sort(key=lambda leaf: (-len(leaf.shape or ()), leaf.id))
        return leaf_name(leaves[0], parameters) if leaves else ""


def blame(trend: Trend, direction: int) -> Blame:
    """Explains a trend.

    Args:
        trend: With at least one site.
        direction: -1 for a gradient that shrinks, +1 for one that grows.
    """
    last = trend.sites[-1]
    measured = [trend.hops[position] for position in trend.sites if position < last]
    if trend.zero is not None:
        measured = [trend.hops[position] for position in trend.sites]
    found = shares(trend.graph, measured)
    return Blame(trend, tuple(s for s in found if s.decades * direction > 0))


def _most_common_line(nodes: Sequence[Node]) -> Source | None:
    lines = Counter(
        (node.source.file, node.source.line) for node in nodes if node.source is not None
    )
    if not lines:
        return None
    best = lines.most_common(1)[0][0]
    return next(n.source for n in nodes if n.source and (n.source.file, n.source.line) == best)
