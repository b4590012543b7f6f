from __future__ import annotations

from collections import Counter

import pytest

from gradscope.analysis.fold import fold
from gradscope.analysis.folded import FoldedGraph, FoldedNode
from gradscope.analysis.tags import ranks_passed, with_tags
from gradscope.model.graph import Graph
from tests.builders import GraphBuilder, gpt2_like_graph, mlp_graph

TURNS = 30


def every_op(graph: Graph) -> FoldedGraph:
    return fold(graph, max_nodes=len(graph.structure.nodes), depth=99)


def tags_of(folded: FoldedGraph) -> list[FoldedNode]:
    return [box for box in folded.nodes if box.kind == "tag"]


def named(folded: FoldedGraph, graph: Graph, label: str) -> FoldedNode:
    nodes = graph.structure.nodes
    return next(box for box in folded.nodes if box.members and nodes[box.anchor].label == label)


def recurrent(turns: int, *leaves: str) -> Graph:
    """``h = tanh(add(h, leaves))``, turn after turn."""
    b = GraphBuilder()
    used = [b.leaf(name, (4,), gradient=1.0) for name in leaves]
    h = b.op("Add", *used, shape=(4,), gradient=1.0)
    for turn in range(turns):
        h = b.op("Add", h, *used, shape=(4,), gradient=0.5**turn)
        h = b.op("Tanh", h, shape=(4,), gradient=0.5**turn)
    return b.graph()


def stacked(turns: int) -> Graph:
    """A chain whose every turn has an output, all of them stacked at the end."""
    b = GraphBuilder()
    h = b.leaf("h0", (4,), gradient=1.0)
    outs = []
    for _ in range(turns):
        h = b.op("Tanh", h, shape=(4,), gradient=1.0)
        outs.append(b.op("Exp", h, shape=(4,), gradient=1.0))
    b.op("Stack", *outs, shape=(turns, 4), gradient=1.0, label="all")
    return b.graph()


def test_a_weight_of_every_turn_keeps_one_arrow_and_gets_tags() -> None:
    graph = recurrent(TURNS, "w")
    folded = every_op(graph)
    drawn = with_tags(folded)
    weight = named(drawn, graph, "w")
    uses = sum(edge.target == weight.id for edge in folded.edges)
    assert uses == TURNS + 1
    assert [edge.target for edge in drawn.edges].count(weight.id) == 1
    assert weight.elsewhere == len(tags_of(drawn)) == TURNS
    assert all(tag.contents == (weight.id,) for tag in tags_of(drawn))
    assert all(tag.id.partition("_")[0] == weight.id for tag in tags_of(drawn))


def test_the_first_use_from_the_loss_has_the_arrow() -> None:
    graph = recurrent(TURNS, "w")
    drawn = with_tags(every_op(graph))
    weight = named(drawn, graph, "w")
    [user] = [edge.source for edge in drawn.edges if edge.target == weight.id]
    above = [edge.source for edge in drawn.edges if edge.target == user]
    assert above == ["n0"]  # the last turn's tanh, which is the loss here


def test_every_arrow_is_still_told_by_someone() -> None:
    graph = recurrent(TURNS, "w", "b")
    folded = every_op(graph)
    drawn = with_tags(folded)
    tags = {tag.id: tag for tag in tags_of(drawn)}
    told: Counter[tuple[str, str]] = Counter()
    for edge in drawn.edges:
        ends = tags[edge.target].contents if edge.target in tags else (edge.target,)
        told.update((edge.source, end) for end in ends)
    assert told == Counter((edge.source, edge.target) for edge in folded.edges)


def test_a_tag_says_what_flows_there() -> None:
    graph = recurrent(TURNS, "w")
    folded = every_op(graph)
    weight = named(folded, graph, "w").id
    gradients = {edge.source: edge.gradient for edge in folded.edges if edge.target == weight}
    tags = {tag.id: tag for tag in tags_of(with_tags(folded))}
    flows = {e.source: tags[e.target] for e in with_tags(folded).edges if e.target in tags}
    assert all(tag.gradient.turns == (gradients[user],) for user, tag in flows.items())


def test_many_tags_of_one_box_become_one() -> None:
    drawn = with_tags(every_op(recurrent(TURNS, "a", "b", "c", "d")))
    assert {len(tag.contents) for tag in tags_of(drawn)} == {4}
    assert len(tags_of(drawn)) == TURNS
    users = {edge.source for edge in drawn.edges if edge.target == tags_of(drawn)[0].id}
    assert users == {tags_of(drawn)[0].id.partition("_")[0]}


def test_what_is_stacked_at_the_end_is_named_where_it_is_made() -> None:
    graph = stacked(TURNS)
    folded = every_op(graph)
    drawn = with_tags(folded)
    whole = named(drawn, graph, "all")
    tags = tags_of(drawn)
    assert len(tags) > TURNS // 2
    assert {tag.contents for tag in tags} == {(whole.id,)}
    assert {tag.id for tag in tags} <= {edge.source for edge in drawn.edges}
    assert ranks_passed(drawn) < ranks_passed(folded) / 2


def test_a_value_used_far_and_near_keeps_its_near_arrows() -> None:
    b = GraphBuilder()
    memory = b.op("Relu", b.leaf("x", (4,)), shape=(4,), label="memory")
    h = memory
    for _ in range(TURNS):
        h = b.op("Add", h, memory, shape=(4,))
    graph = b.graph()
    drawn = with_tags(every_op(graph))
    box = named(drawn, graph, "memory")
    kept = [edge.target for edge in drawn.edges].count(box.id)
    assert kept == 10
    assert box.elsewhere == TURNS - kept


@pytest.mark.parametrize("graph", [mlp_graph(30), gpt2_like_graph(), recurrent(5, "w")])
def test_what_can_be_followed_stays_as_it_is(graph: Graph) -> None:
    folded = fold(graph)
    assert with_tags(folded) is folded


def test_arrows_of_a_way_are_drawn_in_full() -> None:
    graph = recurrent(TURNS, "w")
    folded = every_op(graph)
    weight = named(folded, graph, "w").id
    into = {(edge.source, edge.target) for edge in folded.edges if edge.target == weight}
    assert len(into) == TURNS + 1
    assert with_tags(folded, never=into) is folded


def test_a_chain_passes_no_ranks() -> None:
    b = GraphBuilder()
    x = b.leaf("x", (4,))
    for _ in range(9):
        x = b.op("Tanh", x, shape=(4,))
    assert ranks_passed(every_op(b.graph())) == 0
