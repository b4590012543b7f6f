from __future__ import annotations

from dataclasses import replace

import pytest

from gradscope.analysis.paths import (
    deepest_node,
    direct_leaves,
    edge_norm,
    op_base,
    received_norm,
    role,
    side_leaves,
)
from gradscope.model.graph import Structure
from tests.builders import GraphBuilder, chain_graph, mlp_graph, stats


@pytest.mark.parametrize(
    ("op", "base"),
    [
        ("SumBackward1", "Sum"),
        ("AvgPool2DBackward0", "AvgPool2D"),
        ("CopyBackwards", "Copy"),
        ("torch::autograd::AccumulateGrad", "AccumulateGrad"),
        ("TanhBackwardBackward0", "TanhBackward"),
        ("MyFunctionBackward", "MyFunction"),
        ("Backward", "Backward"),
    ],
)
def test_the_op_without_decoration(op: str, base: str) -> None:
    assert op_base(op) == base


@pytest.mark.parametrize(
    ("op", "expected"),
    [
        ("AddmmBackward0", "work"),
        ("SigmoidBackward0", "work"),
        ("TBackward0", "move"),
        ("SelectBackward0", "move"),
        ("MeanBackward1", "spread"),
        ("UpsampleNearest2DBackward0", "spread"),
        ("torch::autograd::AccumulateGrad", "leaf"),
    ],
)
def test_what_an_op_does_to_the_size(op: str, expected: str) -> None:
    assert role(op) == expected


def test_the_deepest_node_is_the_first_layer_and_no_leaf() -> None:
    graph = mlp_graph(5)
    end = deepest_node(graph.structure)
    assert end is not None
    node = graph.structure.nodes[end]
    assert (node.op, node.module) == ("AddmmBackward0", "net.fc1")


def test_depth_counts_working_ops_only() -> None:
    b = GraphBuilder()
    near = b.op("Exp", b.leaf("a", (4,)), shape=(4,))
    for _ in range(6):
        near = b.op("View", near, shape=(4,))
    far = b.op("Sigmoid", b.op("Tanh", b.leaf("c", (4,)), shape=(4,)), shape=(4,))
    b.op("Mul", near, far, shape=(4,))
    graph = b.graph()
    end = deepest_node(graph.structure)
    assert end is not None
    assert graph.structure.nodes[end].op == "TanhBackward0"


def test_a_graph_without_ops_has_no_depth() -> None:
    assert deepest_node(Structure((), (), ())) is None
    b = GraphBuilder()
    only = b.leaf("x")
    assert deepest_node(b.graph(only).structure) is None


def test_norms_of_several_outputs_add_up_and_do_not_overflow() -> None:
    b = GraphBuilder()
    cell = b.op("Cell", b.leaf("x", (1,)), shape=(1,), gradient=[3e200, 4e200])
    graph = b.graph(cell)
    assert received_norm(graph, b.ids[cell]) == pytest.approx(5e200)


def test_a_contribution_of_nothing_is_not_the_whole_gradient() -> None:
    graph = chain_graph(["Exp", "Mul"], [2.0, 1.0], shape=(1,))
    edge = next(i for i, e in enumerate(graph.structure.edges) if e.source == 0)
    assert edge_norm(graph, edge) == pytest.approx(2.0)
    assert edge_norm(replace(graph, contributions={edge: None}), edge) is None
    assert edge_norm(replace(graph, contributions={edge: stats(7.0, (1,))}), edge) == 7.0


def test_leaves_are_found_behind_a_transposition() -> None:
    graph = mlp_graph(1)
    addmm = next(n.id for n in graph.structure.nodes if n.op == "AddmmBackward0")
    labels = {graph.structure.nodes[i].label for i in direct_leaves(graph.structure, addmm)}
    assert labels == {"net.fc1.weight", "net.fc1.bias"}


def test_side_leaves_stop_at_the_path() -> None:
    b = GraphBuilder()
    first = b.op("Mul", b.leaf("w1", (4,)), shape=(4,))
    gate = b.op("Sigmoid", b.op("Mul", b.leaf("w2", (4,)), first, shape=(4,)), shape=(4,))
    last = b.op("Mul", first, gate, shape=(4,))
    graph = b.graph(last)
    path = frozenset({b.ids[last], b.ids[first]})
    leaves = side_leaves(graph.structure, b.ids[last], path)
    assert {graph.structure.nodes[i].label for i in leaves} == {"w2"}
