from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from gradscope.model.graph import Graph
from tests.builders import GraphBuilder, line, trace_with
from tests.diagnose.traces import judge, run_of, scaled

Shapes = tuple[tuple[int, ...], ...]
COLUMN: Shapes = ((8, 1), (8,))


def loss(
    *behind: str,
    op: str = "Sub",
    shapes: Shapes = COLUMN,
    call: str = "",
    before: str = "Addmm",
    same: bool = False,
    leaf: bool = False,
) -> Graph:
    """A prediction meets a plain tensor in ``op``; ``behind`` lead from there to the loss."""
    b = GraphBuilder()
    h = b.leaf("w", (8, 1), gradient=0.1)
    if not leaf:
        h = b.op("Addmm", h, shape=(8, 1), gradient=0.1, source=line(8, "p = net(x)"))
        if before != "Addmm":
            h = b.op(before, h, shape=(8, 1), gradient=0.1, source=line(9, "e = p[:, None] - y"))
    inputs = (h, h) if same else (h,)
    source = line(9, "e = p - y")
    met = h = b.op(op, *inputs, shape=(8, 8), gradient=0.1, source=source, call=call)
    for name in behind or ("Pow", "Mean"):
        h = b.op(name, h, shape=(8, 8), gradient=0.1, source=line(10, "loss = (e ** 2).mean()"))
    graph = b.graph()
    nodes = tuple(
        replace(n, operands=shapes) if n.id == b.ids[met] else n for n in graph.structure.nodes
    )
    return replace(graph, structure=replace(graph.structure, nodes=nodes))


@pytest.mark.parametrize("factor", [1e-8, 1.0, 1e8])
@pytest.mark.parametrize(
    "graph",
    [
        loss(),
        loss("Abs", "Mean", "Add"),
        loss(op="Mul"),
        loss(op="MseLoss", call="mse_loss", before="Unsqueeze"),
        loss(op="MseLoss", call="mse_loss", shapes=((8, 1, 3), (8, 3)), same=True),
        loss(shapes=((8,), (8, 1))),
        loss(shapes=((8, 1, 4, 4), (8, 4, 4)), before="Convolution"),
    ],
)
def test_a_prediction_and_a_target_of_other_shapes(graph: Graph, factor: float) -> None:
    (finding,) = judge(run_of(scaled(graph, factor)), "GS601")
    assert finding.severity == "error"
    assert finding.where.source == line(9, "e = p - y")
    assert " are broadcast against each other on the way to the loss: " in finding.message


def test_the_shapes_are_told() -> None:
    (finding,) = judge(run_of(loss()), "GS601")
    assert finding.message == (
        "[8, 1] and [8] are broadcast against each other on the way to the loss: "
        "`SubBackward0` of `e = p - y` (train.py:9)"
    )


def test_one_backward_only_is_said_and_weighed() -> None:
    (finding,) = judge(run_of(loss(), 1), "GS601")
    assert finding.severity == "warning"
    assert finding.message.endswith("judged on 1 backward only")


@pytest.mark.parametrize(
    "graph",
    [
        loss(shapes=()),
        loss(shapes=((8, 1), (1, 8))),  # all pairs, as it is written
        loss(shapes=((8, 1), (5,))),
        loss(shapes=((8, 1, 3), (8, 3))),  # all pairs of vectors
        loss(before="Unsqueeze"),  # p[:, None] in the very line
        loss(same=True),  # of one tensor with itself
        loss(leaf=True),  # a weight with data
        loss(op="Mul", same=True),
        loss("Mm", "Mean"),
        loss("Softmax", "Mm", "Mean"),
    ],
)
def test_tables_on_purpose(graph: Graph) -> None:
    assert judge(run_of(graph), "GS601") == []


@pytest.mark.parametrize(("pattern", "expected"), [("bbgg", 1), ("bggg", 0), ("gggg", 0)])
def test_one_backward_of_many_may_be_an_experiment(pattern: Sequence[str], expected: int) -> None:
    kinds = {"b": loss(), "g": loss(shapes=())}
    assert len(judge(trace_with(*(kinds[c] for c in pattern)), "GS601")) == expected


@pytest.mark.parametrize(
    ("behind", "expected"),
    [
        (("Pow", "Neg", "Exp", "Mean"), 0),  # a kernel
        (("Pow", "Neg", "Exp", "Log", "Mean"), 1),  # a likelihood
        (("Exp", "Mean"), 1),
        (("Relu", "Mean"), 1),
    ],
)
def test_distances_that_become_similarities_are_a_table(
    behind: tuple[str, ...], expected: int
) -> None:
    assert len(judge(run_of(loss(*behind)), "GS601")) == expected


@pytest.mark.parametrize(
    ("line_number", "behind", "expected"),
    [
        (9, ("Pow", "Mean"), 0),  # given its dimension in the very line
        (8, ("Pow", "Mean"), 1),
        (8, ("Relu", "Mean"), 0),  # margins of all pairs
    ],
)
def test_a_result_that_was_made_a_column(
    line_number: int, behind: tuple[str, ...], expected: int
) -> None:
    graph = loss(*behind, before="View")
    nodes = list(graph.structure.nodes)
    view = next(n for n in nodes if n.op.startswith("View"))
    model = next(n for n in nodes if n.op.startswith("Addmm"))
    nodes[view.id] = replace(view, source=line(line_number, "p = p.view(-1, 1)"))
    nodes[model.id] = replace(model, shape=(8,))
    graph = replace(graph, structure=replace(graph.structure, nodes=tuple(nodes)))
    assert len(judge(run_of(graph), "GS601")) == expected


@pytest.mark.parametrize(
    ("op", "used_again", "expected"),
    [("Sub", False, 0), ("Add", False, 1), ("Add", True, 0)],
)
def test_two_results_are_ranked_or_two_parts_of_one_prediction(
    op: str, used_again: bool, expected: int
) -> None:
    b = GraphBuilder()
    one, two = (
        b.op("Addmm", b.leaf(name, (8, 1), gradient=0.1), shape=shape, gradient=0.1)
        for name, shape in (("u", (8, 1)), ("v", (8,)))
    )
    met = b.op(op, one, two, shape=(8, 8), gradient=0.1, source=line(9))
    total = b.op("Mean", met, shape=(), gradient=1.0)
    if used_again:
        total = b.op("Sub", total, b.op("Mean", one, shape=(), gradient=1.0), shape=())
    graph = b.graph()
    nodes = tuple(
        replace(n, operands=COLUMN) if n.id == b.ids[met] else n for n in graph.structure.nodes
    )
    graph = replace(graph, structure=replace(graph.structure, nodes=nodes))
    assert len(judge(run_of(graph), "GS601")) == expected
