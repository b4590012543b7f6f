"""Links and paths of the chain rule: products along ways, and their sum over all ways."""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from gradscope.analysis.paths import role
from gradscope.analysis.symbols import number
from gradscope.model.graph import Structure

MOST_PATHS = 8
_SUMS = frozenset({"AddBackward0", "SubBackward0", "RsubBackward1", "NegBackward0"})


@dataclass(frozen=True, slots=True)
class Link:
    """One local derivative on a path.

    Attributes:
        edge: Index of the last edge that it covers.
        above: Node whose result is derived.
        below: Node by which.
        formula: ``2·x``; empty where it was measured.
        filled: ``2·2``; the same with the numbers.
        value: ``4.0``.
        is_sum: Whether the formula needs brackets as a factor.
    """

    edge: int
    above: int
    below: int
    formula: str
    filled: str
    value: float
    is_sum: bool = False

    @property
    def is_measured(self) -> bool:
        """Whether no formula is known and the number is a ratio of recorded gradients."""
        return not self.formula

    @property
    def factor(self) -> tuple[str, str]:
        """Formula and numbers as one factor among others; a measured one is its number."""
        if self.is_measured:
            return f"{self.filled}*", f"{self.filled}*"
        if self.is_sum or (self.formula.startswith("−") and self.formula != self.filled):
            return f"({self.formula})", f"({self.filled})"
        return self.formula, self.filled


@dataclass(frozen=True, slots=True)
class Term:
    """One path from the root to the target: a summand of the derivative.

    Attributes:
        links: From the root on.
        product: Of all links.
    """

    links: tuple[Link, ...]
    product: float

    @property
    def nodes(self) -> tuple[int, ...]:
        """The nodes it names, from the root to the target."""
        return (self.links[0].above, *(link.below for link in self.links))


def sums(
    structure: Structure, between: Sequence[int], links: dict[int, Link], root: int
) -> dict[int, tuple[float, float, int]]:
    """Per node over all paths from the root: their sum, the sum of their sizes, their number."""
    found = dict.fromkeys(between, (0.0, 0.0, 0))
    found[root] = (1.0, 1.0, 1)
    for node in between:
        total, size, count = found[node]
        for edge in structure.outgoing[node]:
            if edge not in links:
                continue
            value, below = links[edge].value, structure.edges[edge].target
            old = found[below]
            added = (total * value, size * abs(value), count)
            found[below] = (old[0] + added[0], old[1] + added[1], old[2] + added[2])
    return found


def largest_terms(
    structure: Structure, links: dict[int, Link], between: Sequence[int], root: int, target: int
) -> tuple[Term, ...]:
    """The paths of the largest products, best first search with an exact bound; then in order."""
    best = {target: 1.0}
    for node in reversed(between):
        for edge in structure.outgoing[node]:
            if edge in links:
                below = best.get(structure.edges[edge].target, 0.0)
                best[node] = max(best.get(node, 0.0), abs(links[edge].value) * below)
    waiting: list[tuple[float, tuple[int, ...], int, float]] = [(-best[root], (), root, 1.0)]
    found: list[tuple[int, ...]] = []
    while waiting and len(found) < MOST_PATHS:
        _, edges, node, product = heapq.heappop(waiting)
        if node == target:
            found.append(edges)
            continue
        for edge in structure.outgoing[node]:
            if edge in links:
                below, value = structure.edges[edge].target, product * links[edge].value
                heapq.heappush(waiting, (-abs(value) * best[below], (*edges, edge), below, value))
    slots = {path: tuple(structure.edges[edge].slot for edge in path) for path in found}
    ordered = sorted(found, key=slots.__getitem__)
    return tuple(_term(structure, [links[edge] for edge in path]) for path in ordered)


def _term(structure: Structure, links: Sequence[Link]) -> Term:
    product = math.prod(link.value for link in links)
    return Term(tuple(_merged(structure, links)), product)


def _merged(structure: Structure, links: Sequence[Link]) -> list[Link]:
    """Without the steps that nobody wrote: reshapes, and sums within one expression."""
    merged = [links[0]]
    for above, below in pairwise(links):
        last = merged[-1]
        node = structure.nodes[above.below]
        if node.label or not (_is_move(node.op, below) or _is_sum(structure, above, below)):
            merged.append(below)
        else:
            merged[-1] = _both(last, below)
    return merged


def _is_move(op: str, link: Link) -> bool:
    return link.formula == "1" and (role(op) in ("move", "spread"))


def _is_sum(structure: Structure, above: Link, below: Link) -> bool:
    ops = {structure.nodes[above.above].op, structure.nodes[below.above].op}
    return ops <= _SUMS and {above.formula, below.formula} <= {"1", "−1"}


def _both(above: Link, below: Link) -> Link:
    """Two links as one; the lower one is 1, or both are 1 or −1."""
    if below.value == 1:
        return replace(above, edge=below.edge, below=below.below)
    value = above.value * below.value
    text = number(value).text
    return Link(below.edge, above.above, below.below, text, text, value)
