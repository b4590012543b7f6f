"""What folding gives: a small graph of boxes, each standing for some nodes of the real one."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

BoxKind = Literal[
    "op", "parameter", "input", "loss", "module", "line", "loop", "span", "leaves", "tag"
]


@dataclass(frozen=True, slots=True)
class GradientSummary:
    """The gradients inside a box, as RMS; None where nothing was measured.

    Attributes:
        entering: What the box receives from the side of the loss.
        leaving: What it hands on to other ops; None when it ends in leaves.
        smallest: Smallest finite RMS at any op inside that is not exactly zero.
        largest: Largest finite RMS at any op inside.
        turns: For a loop, what each turn receives; the turn nearest to the loss first.
        nonfinite: Nodes whose gradient has a NaN or Inf, nearest to the loss first.
        zero: Nodes whose gradient is exactly zero.
        absent: Nodes to which the engine delivered no gradient.
        measured: Nodes with a measured gradient.
    """

    entering: float | None = None
    leaving: float | None = None
    smallest: float | None = None
    largest: float | None = None
    turns: tuple[float | None, ...] = ()
    nonfinite: tuple[int, ...] = ()
    zero: tuple[int, ...] = ()
    absent: tuple[int, ...] = ()
    measured: int = 0


@dataclass(frozen=True, slots=True)
class FoldedNode:
    """One box.

    Attributes:
        id: ``n12`` for a box around node 12 alone (and its plumbing), ``f3`` for a folded one.
        kind: Kind of the node, or what was folded: ``module``, ``line``, ``loop`` (repeats),
            ``span`` (any stretch of ops), ``leaves`` (parameters and inputs). A ``tag`` stands
            beside a box for other boxes, whose ids are its ``contents``; what flows to or from
            each of them are its ``turns``. Its id begins with the box to look at.
        members: Ids of all nodes inside, in forward order, leaves last.
        anchor: The node that stands for the box: the last op in forward order, or the leaf.
        title: What it is: ``GPT2Block``, the line's text, ``MulBackward0``; empty for single nodes.
        path: Which one, relative to the cluster around it: ``h.0 … h.11``.
        count: How often a loop repeats; how many leaves a bundle holds; else 1.
        contents: What one turn consists of, ``ln_1 LayerNorm`` and so on, in forward order.
        turn_names: For a loop over distinct modules, the last part of each one's name, in the
            order of ``gradient.turns``; else empty.
        ops: Autograd names inside with their number, the commonest first.
        leaves: Members that are leaves.
        plumbing: Whether it is a single op that only rearranges elements.
        kept: Members that were asked to stay visible (all of them, also when hidden inside).
        cluster: Index into ``FoldedGraph.clusters``; -1 for none.
        elsewhere: How many uses of the box are drawn as tags.
        gradient: The gradients inside.
    """

    id: str
    kind: BoxKind
    members: tuple[int, ...]
    anchor: int
    title: str = ""
    path: str = ""
    count: int = 1
    contents: tuple[str, ...] = ()
    turn_names: tuple[str, ...] = ()
    ops: tuple[tuple[str, int], ...] = ()
    leaves: tuple[int, ...] = ()
    plumbing: bool = False
    kept: tuple[int, ...] = ()
    cluster: int = -1
    elsewhere: int = 0
    gradient: GradientSummary = GradientSummary()

    @property
    def is_folded(self) -> bool:
        """Whether the box stands for more than one node and its plumbing."""
        return self.kind in ("module", "line", "loop", "span", "leaves")


@dataclass(frozen=True, slots=True)
class FoldedEdge:
    """All edges from one box to another; the way the gradient flows.

    Attributes:
        source: Id of the box nearer to the loss.
        target: Id of the box nearer to the leaves.
        count: How many edges of the graph it stands for.
        gradient: RMS of what flows along them; None where nothing was measured.
        is_absent: Whether the engine delivered no gradient along any of them.
    """

    source: str
    target: str
    count: int
    gradient: float | None = None
    is_absent: bool = False


@dataclass(frozen=True, slots=True)
class Cluster:
    """A module that is shown open, around the boxes inside it.

    Attributes:
        index: Position in ``FoldedGraph.clusters``; parents come before children.
        name: Path of the module.
        type: Class name of the module.
        parent: Index of the cluster around it; -1 for none.
    """

    index: int
    name: str
    type: str
    parent: int = -1


@dataclass(frozen=True)
class FoldedGraph:
    """The picture's graph: acyclic, and small enough to lay out.

    Attributes:
        nodes: Boxes in forward order, leaves last.
        edges: At most one from any box to any other.
        clusters: Modules shown open.
        total: Number of nodes of the graph it was folded from.
    """

    nodes: tuple[FoldedNode, ...]
    edges: tuple[FoldedEdge, ...]
    clusters: tuple[Cluster, ...] = ()
    total: int = 0

    @cached_property
    def box_of(self) -> dict[int, str]:
        """Node id to the id of the box it is in."""
        return {member: node.id for node in self.nodes for member in node.members}

    @property
    def is_folded(self) -> bool:
        """Whether any box stands for several nodes."""
        return len(self.nodes) < self.total
