"""What every part of a picture needs to know."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from gradscope.analysis.blocks import Place, call_sites, place_of
from gradscope.analysis.flags import flagged_nodes, leaf_name
from gradscope.analysis.folded import FoldedGraph, FoldedNode
from gradscope.analysis.paths import op_base
from gradscope.analysis.tags import with_tags
from gradscope.model.finding import Finding
from gradscope.model.graph import Graph, Node, Structure
from gradscope.model.trace import Parameter
from gradscope.render.colors import Scale, scale_for
from gradscope.render.way import Way

RankDir = Literal["TB", "BT", "LR", "RL"]


@dataclass(frozen=True, kw_only=True)
class PictureOptions:
    """How a picture is to be drawn.

    Attributes:
        title: Headline; empty for none.
        subtitle: A line below it, such as the step and its loss.
        rankdir: Graphviz's direction of the arrows: ``TB`` puts the loss on top.
        step: Index of the step the graph is of: findings about nodes of another step are left
            out. None draws them all.
        legend: Whether to explain colours and shapes.
        way: What to show strongly, with all else pale; None shows everything alike.
    """

    title: str = ""
    subtitle: str = ""
    rankdir: RankDir = "TB"
    step: int | None = None
    legend: bool = True
    way: Way | None = None


@dataclass(frozen=True)
class Canvas:
    """A graph about to be drawn.

    Attributes:
        graph: The graph.
        folded: Its boxes.
        options: How to draw it.
        scale: Colours of gradients.
        flags: Node id to findings about it.
        elsewhere: Findings that no node shows: about a line, or about another step.
        parameters: The trace's parameters, for the names of leaves.
        call_sites: Lines that only call a model and tell nothing about single ops.
        inner: Ops whose result only another op of the same call uses, such as the log-softmax
            inside a cross entropy.
    """

    graph: Graph
    folded: FoldedGraph
    options: PictureOptions
    scale: Scale
    flags: Mapping[int, tuple[Finding, ...]]
    elsewhere: tuple[Finding, ...]
    parameters: Sequence[Parameter]
    call_sites: frozenset[Place]
    inner: frozenset[int]

    @cached_property
    def drawn(self) -> FoldedGraph:
        """The boxes with tags in place of arrows that nobody could follow."""
        way = self.options.way
        return with_tags(self.folded, never=way.arrows if way is not None else ())

    @cached_property
    def tags(self) -> dict[str, FoldedNode]:
        """The tags by their ids."""
        return {box.id: box for box in self.drawn.nodes if box.kind == "tag"}

    @cached_property
    def _boxes(self) -> dict[str, FoldedNode]:
        return {box.id: box for box in self.folded.nodes}

    def box(self, box_id: str) -> FoldedNode:
        """A box by its id."""
        return self._boxes[box_id]

    def node(self, node_id: int) -> Node:
        """A node of the real graph."""
        return self.graph.structure.nodes[node_id]

    def findings(self, box: FoldedNode) -> tuple[Finding, ...]:
        """All findings about nodes inside a box, without repeats."""
        found = (finding for node in box.members for finding in self.flags.get(node, ()))
        return tuple({id(finding): finding for finding in found}.values())

    def leaf_name(self, node_id: int) -> str:
        """The user's name of a leaf, or what it is."""
        node = self.node(node_id)
        return leaf_name(node, self.parameters) or node.kind

    def is_informative(self, node: Node) -> bool:
        """Whether the node's line tells what it does, and not only which model it is in."""
        source = node.source
        if source is None or not (source.expression or source.text):
            return False
        return place_of(node) not in self.call_sites

    def op_title(self, node: Node) -> str:
        """What the user calls it: ``h = torch.relu(fc1(x))``; else what torch does."""
        if node.source is None or not self.is_informative(node):
            return node.label or node.call or op_base(node.op)
        if node.id in self.inner and not node.label:
            return op_base(node.op)
        told = node.source.expression or node.source.text
        if not node.label or told.replace(" ", "").startswith(f"{node.label}="):
            return told
        return f"{node.label} = {told}"


def canvas_for(
    graph: Graph,
    folded: FoldedGraph,
    options: PictureOptions,
    findings: Sequence[Finding],
    parameters: Sequence[Parameter],
) -> Canvas:
    """Everything looked up once."""
    roots = {folded.box_of[root] for root in graph.structure.roots}
    # A loss always receives 1; in the scale it would push everything else to one end. So would what
    # one op hands on where that ends in an Inf: the next box shows it.
    telling = [box for box in folded.nodes if box.id not in roots]
    values = [v for b in telling for v in (b.gradient.entering, *b.gradient.turns)]
    values += [box.gradient.leaving for box in telling if box.is_folded]
    if not any(values):
        values = [box.gradient.entering for box in folded.nodes]
    flags = flagged_nodes(graph, findings, parameters, options.step)
    shown = {id(finding) for about in flags.values() for finding in about}
    return Canvas(
        graph=graph,
        folded=folded,
        options=options,
        scale=scale_for(values),
        flags=flags,
        elsewhere=tuple(finding for finding in findings if id(finding) not in shown),
        parameters=parameters,
        call_sites=call_sites(graph.structure),
        inner=_inner_ops(graph.structure),
    )


def _inner_ops(structure: Structure) -> frozenset[int]:
    inner = set()
    for edge in structure.edges:
        source, target = structure.nodes[edge.source], structure.nodes[edge.target]
        if target.kind == "op" and source.source is not None and _call(source) == _call(target):
            inner.add(target.id)
    return frozenset(inner)


def _call(node: Node) -> tuple[object, ...]:
    return (node.source, node.iteration, node.call, node.module, node.module_call)
