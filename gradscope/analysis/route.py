"""One way of the gradient from the root to a node, told hop by hop, and what other ways there are.

The hops are those of ``flow``; reshapes that nobody wrote belong to the hop before them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from gradscope.analysis.chain_rule import ChainRule, chain_rule
from gradscope.analysis.chain_terms import Link
from gradscope.analysis.flow import Flow, Hop, Share, flow, shares
from gradscope.analysis.matrix_rules import MatrixRule, matrix_rule
from gradscope.analysis.paths import backward_order, edge_norm, role, sent_nothing
from gradscope.analysis.titles import titles
from gradscope.model.graph import Graph, Node, Structure
from gradscope.model.trace import Parameter

_TRANSPOSES = frozenset({"TBackward0", "TransposeBackward0"})


@dataclass(frozen=True, slots=True)
class Stop:
    """One hop of the way: an op, or the node at its end.

    Attributes:
        node: The node.
        hop: Norms at it.
        gain: What became of the gradient's norm up to the next stop; None at the end.
        product: Running product of all gains up to here: norm here over norm at the root.
        rms: RMS of the gradient that the node received.
        rule: The op's backward as a formula; None where none is known.
        link: Its local derivative, where the graph is one of single numbers.
        share: Part of what the node received that came on this way, by norm; None where it came
            on one way only, or the parts are not known.
        rivals: How many other edges reach the node.
    """

    node: Node
    hop: Hop
    gain: float | None
    product: float | None
    rms: float | None
    rule: MatrixRule | None = None
    link: Link | None = None
    share: float | None = None
    rivals: int = 0


@dataclass(frozen=True, slots=True)
class Arrival:
    """One of several edges that reach the target.

    Attributes:
        source: Node that it comes from.
        share: Part of the sum of all arrivals' norms, 0 to 1; None where not known.
        is_shown: Whether the way that is shown comes along it.
    """

    source: int
    share: float | None
    is_shown: bool


@dataclass(frozen=True)
class Route:
    """The way to ``target`` on which most of the gradient came.

    Attributes:
        target: The node.
        names: What the user calls every node of the graph.
        stops: From the root to the target.
        way: All nodes on it, those without a stop of their own included.
        edges: The edges taken.
        paths: How many ways lead from the root to the target.
        share: Part of the target's gradient that came on this way; None where not known.
        arrivals: What reaches the target, largest first; empty when only one edge does.
        blame: What made the gradient smaller or larger, largest effect first.
        chain: The derivative written out, for graphs of single numbers.
        gain: Norm at the target over norm at the root.
    """

    target: int
    names: tuple[str, ...]
    stops: tuple[Stop, ...]
    way: tuple[int, ...]
    edges: tuple[int, ...]
    paths: int
    share: float | None
    arrivals: tuple[Arrival, ...]
    blame: tuple[Share, ...]
    chain: ChainRule | None
    gain: float | None


def route(graph: Graph, target: int, parameters: Sequence[Parameter] = ()) -> Route:
    """Follows most of the gradient to ``target`` and tells what became of it."""
    found = flow(graph, target)
    chain = chain_rule(graph, target, parameters)
    edges = tuple(hop.edge for hop in found.hops if hop.edge is not None)
    shared = {hop.node: _share(graph, hop) for hop in found.hops}
    return Route(
        target=target,
        names=chain.names if chain is not None else titles(graph.structure, parameters),
        stops=tuple(_stops(graph, found, chain, shared)),
        way=tuple(hop.node for hop in found.hops),
        edges=edges,
        paths=count_paths(graph.structure, target),
        share=_whole_share(graph.structure, found, shared),
        arrivals=_arrivals(graph, target, edges),
        blame=shares(graph, found.hops),
        chain=chain,
        gain=found.gain,
    )


def count_paths(structure: Structure, target: int) -> int:
    """How many ways lead from the roots to a node."""
    counts = [0] * len(structure.nodes)
    for root in dict.fromkeys(structure.roots):
        counts[root] = 1
    for node in backward_order(structure):
        for edge in structure.outgoing[node]:
            counts[structure.edges[edge].target] += counts[node]
    return counts[target]


def _share(graph: Graph, hop: Hop) -> float | None:
    """Part of the norms that reached a node that came along the hop's edge."""
    incoming = graph.structure.incoming[hop.node]
    if hop.edge is None or len(incoming) < 2:
        return None
    norms = [0.0 if sent_nothing(graph, edge) else edge_norm(graph, edge) for edge in incoming]
    known = [norm for norm in norms if norm is not None and math.isfinite(norm)]
    total = sum(known)
    if len(known) < len(norms) or hop.arriving is None or not total:
        return None
    return hop.arriving / total


def _whole_share(
    structure: Structure, found: Flow, shared: dict[int, float | None]
) -> float | None:
    """Part of the target's gradient on this way: the product of its parts at every meeting."""
    meetings = [hop.node for hop in found.hops if hop.edge is not None]
    product = 1.0
    for node in meetings:
        if len(structure.incoming[node]) < 2:
            continue
        share = shared[node]
        if share is None:
            return None
        product *= share
    return product


def _arrivals(graph: Graph, target: int, edges: tuple[int, ...]) -> tuple[Arrival, ...]:
    incoming = graph.structure.incoming[target]
    if len(incoming) < 2:
        return ()
    norms = {
        edge: 0.0 if sent_nothing(graph, edge) else edge_norm(graph, edge) for edge in incoming
    }
    known = [norm for norm in norms.values() if norm is not None and math.isfinite(norm)]
    total = sum(known) if len(known) == len(norms) else 0.0
    found = [
        Arrival(
            source=_worker(graph.structure, graph.structure.edges[edge].source),
            share=norm / total if total and norm is not None else None,
            is_shown=edge in edges,
        )
        for edge, norm in norms.items()
    ]
    return tuple(sorted(found, key=lambda each: -(each.share or 0.0)))


def _worker(structure: Structure, node: int) -> int:
    """The op behind mere reshapes: the layer, not its transposed weight."""
    while role(structure.nodes[node].op) == "move" and len(structure.incoming[node]) == 1:
        node = structure.edges[structure.incoming[node][0]].source
    return node


def _stops(
    graph: Graph, found: Flow, chain: ChainRule | None, shared: dict[int, float | None]
) -> list[Stop]:
    structure = graph.structure
    hops = found.hops
    kept = [i for i, hop in enumerate(hops) if _has_stop(structure.nodes[hop.node], i, len(hops))]
    stops = []
    for place, i in enumerate(kept):
        hop, node = hops[i], structure.nodes[hops[i].node]
        following = kept[place + 1] if place + 1 < len(kept) else None
        edge = hops[i + 1].edge if i + 1 < len(hops) else None
        stops.append(
            Stop(
                node=node,
                hop=hop,
                gain=_gain(hops[i:following]) if following is not None else None,
                product=hop.product,
                rms=graph.gradient_rms(node.id),
                rule=_rule(graph, hops, i) if edge is not None else None,
                link=chain.links.get(edge) if chain is not None and edge is not None else None,
                share=shared[hop.node],
                rivals=max(0, len(structure.incoming[hop.node]) - 1) if hop.edge is not None else 0,
            )
        )
    return stops


def _has_stop(node: Node, place: int, count: int) -> bool:
    """The ends, what the user named, and whatever does more than to lay elements out anew."""
    return place in (0, count - 1) or bool(node.label) or role(node.op) != "move"


def _gain(hops: Sequence[Hop]) -> float | None:
    gains = [hop.gain for hop in hops]
    if any(gain is None for gain in gains):
        return None
    return math.prod(gain for gain in gains if gain is not None)


def _rule(graph: Graph, hops: Sequence[Hop], i: int) -> MatrixRule | None:
    edge = hops[i + 1].edge
    if edge is None:
        return None
    turned = graph.structure.nodes[hops[i + 1].node].op in _TRANSPOSES
    return matrix_rule(graph, edge, transposed=turned)
