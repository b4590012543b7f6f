from __future__ import annotations

import math
import random
import time
from dataclasses import replace

import networkx as nx
import pytest

from gradscope.analysis.fold import fold
from gradscope.analysis.folded import FoldedGraph, FoldedNode
from gradscope.model.graph import Graph, Structure
from tests.builders import (
    GraphBuilder,
    chain_graph,
    gpt2_like_graph,
    line,
    mlp_graph,
    resnet_like_graph,
    scalar_graph,
    unrolled_rnn_graph,
)


def check(graph: Graph, folded: FoldedGraph) -> None:
    """What holds for every folded graph."""
    ids = [box.id for box in folded.nodes]
    assert len(set(ids)) == len(ids)
    members = sorted(member for box in folded.nodes for member in box.members)
    assert members == list(range(len(graph.structure.nodes)))
    pairs = [(edge.source, edge.target) for edge in folded.edges]
    assert len(set(pairs)) == len(pairs)
    assert nx.is_directed_acyclic_graph(nx.DiGraph(pairs))
    box_of = folded.box_of
    expected = {
        (box_of[e.source], box_of[e.target])
        for e in graph.structure.edges
        if box_of[e.source] != box_of[e.target]
    }
    assert set(pairs) == expected


def folded_checked(
    graph: Graph,
    *,
    max_nodes: int = 150,
    depth: int | None = None,
    keep: frozenset[int] = frozenset(),
) -> FoldedGraph:
    folded = fold(graph, max_nodes=max_nodes, depth=depth, keep=keep)
    check(graph, folded)
    return folded


def only(folded: FoldedGraph, kind: str) -> FoldedNode:
    found = [box for box in folded.nodes if box.kind == kind]
    assert len(found) == 1
    return found[0]


def shown(folded: FoldedGraph) -> set[int]:
    """Nodes with a box of their own."""
    return {box.anchor for box in folded.nodes if not box.is_folded}


@pytest.mark.parametrize("graph", [scalar_graph(), mlp_graph(), resnet_like_graph((1, 1))])
def test_a_graph_that_fits_is_not_folded(graph: Graph) -> None:
    folded = folded_checked(graph, max_nodes=len(graph.structure.nodes))

    assert not folded.is_folded
    assert all(len(box.members) == 1 and not box.is_folded for box in folded.nodes)
    assert len(folded.edges) == len(graph.structure.edges)


def test_plumbing_is_told_apart_and_joins_its_producer_first() -> None:
    graph = mlp_graph(3)

    thin = {box.ops[0][0] for box in fold(graph).nodes if box.plumbing}
    tight = folded_checked(graph, max_nodes=len(graph.structure.nodes) - 3)

    assert thin == {"TBackward0"}
    assert not tight.is_folded or all(not box.is_folded for box in tight.nodes)
    weight = next(box for box in tight.nodes if box.kind == "parameter" and len(box.members) == 2)
    assert [graph.structure.nodes[m].op for m in weight.members] == ["TBackward0", "AccumulateGrad"]


def test_the_blocks_of_a_decoder_become_one_box() -> None:
    graph = gpt2_like_graph(12, gradient=lambda layer: 1e-2 * 0.8 ** (11 - layer))

    folded = folded_checked(graph)
    loop = only(folded, "loop")

    assert len(folded.nodes) < 20
    assert (loop.title, loop.path, loop.count) == ("GPT2Block", "h.0 … h.11", 12)
    assert loop.turn_names == tuple(str(i) for i in range(11, -1, -1))
    assert loop.gradient.turns == pytest.approx([1e-2 * 0.8**i for i in range(12)])
    assert loop.gradient.entering == pytest.approx(1e-2)
    assert loop.gradient.leaving == pytest.approx(3e-2)
    assert loop.gradient.smallest == pytest.approx(1e-2 * 0.8**11)
    assert len(loop.leaves) == 144
    assert loop.contents[:2] == ("ln_1 LayerNorm", "attn GPT2Attention")
    assert {c.name for c in folded.clusters} == {"model", "model.transformer"}


def test_a_tied_weight_stays_beside_both_of_its_users() -> None:
    folded = folded_checked(gpt2_like_graph())

    weight = only(folded, "parameter")
    users = {edge.source for edge in folded.edges if edge.target == weight.id}

    assert {box.path for box in folded.nodes if box.id in users} == {"wte", "lm_head"}


def test_depth_opens_modules_and_their_repeats() -> None:
    graph = gpt2_like_graph(12)

    closed = folded_checked(graph, depth=0)
    blocks = folded_checked(graph, depth=2)

    assert only(closed, "module").title == "GPT2LMHeadModel"
    paths = [box.path for box in blocks.nodes if box.title == "GPT2Block"]
    assert paths == [f"h.{i}" for i in range(12)]
    assert not any(box.kind == "loop" for box in blocks.nodes)


def test_depth_also_folds_a_small_graph() -> None:
    folded = folded_checked(mlp_graph(3), depth=1)

    titles = [(box.title, box.path) for box in folded.nodes if box.kind == "module"]
    assert titles == [("Linear", "fc1"), ("Linear", "fc2"), ("Linear", "fc3")]


@pytest.mark.parametrize("module", [True, False])
def test_an_unrolled_cell_becomes_one_box_with_both_ends(module: bool) -> None:
    graph = unrolled_rnn_graph(200, factor=0.97, module=module)

    folded = folded_checked(graph)
    loop = only(folded, "loop")

    assert loop.count == 200
    assert loop.title == ("LSTMCell" if module else "h, c = cell(x[t], (h, c))")
    turns = loop.gradient.turns
    assert len(turns) == 200
    assert turns[0] == pytest.approx(1e-2)
    assert turns[-1] == pytest.approx(1e-2 * 0.97**199)
    assert len(loop.leaves) == 2


def test_a_loop_written_over_several_lines_is_found() -> None:
    b = GraphBuilder()
    h = b.leaf("h0", (4,))
    w = b.leaf("w", (4,))
    for turn in range(1, 101):
        a = b.op("Mul", h, w, shape=(4,), source=line(10, "a = h * w", "h * w"), iteration=turn)
        c = b.op("Add", a, w, shape=(4,), source=line(11, "c = a + w", "a + w"), iteration=turn)
        h = b.op("Tanh", c, shape=(4,), source=line(12, "h = tanh(c)", "tanh(c)"), iteration=turn)
    b.op("Sum", h, shape=(), source=line(14, "loss = h.sum()", "h.sum()"))

    loop = only(folded_checked(b.graph()), "loop")

    assert (loop.count, loop.path) == (100, "train.py:10–12")
    assert loop.title == "a = h * w; c = a + w; h = tanh(c)"


def test_loops_within_loops() -> None:
    b = GraphBuilder()
    x = b.leaf("x", (4,))
    for outer in range(1, 31):
        x = b.op("Exp", x, shape=(4,), source=line(3), iteration=outer)
        for inner in range(10):
            x = b.op("Mul", x, shape=(4,), source=line(5), iteration=10 * outer + inner)
    b.op("Sum", x, shape=())

    loop = only(folded_checked(b.graph()), "loop")

    assert loop.count == 30
    assert loop.contents == ("Exp", "Mul ×10")


def test_the_first_turn_may_differ() -> None:
    b = GraphBuilder()
    x = b.leaf("x", (4,))
    w = b.leaf("w", (4,))
    for turn in range(1, 101):
        source = line(5, "x = (x * w).tanh()")
        if turn > 1:
            x = b.op("Mul", x, w, shape=(4,), source=source, iteration=turn)
        x = b.op("Tanh", x, shape=(4,), source=source, iteration=turn)
    b.op("Sum", x, shape=())

    assert only(folded_checked(b.graph()), "loop").count == 99


@pytest.mark.parametrize("length", [5_000, 50_000])
def test_long_chains(length: int) -> None:
    graph = chain_graph(length, lambda i: 1.0 + i)

    started = time.perf_counter()
    folded = fold(graph)
    seconds = time.perf_counter() - started

    check(graph, folded)
    loop = only(folded, "loop")
    assert loop.count == length - 1
    assert (loop.gradient.turns[0], loop.gradient.turns[-1]) == (length - 1, 1.0)
    assert len(folded.nodes) == 3
    assert seconds < 5  # about 0.6 s on an idle core


def test_kept_nodes_split_a_chain() -> None:
    graph = chain_graph(5_000)
    kept = frozenset({40, 41, 3_000})

    folded = folded_checked(graph, keep=kept)

    assert kept <= shown(folded)
    assert sorted(box.count for box in folded.nodes if box.kind == "loop") == [39, 1999, 2958]


def test_a_kept_node_deep_inside_is_shown_within_its_modules() -> None:
    graph = gpt2_like_graph(12)
    tanh = [n.id for n in graph.structure.nodes if n.op == "TanhBackward0"][5]

    folded = folded_checked(graph, keep=frozenset({tanh}))

    assert tanh in shown(folded)
    frames = [c.name.removeprefix("model.transformer.") for c in folded.clusters]
    assert "h.6.mlp.act" in frames
    loops = {box.path for box in folded.nodes if box.kind == "loop"}
    assert loops == {"h.0 … h.5", "h.7 … h.11"}


def test_too_many_kept_nodes_show_first_last_and_worst_and_count_the_others() -> None:
    graph = chain_graph(1_000, lambda i: 1e-9 if i == 500 else 1.0)
    kept = frozenset(range(100, 900, 4))
    worst = 1_000 - 1 - 500  # ids count from the loss
    assert worst in range(99, 900)

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


def test_calls_of_one_module_are_kept_apart() -> None:
    b = GraphBuilder()
    h = b.leaf("x", (4,))
    for turn in range(2):
        with b.module("net", "Net"):
            for i in range(40):
                with b.module(f"a{i}", f"Layer{i}"):
                    h = b.op(f"Op{i}", h, iteration=turn + 1)
        h = b.op("Exp", h)

    folded = folded_checked(b.graph(), max_nodes=20, depth=0)

    nets = [box for box in folded.nodes if box.title == "Net"]
    assert [len(box.members) for box in nets] == [40, 40]


def test_equal_modules_called_one_after_the_other_without_call_numbers() -> None:
    graph = unrolled_rnn_graph(50)
    nodes = tuple(replace(n, module_calls=(), module_call=0) for n in graph.structure.nodes)
    structure = Structure(nodes, graph.structure.edges, graph.structure.roots)

    folded = folded_checked(replace(graph, structure=structure), max_nodes=60)

    assert any(box.count == 50 or len(box.members) > 700 for box in folded.nodes)


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
