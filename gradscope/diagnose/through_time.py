"""The size of a gradient along the uses of one weight: back through time."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from gradscope.analysis.flags import leaf_name
from gradscope.analysis.flow import flow
from gradscope.analysis.paths import op_base, role
from gradscope.diagnose.around import behind_moves, users_of
from gradscope.diagnose.depth import spearman
from gradscope.model.graph import Graph, Node, Structure
from gradscope.model.trace import Parameter

USES = 6  # of the same weight on the way; fewer steps are a block that is shared, not time
REGION = 64  # nodes between a weight and the way: a gated cell has about 20
CANDIDATES = 4  # weights that are followed
STEADY = 0.8  # share of the steps that the same result enters
_FUSED_CELLS = ("ThnnFusedLstmCell", "ThnnFusedGruCell")
DECADES = 3.0  # RULES: log10(g_last_step / g_first_step)
CORRELATION = 0.9  # of time and size; a trend, not a jump
SUSTAINED = 2.5  # decades that must remain without the largest change from step to step
SHARE = 0.5  # RULES: in at least this share of the backwards seen
GATED = 0.5  # share of the steps whose state is multiplied by something


@dataclass(frozen=True)
class Recurrence:
    """One weight's uses on the way of the gradient, from the last step to the first.

    Attributes:
        graph: Where it was measured.
        leaf: Node id of the weight.
        uses: How many ops use it.
        sites: Ids of the nodes on the way at which it enters, from the loss side on.
        logs: ``log10`` of the gradient's norm there, relative to the first.
        on_the_way: Whether it is the state that it multiplies, not what is added to it.
        gated: Whether the state is multiplied by gates or factors instead of a matrix alone.
        steady: Whether one and the same result enters at most of the steps: an iteration towards
            a fixed point, which is meant to forget where it began, and no sequence.
    """

    graph: Graph
    leaf: int
    uses: int
    sites: tuple[int, ...]
    logs: tuple[float, ...]
    on_the_way: bool
    gated: bool
    steady: bool

    @property
    def decades(self) -> float:
        """Change from the last step of the sequence to the first; negative where it shrinks."""
        return self.logs[-1] - self.logs[0]

    @property
    def changes(self) -> list[float]:
        """Change in decades from each use to the next."""
        return [after - before for before, after in pairwise(self.logs)]

    @property
    def gain(self) -> float:
        """By what factor the gradient changes from one use to the next, on average."""
        return float(10 ** (self.decades / (self.uses - 1)))

    @property
    def correlation(self) -> float:
        """Spearman's rank correlation of distance in time and size."""
        return spearman(self.logs)

    def node(self, position: int) -> Node:
        """The node of one use."""
        return self.graph.structure.nodes[self.sites[position]]

    def weight_name(self, parameters: Sequence[Parameter]) -> str:
        """The weight, as the user calls it."""
        return leaf_name(self.graph.structure.nodes[self.leaf], parameters)


@dataclass(frozen=True)
class TimeHabit:
    """A recurrence that shrinks or grows the gradient in backward after backward.

    Attributes:
        direction: -1 where it shrinks, +1 where it grows.
        seen: Step index and recurrence, where it does.
        of: In how many it was looked for.
    """

    direction: int
    seen: tuple[tuple[int, Recurrence], ...]
    of: int

    @property
    def worst(self) -> tuple[int, Recurrence]:
        """The strongest case."""
        return max(self.seen, key=lambda pair: self.direction * pair[1].decades)

    @property
    def weakest(self) -> Recurrence:
        """The mildest case."""
        return min((r for _, r in self.seen), key=lambda r: self.direction * r.decades)


def find_time_habit(measured: Sequence[tuple[int, Recurrence]], direction: int) -> TimeHabit | None:
    """What the recurrences of one kind of backward have in common.

    The last one must show it too: a network that grows out of a bad start is healthy.
    """
    seen = tuple((index, found) for index, found in measured if steadily(found, direction))
    if not seen or seen[-1][0] != measured[-1][0] or len(seen) < SHARE * len(measured):
        return None
    return TimeHabit(direction, seen, len(measured))


def steadily(found: Recurrence, direction: int) -> bool:
    """Whether the gradient steadily grows (+1) or shrinks (-1) past the bars."""
    decades = direction * found.decades
    return (
        decades > DECADES
        and decades - max(direction * change for change in found.changes) > SUSTAINED
        and direction * found.correlation > CORRELATION
    )


def recurrence(graph: Graph) -> Recurrence | None:
    """The recurrence that carries the gradient farthest; None where no weight is used in time."""
    found = [r for leaf in _often_used(graph) if (r := _followed(graph, leaf)) is not None]
    return max(found, key=lambda r: (r.uses, r.on_the_way), default=None)


def _often_used(graph: Graph) -> list[int]:
    """Leaves that many ops use, matrices before biases."""
    structure = graph.structure
    often = [
        (leaf.id, users)
        for leaf in structure.nodes
        if leaf.kind in ("parameter", "input")
        and len(structure.incoming[leaf.id]) >= USES
        and (users := len(users_of(structure, leaf.id))) >= USES
    ]
    often.sort(key=lambda item: (-len(structure.nodes[item[0]].shape or ()), -item[1], item[0]))
    return [leaf for leaf, _ in often[:CANDIDATES]]


def _followed(graph: Graph, leaf: int) -> Recurrence | None:
    """The way of the gradient from the loss to the first use of the weight."""
    structure = graph.structure
    users = set(users_of(structure, leaf))
    first = min(users, key=lambda node: (structure.nodes[node].order, node))
    hops = flow(graph, first).hops
    way = {hop.node: position for position, hop in enumerate(hops)}
    joined = {_joins(structure, way, user) for user in users}
    positions = sorted(position for position in joined if position is not None)
    measured = [(i, n) for i in positions if (n := hops[i].received) and 0 < n < math.inf]
    if len(measured) < USES or _is_deep(structure, way, positions):
        return None
    top = math.log10(measured[0][1])
    between = _between(graph, [hops[i].node for i in positions])
    return Recurrence(
        graph,
        leaf,
        len(users),
        tuple(hops[i].node for i, _ in measured),
        tuple(math.log10(norm) - top for _, norm in measured),
        len(way.keys() & users) * 2 > len(users),
        _is_gated(between, len(users)),
        _is_steady(graph, between, len(users)),
    )


def _joins(structure: Structure, way: Mapping[int, int], start: int) -> int | None:
    """Position at which the result of an op enters the way, through gates and branches."""
    seen = {start}
    level = [start]
    while level and len(seen) < REGION:
        here = [way[node] for node in level if node in way]
        if here:
            return max(here)
        above = (structure.edges[e].source for node in level for e in structure.incoming[node])
        level = [node for node in dict.fromkeys(above) if node not in seen]
        seen.update(level)
    return None


def _is_deep(structure: Structure, way: Mapping[int, int], positions: Sequence[int]) -> bool:
    """Whether the uses are layers that also have weights of their own: depth, not time."""
    own: set[int] = set()
    for leaf in structure.nodes:
        if leaf.kind not in ("parameter", "input") or len(structure.incoming[leaf.id]) != 1:
            continue
        users = users_of(structure, leaf.id)
        joined = _joins(structure, way, users[0]) if len(users) == 1 else None
        if joined is not None and positions[0] <= joined <= positions[-1]:
            own.add(joined)
    return len(own) * 2 >= len(positions)


def _between(graph: Graph, sites: Sequence[int]) -> list[Node]:
    """The ops that ran between the first and the last step."""
    nodes = graph.structure.nodes
    orders = [nodes[site].order for site in sites]
    return [node for node in nodes if min(orders) <= node.order <= max(orders)]


def _is_gated(between: Sequence[Node], uses: int) -> bool:
    """Whether something is multiplied in most of the steps."""
    ops = Counter(op_base(node.op) for node in between)
    return ops["Mul"] + sum(ops[fused] for fused in _FUSED_CELLS) >= GATED * uses


def _is_steady(graph: Graph, between: Sequence[Node], uses: int) -> bool:
    """Whether one computed result is an input of most of the steps as it is, not in parts."""
    structure = graph.structure
    users: Counter[tuple[int, int]] = Counter()
    for node in between:
        if role(node.op) == "work":
            edges = (structure.edges[index] for index in structure.outgoing[node.id])
            users.update({(edge.target, edge.output_nr) for edge in edges})
    shared = [target for (target, _), times in users.items() if times >= STEADY * uses]
    leaves = ("parameter", "input")
    return any(structure.nodes[behind_moves(structure, t)].kind not in leaves for t in shared)
