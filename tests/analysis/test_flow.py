from __future__ import annotations

import math
import random
import time
from dataclasses import replace
from itertools import pairwise

import pytest

from gradscope.analysis.flow import by_module, by_module_type, flow, runs, shares
from gradscope.analysis.paths import deepest_node
from gradscope.model.graph import Edge, Graph, Node, Structure
from tests.builders import (
    UNMEASURED,
    GraphBuilder,
    chain_graph,
    gpt2_like_graph,
    mlp_graph,
    stats,
    unrolled_rnn_graph,
)


def node_of(graph: Graph, op: str, which: int = 0) -> int:
    return [n.id for n in graph.structure.nodes if n.op.startswith(op)][which]


def test_gains_multiply_along_a_chain() -> None:
    graph = chain_graph(["Exp", "Mul", "Sigmoid"], [0.5, 2.0, 8.0])
    way = flow(graph, node_of(graph, "Exp"))
    ops = [graph.structure.nodes[hop.node].op for hop in way.hops]
    assert ops == ["SigmoidBackward0", "MulBackward0", "ExpBackward0"]
    assert [hop.gain for hop in way.hops] == pytest.approx([0.25, 0.25, None])
    assert [hop.product for hop in way.hops] == pytest.approx([1.0, 0.25, 0.0625])
    assert way.gain == pytest.approx(0.0625)


def test_the_norm_counts_not_the_rms() -> None:
    b = GraphBuilder()
    x = b.leaf("x", (100,), kind="input", gradient=0.1)
    wide = b.op("Relu", x, shape=(100,), gradient=0.1)
    b.op("Mv", wide, shape=(4,), gradient=0.5)
    graph = b.graph()
    # ‖0.1 × 100 elements‖ = 1 = ‖0.5 × 4 elements‖
    assert flow(graph, b.ids[wide]).hops[0].gain == pytest.approx(1.0)


def fan_in(contributions: tuple[float, float] | None) -> tuple[Graph, dict[str, int]]:
    """``h`` goes into a branch and around it; both meet in an Add."""
    b = GraphBuilder()
    h = b.op("Tanh", b.leaf("x", (4,), kind="input"), shape=(4,), gradient=1.1)
    branch = b.op("Mul", h, shape=(4,), gradient=1.0)
    total = b.op("Add", h, branch, shape=(4,), gradient=1.0)
    graph = b.graph()
    ids = {"h": b.ids[h], "branch": b.ids[branch], "add": b.ids[total]}
    if contributions is None:
        return graph, ids
    around, through = contributions
    found = {
        index: stats(around if edge.source == ids["add"] else through, (4,))
        for index, edge in enumerate(graph.structure.edges)
        if edge.target == ids["h"]
    }
    return replace(graph, contributions=found), ids


def test_the_larger_contribution_is_followed() -> None:
    graph, ids = fan_in((1.0, 0.1))
    assert [hop.node for hop in flow(graph, ids["h"]).hops] == [ids["add"], ids["h"]]
    graph, ids = fan_in((0.1, 1.0))
    assert [hop.node for hop in flow(graph, ids["h"]).hops] == [
        ids["add"],
        ids["branch"],
        ids["h"],
    ]


def test_gain_is_of_the_edge_and_fan_in_of_the_rest() -> None:
    graph, ids = fan_in((1.0, 0.1))
    way = flow(graph, ids["h"])
    assert way.hops[0].gain == pytest.approx(1.0)
    assert way.hops[1].fan_in == pytest.approx(1.1)
    assert way.gain == pytest.approx(1.1)


def test_without_contributions_the_source_with_the_larger_gradient_is_followed() -> None:
    b = GraphBuilder()
    h = b.op("Tanh", b.leaf("x", (4,)), shape=(4,), gradient=1.0)
    small = b.op("Mul", h, shape=(4,), gradient=1e-3)
    large = b.op("Exp", h, shape=(4,), gradient=2.0)
    b.op("Add", small, large, shape=(4,), gradient=2.0)
    graph = b.graph()
    assert b.ids[large] in [hop.node for hop in flow(graph, b.ids[h]).hops]


def test_every_edge_taken_is_the_strongest_at_its_target_in_random_graphs() -> None:
    for seed in range(25):
        graph = random_graph(random.Random(seed))
        for target in range(len(graph.structure.nodes)):
            hops = flow(graph, target).hops
            assert (hops[0].node, hops[-1].node) == (0, target)
            for before, hop in pairwise(hops):
                assert hop.edge is not None
                edge = graph.structure.edges[hop.edge]
                assert (edge.source, edge.target) == (before.node, hop.node)
                rivals = graph.structure.incoming[hop.node]
                norms = [graph.contributions[i] for i in rivals if i in graph.contributions]
                best = max((s.l2_norm or 0.0 for s in norms if s), default=hop.arriving)
                assert hop.arriving == pytest.approx(best)


def random_graph(rng: random.Random) -> Graph:
    size = 12
    nodes = tuple(
        Node(i, "op" if i else "loss", "MulBackward0", order=size - i) for i in range(size)
    )
    pairs = {(rng.randrange(i), i) for i in range(1, size)}
    pairs |= {(rng.randrange(i), i) for i in range(1, size) for _ in range(2)}
    edges = tuple(Edge(source, 0, target) for source, target in sorted(pairs))
    structure = Structure(nodes, edges, (0,))
    carried = {i: stats(rng.uniform(0.1, 1.0), (3,)) for i in range(len(edges))}
    received = {(i, 0): stats(rng.uniform(0.1, 2.0), (3,)) for i in range(size)}
    for i in range(1, size):
        if len(structure.incoming[i]) == 1:
            received[i, 0] = carried.pop(structure.incoming[i][0])
    return Graph(structure, {}, received, carried)


def test_a_gap_of_unmeasured_hops_belongs_to_the_hop_before() -> None:
    graph = chain_graph(["Exp", "View", "Sigmoid"], [0.5, UNMEASURED, 4.0])
    way = flow(graph, node_of(graph, "Exp"))
    assert [hop.gain for hop in way.hops] == pytest.approx([0.125, None, None])
    assert way.gain == pytest.approx(0.125)


def test_zero_and_infinite_gradients_have_no_logarithm_but_break_nothing() -> None:
    graph = chain_graph(["Exp", "Mul", "Log", "Sin"], [0.0, 0.0, 1.0, 1.0])
    way = flow(graph, node_of(graph, "Exp"))
    assert [hop.gain for hop in way.hops] == [1.0, 0.0, None, None]
    assert [share.name for share in shares(graph, way.hops)] == ["SinBackward0"]
    graph = chain_graph(["Exp", "Mul"], [math.nan, 1.0])
    gain = flow(graph, node_of(graph, "Exp")).hops[0].gain
    assert gain is not None
    assert math.isnan(gain)


def test_shares_name_what_shrank_the_gradient() -> None:
    graph = mlp_graph(12, factor=0.1)
    end = deepest_node(graph.structure)
    assert end is not None
    found = shares(graph, flow(graph, end).hops[1:])
    assert (found[0].name, found[0].count) == ("SigmoidBackward0", 12)
    assert found[0].gain == pytest.approx(0.1)
    assert found[0].decades == pytest.approx(-12.0)
    assert sum(s.share for s in found if s.decades < 0) == pytest.approx(1.0)


def test_shares_count_losses_and_gains_apart() -> None:
    graph = chain_graph(["Exp", "Mul", "Sigmoid", "Sin"], [1.0, 10.0, 1.0, 100.0])
    found = shares(graph, flow(graph, node_of(graph, "Exp")).hops)
    by_name = {share.name: share for share in found}
    assert by_name["SinBackward0"].decades == pytest.approx(-2.0)
    assert by_name["SinBackward0"].share == pytest.approx(2 / 3)
    assert by_name["MulBackward0"].share == pytest.approx(1 / 3)
    assert by_name["SigmoidBackward0"].share == pytest.approx(1.0)


def test_ops_that_only_move_or_spread_have_no_share() -> None:
    graph = chain_graph(["Exp", "Mean", "View", "Sin"], [1e-6, 1e-3, 1.0, 1.0])
    found = shares(graph, flow(graph, node_of(graph, "Exp")).hops)
    assert {share.name for share in found} == {"SinBackward0"}


def test_hops_can_be_grouped_by_module() -> None:
    graph = mlp_graph(3)
    end = deepest_node(graph.structure)
    assert end is not None
    hops = flow(graph, end).hops
    assert {"net", "net.fc2"} <= {share.name for share in shares(graph, hops, by_module)}
    assert "Linear" in {share.name for share in shares(graph, hops, by_module_type)}


def test_neighbours_of_one_kind_are_told_once() -> None:
    graph = chain_graph(["Exp", "Sigmoid", "Sigmoid", "Sigmoid", "Mul"], lambda _: 1.0)
    way = flow(graph, node_of(graph, "Exp"))
    found = [(name, len(members)) for name, members in runs(graph, way.hops)]
    assert found == [("MulBackward0", 1), ("SigmoidBackward0", 3), ("ExpBackward0", 1)]


def test_a_node_that_is_not_there() -> None:
    with pytest.raises(IndexError, match="no node 99"):
        flow(chain_graph(3), 99)


def test_a_graph_of_50000_ops_takes_less_than_a_second() -> None:
    graph = chain_graph(50_000, lambda _: 1.0)
    took = []
    for _ in range(3):  # what else the machine does only adds to it
        began = time.process_time()
        end = deepest_node(graph.structure)
        assert end is not None
        way = flow(graph, end)
        shares(graph, way.hops)
        took.append(time.process_time() - began)
        assert len(way.hops) == 50_000
    assert min(took) < 1.0


@pytest.mark.parametrize(
    "graph", [gpt2_like_graph(24), unrolled_rnn_graph(70)], ids=["gpt2", "rnn"]
)
def test_a_graph_of_1000_nodes_takes_less_than_50_ms(graph: Graph) -> None:
    assert len(graph.structure.nodes) > 1000
    began = time.process_time()
    end = deepest_node(graph.structure)
    assert end is not None
    shares(graph, flow(graph, end).hops)
    assert time.process_time() - began < 0.05
