"""The picture of one gradient's way: the way strong, the rest thin and folded."""

from __future__ import annotations

import math
from collections.abc import Iterable

from gradscope.analysis.chain_rule import ChainRule
from gradscope.analysis.flow import Hop, flow
from gradscope.analysis.fold import fold
from gradscope.analysis.folded import FoldedGraph
from gradscope.analysis.paths import role
from gradscope.analysis.story import FlowStory
from gradscope.analysis.symbols import short_number
from gradscope.render.canvas import PictureOptions
from gradscope.render.dot import to_dot
from gradscope.render.flow_words import derivative_name, headline, where_told
from gradscope.render.units import format_ratio
from gradscope.render.way import Way

MAX_NODES = 80
_KEPT = 40
_FEW = 3  # paths


def flow_dot(story: FlowStory, *, max_nodes: int = MAX_NODES) -> str:
    """The picture in the DOT language.

    Args:
        story: What to draw.
        max_nodes: Boxes, about.
    """
    graph = story.graph
    folded = fold(graph, max_nodes=max_nodes, keep=_kept(story))
    options = PictureOptions(
        title=_title(story),
        subtitle=where_told(story),
        step=story.step.index,
        way=_way(story, folded),
    )
    return to_dot(graph, folded, options, parameters=story.trace.parameters)


def _title(story: FlowStory) -> str:
    """The answer; of few paths also their products."""
    chain = story.route.chain
    if chain is None or not 1 < chain.count <= _FEW or chain.seed != 1:
        return headline(story)
    products = " + ".join(short_number(term.product) for term in chain.terms)
    name = derivative_name(chain.names[chain.root], chain.names[chain.target])
    return f"{name} = {products} = {short_number(chain.total)}"


def _kept(story: FlowStory) -> frozenset[int]:
    """The nodes of the way that do something; all when there are few, else the ends."""
    nodes = story.graph.structure.nodes
    works = [node for node in story.route.way if role(nodes[node].op) == "work"]
    ends = {story.route.way[0], story.route.target}
    return frozenset(ends if len(works) > _KEPT else {*works, *ends})


def _way(story: FlowStory, folded: FoldedGraph) -> Way:
    chain = story.route.chain
    if chain is not None:
        return _all_links(story, chain, folded)
    hops = flow(story.graph, story.route.target).hops
    arrows = dict(_arrows(hops, folded))
    return Way(
        boxes=frozenset(folded.box_of[hop.node] for hop in hops),
        arrows=arrows,
        caption="orange: the way, with the factor by which the gradient's norm changes",
    )


def _arrows(hops: Iterable[Hop], folded: FoldedGraph) -> Iterable[tuple[tuple[str, str], str]]:
    """Where the way goes from one box to another, and what the first box made of its norm."""
    entry: Hop | None = None
    box = ""
    for hop in hops:
        here = folded.box_of[hop.node]
        if here == box:
            continue
        if entry is not None:
            yield (box, here), _factor(entry.received, hop)
        entry, box = hop, here


def _factor(received: float | None, hop: Hop) -> str:
    sent = hop.arriving if hop.arriving is not None else hop.received
    if not received or sent is None or not math.isfinite(sent / received):
        return ""
    return format_ratio(sent / received)


def _all_links(story: FlowStory, chain: ChainRule, folded: FoldedGraph) -> Way:
    """Every link between root and target: their products add up, so none is left out."""
    edges = story.graph.structure.edges
    texts: dict[tuple[str, str], list[str]] = {}
    for index, link in chain.links.items():
        ends = (folded.box_of[edges[index].source], folded.box_of[edges[index].target])
        if ends[0] != ends[1]:
            value = short_number(link.value)
            told = dict.fromkeys((link.formula or "measured", value))
            texts.setdefault(ends, []).append(" = ".join(told))
    return Way(
        boxes=frozenset(box for ends in texts for box in ends),
        arrows={ends: ", ".join(told) for ends, told in texts.items()},
        caption="orange: local derivatives; multiply along each way, add up over the ways",
    )
