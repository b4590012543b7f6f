"""Turns a choice of blocks and leaves into the finished folded graph."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from gradscope.analysis.blocks import Block, Item, ops_of
from gradscope.analysis.describe import Description, describe, op_counts
from gradscope.analysis.folded import BoxKind, Cluster, FoldedGraph, FoldedNode, GradientSummary
from gradscope.analysis.gradients import Borders, Sum, summarise
from gradscope.analysis.leaves import Leaves, Placement, parents
from gradscope.analysis.order import is_plumbing
from gradscope.model.graph import Graph, Structure

Chain = tuple[Block, ...]


@dataclass(frozen=True)
class Plan:
    """What to show of a graph.

    Attributes:
        placement: The boxes.
        root: The tree of blocks that the boxes were cut from.
        order: All ops in forward order.
        stands_for: Plumbing to the node it has joined.
        leaves: Who uses which leaf.
    """

    placement: Placement
    root: Block
    order: list[int]
    stands_for: Mapping[int, int]
    leaves: Leaves


@dataclass
class _Box:
    """One box on its way: an item of the tree, or leaves."""

    item: Item | None
    leaves: list[int]
    members: list[int]
    cluster: int = -1

    @property
    def block(self) -> Block | None:
        """The block, unless it is a single op or leaves."""
        return self.item if isinstance(self.item, Block) else None

    @property
    def is_loop(self) -> bool:
        """Whether it is a repeat."""
        return self.block is not None and self.block.kind == "loop"


def build(graph: Graph, plan: Plan, keep: frozenset[int]) -> FoldedGraph:
    """The folded graph of a plan; ``keep`` are the nodes to be told about."""
    boxes = _boxes(plan)
    clusters = _assign_clusters(boxes, plan, graph.structure)
    borders = _borders(graph, plan, boxes)
    leaving = borders.leaving()
    nodes = []
    for index, box in enumerate(boxes):
        gradient = _gradients(graph, borders, index, box, leaving.get(index))
        nodes.append(_node(graph, box, gradient, clusters, keep))
    edges = borders.edges([node.id for node in nodes])
    return FoldedGraph(tuple(nodes), edges, clusters, len(graph.structure.nodes))


def _boxes(plan: Plan) -> list[_Box]:
    rank = {op: i for i, op in enumerate(plan.order)}
    joined: defaultdict[int, list[int]] = defaultdict(list)
    for plumbing, host in plan.stands_for.items():
        joined[host].append(plumbing)
    placement = plan.placement
    boxes = []
    for item, leaves in zip(placement.items, placement.inside, strict=True):
        own = ops_of(item)
        ops = own + [p for node in (*own, *leaves) for p in joined.get(node, ())]
        boxes.append(_Box(item, leaves, sorted(ops, key=rank.__getitem__) + leaves))
    for leaves in placement.bundles:
        thin = [p for leaf in leaves for p in joined.get(leaf, ())]
        boxes.append(_Box(None, leaves, thin + leaves))
    return boxes


def _borders(graph: Graph, plan: Plan, boxes: Sequence[_Box]) -> Borders:
    box_of = [-1] * len(graph.structure.nodes)
    turn_of: dict[int, int] = {}
    for index, box in enumerate(boxes):
        for node in box.members:
            box_of[node] = index
        if box.is_loop and box.block:
            for turn, items in enumerate(box.block.instances):
                turn_of.update((op, turn) for item in items for op in ops_of(item))
    for plumbing, host in plan.stands_for.items():
        if host in turn_of:
            turn_of[plumbing] = turn_of[host]
    leaf_boxes = frozenset(index for index, box in enumerate(boxes) if box.item is None)
    return Borders(graph, box_of, turn_of, leaf_boxes)


def _gradients(
    graph: Graph, borders: Borders, index: int, box: _Box, leaving: float | None
) -> GradientSummary:
    entering = borders.entering(index)
    if box.item is None:
        own = Sum()
        for leaf in box.leaves:
            own.add(graph.gradient(leaf))
        entering = own.rms
    turns = borders.turns(index, box.block.count) if box.is_loop and box.block else ()
    return summarise(graph, box.members[::-1], entering, leaving, turns)


def _node(
    graph: Graph,
    box: _Box,
    gradient: GradientSummary,
    clusters: Sequence[Cluster],
    keep: frozenset[int],
) -> FoldedNode:
    structure = graph.structure
    around = clusters[box.cluster].name if box.cluster >= 0 else ""
    words = describe(box.block, structure, around) if box.block else Description()
    if box.block is None and len(box.leaves) > 1:
        words = Description(f"{len(box.leaves):,} leaves")
    anchor = ops_of(box.item)[-1] if box.item is not None else box.leaves[0]
    kind = _kind(graph, box)
    ops = [node for node in box.members if structure.nodes[node].kind in ("op", "loss")]
    single = kind in ("op", "loss", "parameter", "input")
    return FoldedNode(
        id=f"{'n' if single else 'f'}{anchor}",
        kind=kind,
        members=tuple(box.members),
        anchor=anchor,
        title=words.title,
        path=words.path,
        count=box.block.count if box.block else max(1, len(box.leaves)),
        contents=words.contents,
        turn_names=words.turn_names,
        ops=op_counts(structure, ops),
        leaves=tuple(box.leaves),
        plumbing=kind == "op" and is_plumbing(structure.nodes[anchor].op),
        kept=tuple(node for node in box.members if node in keep),
        cluster=box.cluster,
        gradient=gradient,
    )


def _kind(graph: Graph, box: _Box) -> BoxKind:
    if box.block is not None:
        return "span" if box.block.kind == "root" else box.block.kind
    if isinstance(box.item, int):
        return graph.structure.nodes[box.item].kind
    return graph.structure.nodes[box.leaves[0]].kind if len(box.leaves) == 1 else "leaves"


def _assign_clusters(
    boxes: Sequence[_Box], plan: Plan, structure: Structure
) -> tuple[Cluster, ...]:
    """Says for every box which open module it is in; modules with a single op are left out."""
    parent = parents(plan.root)
    chains: list[Chain] = []
    chain_of: dict[int, Chain] = {}
    for box in boxes:
        if box.item is not None:
            chain = _chain(box.item, parent)
            chain_of.update(dict.fromkeys(ops_of(box.item), chain))
        else:
            users = (user for leaf in box.leaves for user in plan.leaves.uses[leaf])
            chain = _common(chain_of[user] for user in users)
        chains.append(chain)
    crowd = Counter(
        block
        for box, chain in zip(boxes, chains, strict=True)
        if not _is_slight(box, structure)
        for block in chain
    )
    index: dict[Block, int] = {}
    clusters: list[Cluster] = []
    for box, chain in zip(boxes, chains, strict=True):
        for block in chain:
            if crowd[block] > 1:
                if block not in index:
                    index[block] = len(clusters)
                    clusters.append(Cluster(len(clusters), block.name, block.type, box.cluster))
                box.cluster = index[block]
    return tuple(clusters)


def _is_slight(box: _Box, structure: Structure) -> bool:
    """Whether it is a leaf, or a single op that only rearranges."""
    if isinstance(box.item, int):
        return is_plumbing(structure.nodes[box.item].op)
    return box.item is None


def _chain(item: Item, parent: Mapping[Item, Block]) -> Chain:
    """The modules around an item, outermost first."""
    if item not in parent and isinstance(item, Block):
        # Joined only at the end: it is in whatever all of its parts are in.
        inside = [child for child in item.children if child in parent]
        return _common(_chain(child, parent) for child in inside)
    chain = []
    while item in parent:
        item = parent[item]
        if item.kind == "module":
            chain.append(item)
    return tuple(reversed(chain))


def _common(chains: Iterable[Chain]) -> Chain:
    common: Chain | None = None
    for chain in chains:
        if common is None:
            common = chain
        elif chain is not common:
            same = [a for a, b in zip(common, chain, strict=False) if a is b]
            common = tuple(same)
    return common or ()
