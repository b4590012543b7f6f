from __future__ import annotations

import math
import random
from dataclasses import replace

import pytest

from gradscope.analysis.fold import fold
from gradscope.model.graph import Graph, Structure
from tests.analysis.folding import folded_checked, only, shown
from tests.builders import GraphBuilder, chain_graph, gpt2_like_graph, line


def test_kept_nodes_split_a_chain() -> None:
    graph = chain_graph(5_000)
    kept = frozenset({40, 41, 3_000})

    folded = folded_checked(graph, keep=kept)

    assert kept <= shown(folded)
    assert sorted(box.count for box in folded.nodes if box.kind == "loop") == [39, 1999, 2958]


def test_a_kept_node_deep_inside_is_shown_within_its_modules() -> None:
    graph = gpt2_like_graph(24)
    module = "model.transformer.h.11.mlp.act"
    tanh = next(
        n.id for n in graph.structure.nodes if (n.op, n.module) == ("TanhBackward0", module)
    )

    folded = folded_checked(graph, keep=frozenset({tanh}))

    assert tanh in shown(folded)
    assert module in {cluster.name for cluster in folded.clusters}
    loops = {box.path for box in folded.nodes if box.kind == "loop"}
    assert loops == {"h.0 … h.10", "h.12 … h.23"}


def test_too_many_kept_nodes_show_first_last_and_worst_and_count_the_others() -> None:
    graph = chain_graph(1_000, lambda i: 1e-9 if i == 500 else 1.0)
    kept = frozenset(range(100, 900, 4))
    worst = 1_000 - 1 - 500  # ids count from the loss

    folded = folded_checked(graph, keep=kept | {worst})

    assert {100, 896, worst} <= shown(folded)
    assert sum(len(box.kept) for box in folded.nodes) == len(kept | {worst})
    assert max(len(box.kept) for box in folded.nodes if box.is_folded) > 50


def test_kept_parameters_leave_the_box_they_would_be_in() -> None:
    graph = gpt2_like_graph(12)
    bias = next(
        n.id for n in graph.structure.nodes if n.label == "model.transformer.h.3.mlp.c_fc.bias"
    )

    folded = folded_checked(graph, keep=frozenset({bias}))

    assert bias in shown(folded)
    assert only(folded, "loop").count == 12


def test_unknown_nodes_to_keep_are_ignored() -> None:
    folded_checked(chain_graph(300), keep=frozenset({-1, 10**6}))


@pytest.mark.parametrize("max_nodes", [2, 5, 20, 60])
def test_what_has_no_structure_is_cut_to_fit(max_nodes: int) -> None:
    chance = random.Random(1)
    b = GraphBuilder()
    known = [b.leaf("x", (4,))]
    for _ in range(3_000):
        name = f"Op{chance.randrange(60)}"
        known.append(b.op(name, known[-1], chance.choice(known), shape=(4,)))

    folded = folded_checked(b.graph(), max_nodes=max_nodes)

    assert len(folded.nodes) <= max_nodes
    assert any(box.kind == "span" for box in folded.nodes)


def test_a_crowd_of_leaves_is_bundled() -> None:
    b = GraphBuilder()
    leaves = [b.leaf(f"p{i}", (4,), gradient=2.0) for i in range(1_000)]
    b.op("Sum", b.op("Stack", *leaves, shape=(1_000, 4)), shape=())

    bundle = only(folded_checked(b.graph()), "leaves")

    assert bundle.count == 1_000
    assert bundle.gradient.entering == pytest.approx(2.0)


def test_inputs_stay_in_sight() -> None:
    b = GraphBuilder()
    x = b.leaf("x", (4,), kind="input")
    with b.module("net", "Net"):
        h = x
        for i in range(60):
            with b.module(f"fc{i}", "Linear"):
                h = b.op("Addmm", b.leaf(f"net.fc{i}.bias"), h, b.leaf(f"net.fc{i}.weight"))
    b.op("Sum", h)

    folded = folded_checked(b.graph())

    assert only(folded, "input").anchor in shown(folded)
    assert len(only(folded, "loop").leaves) == 120


def test_the_order_of_creation_may_be_unknown() -> None:
    graph = gpt2_like_graph(4)
    nodes = tuple(replace(n, order=-1) for n in graph.structure.nodes)
    structure = Structure(nodes, graph.structure.edges, graph.structure.roots)

    folded_checked(replace(graph, structure=structure), max_nodes=40)


def test_a_leaf_may_be_the_loss() -> None:
    b = GraphBuilder()
    leaf = b.leaf("w", gradient=1.0)

    folded = folded_checked(b.graph(leaf))

    assert [box.kind for box in folded.nodes] == ["parameter"]


def test_nothing_at_all() -> None:
    assert fold(Graph(Structure((), (), ()))).nodes == ()


def test_random_graphs_with_random_wishes() -> None:
    for seed in range(60):
        chance = random.Random(seed)
        graph = random_graph(chance, chance.choice([5, 40, 200]))
        size = len(graph.structure.nodes)
        keep = frozenset(chance.sample(range(size), min(size, chance.choice([0, 1, 12]))))
        max_nodes = chance.choice([3, 20, 150])

        folded = folded_checked(
            graph, max_nodes=max_nodes, depth=chance.choice([None, None, 0, 2]), keep=keep
        )

        few = max(3, max_nodes // 12)
        assert len(folded.nodes) <= max(max_nodes, 3 * (min(len(keep), few) + 1) + 2)
        if len(keep) <= few:
            assert keep <= shown(folded)
        assert sum(len(box.kept) for box in folded.nodes) == len(keep)


def random_graph(chance: random.Random, size: int) -> Graph:
    b = GraphBuilder()
    known = [b.leaf(f"p{i}", (3,)) for i in range(max(1, size // 5))]

    def grow(ops: int, level: int) -> None:
        while ops > 0:
            if level < 3 and chance.random() < 0.2:
                inner = chance.randint(1, min(ops, 10))
                with b.module(chance.choice(["a", "b", "c.0", "c.1"]), chance.choice("AB")):
                    grow(inner, level + 1)
                ops -= inner
                continue
            name = chance.choice(["Mul", "Add", "View", "T", "Relu"])
            inputs = chance.choices(known[-30:], k=1 if name in ("View", "T") else 2)
            gradient = chance.choice([1.0, 1e-20, 0.0, None, math.nan])
            source = line(chance.randint(1, 9), "y = x")
            known.append(
                b.op(name, *inputs, shape=(3,), gradient=gradient, source=source, iteration=1)
            )
            ops -= 1

    grow(size, 0)
    return b.graph()
