from __future__ import annotations

import time
from dataclasses import replace

import pytest

from gradscope.analysis.fold import fold
from gradscope.model.graph import Graph, Structure
from tests.analysis.folding import check, folded_checked, only
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
    ends = (loop.gradient.turns[0], loop.gradient.turns[-1])
    assert ends == pytest.approx((length - 1, 1.0))
    assert len(folded.nodes) == 3
    assert seconds < 5  # about 0.6 s on an idle core


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
    assert [box.ops[0] for box in nets] == [("Op0Backward0", 1)] * 2
    assert [len(box.members) - len(box.leaves) for box in nets] == [40, 40]


def test_equal_modules_called_one_after_the_other_without_call_numbers() -> None:
    graph = unrolled_rnn_graph(50)
    nodes = tuple(replace(n, module_calls=(), module_call=0) for n in graph.structure.nodes)
    structure = Structure(nodes, graph.structure.edges, graph.structure.roots)

    folded = folded_checked(replace(graph, structure=structure), max_nodes=60)

    assert any(box.count == 50 or len(box.members) > 700 for box in folded.nodes)
