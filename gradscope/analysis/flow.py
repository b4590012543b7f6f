"""The gradient's way from the loss to one node, gain by gain.

Sizes are L2 norms, not RMS: the norm of a gradient keeps its size through a layer whose weights
are scaled by their fan-in, whatever the widths on both sides, where its RMS does not. Between
tensors of one size the two give the same ratios.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

from gradscope.analysis.paths import dominant_path, edge_norm, received_norm, role
from gradscope.model.graph import Graph, Node


@dataclass(frozen=True, slots=True)
class Hop:
    """One node on the way.

    Attributes:
        node: Its id.
        edge: The edge that led to it; None at the root.
        arriving: Norm of what came along that edge; None where not measured.
        received: Norm of all that the node received; more than ``arriving`` at a fan-in.
        gain: What the op made of it on this way: ``arriving`` of the next hop over ``received``.
            None at the end, where a norm is missing, or for 0/0.
        product: ``received`` over the ``received`` of the root: the running product of all gains
            and fan-ins.
    """

    node: int
    edge: int | None
    arriving: float | None
    received: float | None
    gain: float | None = None
    product: float | None = None

    @property
    def fan_in(self) -> float | None:
        """How much larger the node's whole gradient is than what came on this way."""
        return _ratio(self.received, self.arriving)


@dataclass(frozen=True, slots=True)
class Flow:
    """The way from a root to ``target``.

    Attributes:
        target: The node it leads to.
        hops: From the root to the target.
    """

    target: int
    hops: tuple[Hop, ...]

    @property
    def nodes(self) -> tuple[int, ...]:
        """Ids of the nodes on it."""
        return tuple([hop.node for hop in self.hops])

    @property
    def gain(self) -> float | None:
        """Norm at the target over norm at the root; None where one was not measured."""
        return self.hops[-1].product if self.hops else None


@dataclass(frozen=True, slots=True)
class Share:
    """Hops of one kind and what they did together.

    Attributes:
        name: What they have in common: an op, a module or its class.
        count: How many hops.
        gain: Geometric mean of their gains.
        decades: Sum of ``log10(gain)``: negative where the gradient shrank.
        share: Part of all decades of the same sign, 0 to 1.
        nodes: Their ids, from the loss on.
    """

    name: str
    count: int
    gain: float
    decades: float
    share: float
    nodes: tuple[int, ...]


def flow(graph: Graph, target: int) -> Flow:
    """Follows most of the gradient from the root to ``target``.

    Args:
        graph: A graph whose backward ran.
        target: Id of the node to reach.

    Raises:
        IndexError: The graph has no such node.
    """
    if not 0 <= target < len(graph.structure.nodes):
        raise IndexError(f"the graph has no node {target}")
    path = dominant_path(graph, target)
    arriving = [None if edge is None else edge_norm(graph, edge) for _, edge in path]
    received = [received_norm(graph, node) for node, _ in path]
    gains = _gains(arriving, received)
    first = next((norm for norm in received if norm is not None), None)
    return Flow(
        target,
        tuple(
            Hop(node, edge, came, got, gain, _ratio(got, first))
            for (node, edge), came, got, gain in zip(path, arriving, received, gains, strict=True)
        ),
    )


def _gains(
    arriving: Sequence[float | None], received: Sequence[float | None]
) -> list[float | None]:
    """What every hop did; a gap of unmeasured hops belongs to the hop before it."""
    following: float | None = None
    gains: list[float | None] = []
    for came, got in zip(reversed(arriving), reversed(received), strict=True):
        gains.append(_ratio(following, got))
        if got is not None:
            following = came if came is not None else got
    gains.reverse()
    return gains


def _ratio(above: float | None, below: float | None) -> float | None:
    if above is None or below is None:
        return None
    if below == 0:
        return None if above == 0 else math.inf
    return above / below


def log_gain(gain: float | None) -> float | None:
    """``log10(gain)``; None for gains that have none: unmeasured, zero, not finite."""
    if gain is None or not math.isfinite(gain) or gain <= 0:
        return None
    return math.log10(gain)


def by_op(node: Node) -> str:
    """Groups hops by autograd's op."""
    return node.op


def by_module(node: Node) -> str:
    """Groups hops by module; by the user's line outside of modules."""
    return node.module or (node.source.location if node.source else node.op)


def by_module_type(node: Node) -> str:
    """Groups hops by the class of their module; by op outside of modules."""
    return node.module_type or node.op


def shares(
    graph: Graph, hops: Iterable[Hop], key: Callable[[Node], str] = by_op
) -> tuple[Share, ...]:
    """Who made the gradient smaller or larger, largest effect first.

    Ops that only move elements, or whose gain follows from sizes alone, are left out.
    """
    found: dict[str, list[tuple[int, float]]] = {}
    for hop in hops:
        log = log_gain(hop.gain)
        node = graph.structure.nodes[hop.node]
        if log is not None and role(node.op) == "work":
            found.setdefault(key(node), []).append((hop.node, log))
    sums = {name: sum(log for _, log in members) for name, members in found.items()}
    lost = -sum(s for s in sums.values() if s < 0)
    won = sum(s for s in sums.values() if s > 0)
    result = [
        Share(
            name=name,
            count=len(members),
            gain=10 ** (sums[name] / len(members)),
            decades=sums[name],
            share=abs(sums[name]) / ((lost if sums[name] < 0 else won) or 1.0),
            nodes=tuple(node for node, _ in members),
        )
        for name, members in found.items()
    ]
    return tuple(sorted(result, key=lambda s: -abs(s.decades)))


def runs(
    graph: Graph, hops: Iterable[Hop], key: Callable[[Node], str] = by_op
) -> tuple[tuple[str, tuple[Hop, ...]], ...]:
    """Neighbouring hops of one kind, in order: what a listing can print as ``× 12``."""
    nodes = graph.structure.nodes
    grouped = groupby(hops, key=lambda hop: key(nodes[hop.node]))
    return tuple((name, tuple(members)) for name, members in grouped)
