from __future__ import annotations

import math
import re
from dataclasses import replace

import pytest

from gradscope.analysis.fold import fold
from gradscope.model.finding import Where
from gradscope.model.graph import Graph
from gradscope.render.colors import FLAG, NONFINITE, ZERO
from gradscope.render.dot import PictureOptions, to_dot
from tests.builders import (
    GraphBuilder,
    gpt2_like_graph,
    line,
    mlp_graph,
    scalar_graph,
    trace_with,
    unrolled_rnn_graph,
)
from tests.render.drawing import box_line, drawn, finding, text_of
from tests.render.golden import check_golden


def node_id(graph: Graph, label: str) -> str:
    return f"n{next(n.id for n in graph.structure.nodes if n.label == label)}"


def test_a_scalar_graph() -> None:
    check_golden("scalar.dot", drawn(scalar_graph(), title="seed.py", subtitle="step 0 · loss 5"))


def test_a_small_network_with_a_finding() -> None:
    graph = mlp_graph(2)
    first = next(n.id for n in graph.structure.nodes if n.op == "SigmoidBackward0")
    about = [finding("GS101", "vanishing-gradient", Where(nodes=(first,)))]

    check_golden("mlp.dot", drawn(graph, about))


def test_a_decoder_folded() -> None:
    graph = gpt2_like_graph(gradient=lambda layer: 1e-2 * 0.5 ** (11 - layer))

    check_golden("gpt2.dot", drawn(graph, title="train.py"))


def test_the_users_words_come_first_and_autograds_second() -> None:
    graph = mlp_graph(2)
    dot = drawn(graph)

    op = next(n for n in graph.structure.nodes if n.op == "SigmoidBackward0")
    assert text_of(box_line(dot, f"n{op.id}")).splitlines() == [
        "h = torch.sigmoid(self.fc2(h)) train.py:21",
        "[64, 32]  grad 0.01  SigmoidBackward0",
    ]
    weight = node_id(graph, "net.fc1.weight")
    assert text_of(box_line(dot, weight)).splitlines() == [
        "net.fc1.weight [32, 32]",
        "grad 4.0e-04",
    ]


def test_single_elements_show_value_and_signed_gradient() -> None:
    b = GraphBuilder()
    x = b.leaf("x", kind="input", value=-2.0, gradient=-7.0)
    b.op("Exp", x, shape=(), gradient=1.0, value=5.0)
    dot = drawn(b.graph())

    assert "value -2  grad -7" in text_of(box_line(dot, "n1"))
    assert "value 5  grad 1" in text_of(box_line(dot, "n0"))


def test_parameters_inputs_and_the_loss_have_their_own_shapes() -> None:
    graph = scalar_graph()
    b = GraphBuilder()
    b.op("Mul", b.leaf("w"), b.leaf("x", kind="input"))

    parameter, given = box_line(drawn(b.graph()), "n1"), box_line(drawn(b.graph()), "n2")
    loss, op = box_line(drawn(graph), "n0"), box_line(drawn(graph), "n1")

    assert 'style="filled"' in parameter
    assert 'style="filled,rounded"' in op
    assert "shape=note" in given
    assert "LOSS" in loss
    assert "LOSS" not in op


def test_no_gradient_is_not_a_zero_gradient() -> None:
    b = GraphBuilder()
    unused = b.leaf("unused", (3,), gradient=None)
    zero = b.leaf("zero", (3,), gradient=0.0)
    b.op("Mul", unused, zero, shape=(3,), gradient=1.0)
    graph = b.graph()
    dot = drawn(graph)

    assert "no gradient" in text_of(box_line(dot, node_id(graph, "unused")))
    assert "dashed" in box_line(dot, node_id(graph, "unused"))
    assert "grad exactly 0" in text_of(box_line(dot, node_id(graph, "zero")))
    assert f'fillcolor="{ZERO}"' in box_line(dot, node_id(graph, "zero"))
    assert "dashed: no gradient" in dot
    dashed = [line for line in dot.splitlines() if "->" in line and "dashed" in line]
    assert len(dashed) == 1


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_what_is_not_finite_is_loud(bad: float) -> None:
    b = GraphBuilder()
    w = b.leaf("w", (3,), gradient=bad)
    b.op("Exp", w, shape=(3,), gradient=1.0)
    dot = drawn(b.graph())

    assert NONFINITE in box_line(dot, "n1")
    assert ("grad NaN in 3 of 3" if math.isnan(bad) else "grad Inf") in text_of(box_line(dot, "n1"))
    edge = next(line for line in dot.splitlines() if "n0 -> n1" in line)
    assert NONFINITE in edge
    assert "NaN or Inf" in dot


def test_what_is_not_finite_inside_a_folded_box_is_loud_too() -> None:
    b = GraphBuilder()
    x = b.leaf("x", (3,), gradient=1.0)
    for i in range(300):
        x = b.op("Exp", x, shape=(3,), gradient=math.nan if i == 100 else 1.0)
    graph = b.graph()
    dot = drawn(graph)
    box = next(n for n in fold(graph).nodes if n.kind == "loop")

    assert "NaN or Inf in 1 of 300 nodes" in text_of(box_line(dot, box.id))
    assert f'color="{NONFINITE}"' in box_line(dot, box.id)


def test_findings_mark_their_nodes_with_code_and_reason() -> None:
    graph = mlp_graph(3, factor=0.2)
    sigmoid = next(n.id for n in graph.structure.nodes if n.op == "SigmoidBackward0")
    about = [
        finding("GS101", "vanishing-gradient", Where(nodes=(sigmoid,))),
        finding("GS401", "accumulated-gradient", Where(parameter="net.fc2.bias"), "warning"),
    ]
    dot = drawn(graph, about)

    assert "GS101 ×0.2" in text_of(box_line(dot, f"n{sigmoid}"))
    assert f'color="{FLAG["error"]}", penwidth=4' in box_line(dot, f"n{sigmoid}")
    bias = node_id(graph, "net.fc2.bias")
    assert "GS401 accumulated-gradient" in text_of(box_line(dot, bias))
    assert f'color="{FLAG["warning"]}"' in box_line(dot, bias)
    marked = [line for line in dot.splitlines() if "penwidth=4]" in line and "->" not in line]
    assert len(marked) == 2


def test_flags_inside_a_folded_box_show_on_it() -> None:
    graph = unrolled_rnn_graph(200)
    tanh = [n.id for n in graph.structure.nodes if n.op == "TanhBackward0"]
    about = [finding("GS103", "vanishing-through-time", Where(nodes=tuple(tanh)))]
    folded = fold(graph, keep=frozenset(tanh))

    dot = to_dot(graph, folded, findings=about)

    inside = [box for box in folded.nodes if box.is_folded and len(box.kept) > 1]
    total = sum(len(box.kept) for box in folded.nodes)
    assert total == 400
    for box in inside:
        assert f"{len(box.kept)} flagged nodes inside" in text_of(box_line(dot, box.id))


def test_findings_about_another_step_are_left_out() -> None:
    graph = mlp_graph()
    about = [finding("GS101", "vanishing-gradient", Where(nodes=(1,), step=7))]
    folded = fold(graph)

    other = to_dot(graph, folded, PictureOptions(step=3), about)
    same = to_dot(graph, folded, PictureOptions(step=7), about)

    assert "GS101" not in box_line(other, "n1")
    assert "GS101" in box_line(same, "n1")


def test_findings_without_a_node_stand_in_the_heading() -> None:
    about = [
        finding("GS401", "accumulated-gradient", Where(source=line(9)), "warning"),
        finding("GS101", "vanishing-gradient", Where(nodes=(1,))),
    ]

    heading = next(text for text in drawn(mlp_graph(), about).splitlines() if "labelloc" in text)

    assert "GS401 accumulated-gradient at train.py:9" in heading
    assert "GS101" not in heading
    many = drawn(mlp_graph(), [about[0], *(replace(about[0]) for _ in range(9))])
    assert many.count("GS401") == 3
    assert "and 7 more findings" in many


def test_a_folded_box_tells_both_ends_and_every_turn() -> None:
    graph = gpt2_like_graph(gradient=lambda layer: 1e-2 * 0.5 ** (11 - layer))
    dot = drawn(graph)
    box = next(n for n in fold(graph).nodes if n.kind == "loop")

    told = text_of(box_line(dot, box.id))

    assert "GPT2Block ×12" in told
    assert "h.0 … h.11" in told
    assert "grad 0.01 → 0.03" in told
    assert "144 parameters, 85.1M elements" in told
    assert box_line(dot, box.id).count('FIXEDSIZE="TRUE"') == 12


def test_a_loop_says_where_the_gradient_died() -> None:
    b = GraphBuilder()
    x = b.leaf("x", (3,))
    for turn in range(1, 301):
        gradient = 0.0 if turn < 100 else 1e-3
        x = b.op("Mul", x, shape=(3,), gradient=gradient, iteration=turn, source=line(3, "y*=x"))
    graph = b.graph()
    box = next(n for n in fold(graph).nodes if n.kind == "loop")

    assert "exactly 0 from 99 on" in text_of(box_line(drawn(graph), box.id))


def test_a_forward_graph_says_that_no_backward_ran() -> None:
    b = GraphBuilder()
    b.op("Exp", b.leaf("x", (3,)), shape=(3,), value=2.0)
    dot = drawn(b.graph(backward_ran=False))

    assert "no backward ran" in dot
    assert "grad" not in text_of(box_line(dot, "n0"))
    assert "RMS of the gradient" not in dot


def test_what_was_not_recorded_is_said() -> None:
    graph = mlp_graph(2)
    cut = replace(graph, structure=replace(graph.structure, truncated=1234))

    assert "; 1,234 more were not recorded" in drawn(cut)


def test_arrows_are_thicker_where_the_gradient_is_larger() -> None:
    dot = drawn(mlp_graph(4, factor=1e-2))

    spine = [float(w) for w in re.findall(r"n\d+ -> n\d+ \[.*?penwidth=([\d.]+)", dot)]

    assert max(spine) > 2 * min(spine) > 0


def test_names_come_from_the_trace_when_it_is_given() -> None:
    graph = mlp_graph(1)
    parameters = trace_with(mlp_graph(1)).parameters
    renamed = [
        replace(p, name="self.first.weight") if p.name == "net.fc1.weight" else p
        for p in parameters
    ]

    dot = to_dot(graph, fold(graph), parameters=renamed)

    assert "self.first.weight [32, 32]" in text_of(box_line(dot, node_id(graph, "net.fc1.weight")))


def test_it_is_a_pure_function() -> None:
    graph = gpt2_like_graph()

    assert drawn(graph) == drawn(gpt2_like_graph())
