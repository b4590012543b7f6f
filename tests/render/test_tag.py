"""Tags in the picture: where arrows would be too long to follow."""

from __future__ import annotations

import time
import xml.etree.ElementTree as ET

from gradscope.analysis.fold import fold
from gradscope.model.graph import Graph
from gradscope.render.dot import PictureOptions, to_dot
from gradscope.render.image import render_image
from gradscope.render.inline_svg import inline_svg
from gradscope.render.way import Way
from tests.builders import GraphBuilder, mlp_graph, unrolled_rnn_graph
from tests.render.drawing import SVG, box_line, text_of, texts, tooltips

TURNS = 30


def recurrent(*leaves: str) -> Graph:
    b = GraphBuilder()
    used = [b.leaf(name, (4,), gradient=1.0) for name in leaves]
    h = b.op("Add", *used, shape=(4,), gradient=1.0)
    for turn in range(TURNS):
        h = b.op("Add", h, *used, shape=(4,), gradient=0.25**turn, iteration=turn + 1)
    return b.graph()


def every_op(graph: Graph, way: Way | None = None) -> str:
    folded = fold(graph, max_nodes=len(graph.structure.nodes), depth=99)
    return to_dot(graph, folded, PictureOptions(way=way))


def leaf(graph: Graph) -> str:
    return f"n{next(node.id for node in graph.structure.nodes if node.label)}"


def test_a_tag_has_the_name_of_its_box_and_what_flows_there() -> None:
    graph = recurrent("cell.weight")
    name = leaf(graph)
    dot = every_op(graph)
    line = box_line(dot, f"{name}_2")
    assert text_of(line) == "cell.weight"
    assert 'tooltip="stands for\\ncell.weight: gradient rms 1' in line
    assert 'class="tag"' in line
    assert text_of(box_line(dot, name)).splitlines()[-1] == "+ 30 more, tagged with its name"
    assert "small box: stands for the large one with that name" in dot


def test_one_tag_for_many_boxes_lists_them() -> None:
    dot = every_op(recurrent(*(f"w{i}" for i in range(8))))
    line = next(line for line in dot.splitlines() if 'class="tag"' in line)
    assert text_of(line).splitlines() == [*(f"w{i}" for i in range(6)), "and 2 more"]
    assert all(f"w{i}: gradient rms" in line for i in range(8))


def test_names_are_escaped() -> None:
    dot = every_op(recurrent('<b>"\\N"&\x1b[31m</b>'))
    svg = ET.fromstring(render_image(dot, "svg"))
    said = [text for text in texts(svg) if "31m" in text]
    assert len(said) == TURNS + 1
    assert all(text.startswith('<b>"\\N"&\\x1b[31m') for text in said)


def test_a_way_is_never_cut_and_makes_tags_pale() -> None:
    graph = recurrent("w")
    name = leaf(graph)
    way = Way(boxes=frozenset({"n0", name}), arrows={("n5", name): "here"})
    dot = every_op(graph, way)
    assert f"  n5 -> {name} [" in dot
    assert "#fafafa" in box_line(dot, f"{name}_1")


def test_the_page_can_tell_tags_from_boxes() -> None:
    graph = recurrent("w")
    svg = inline_svg(render_image(every_op(graph), "svg").decode(), "ops", "a picture")
    root = ET.fromstring(svg)
    groups = {g.get("id"): g.get("class") for g in root.iter("g") if g.get("id")}
    name = f"ops-{leaf(graph)}"
    assert groups[name] == "node"
    assert groups[f"{name}_1"] == "node tag"


def test_an_unrolled_network_of_hundreds_of_ops_is_drawn_soon() -> None:
    graph = unrolled_rnn_graph(35, module=False)
    dot = every_op(graph)
    started = time.monotonic()
    svg = ET.fromstring(render_image(dot, "svg", timeout_s=20))
    assert time.monotonic() - started < 5
    boxes = [g for g in svg.iter(f"{SVG}g") if g.get("class") == "node"]
    assert len(boxes) == len(graph.structure.nodes)
    assert len(tooltips(svg)) == len(boxes)


def test_only_a_tangle_is_laid_out_in_haste() -> None:
    b = GraphBuilder()
    ops = [b.leaf("x", (4,))]
    for i in range(140):
        near = {ops[-1], ops[i * 31 % len(ops)], ops[i * 17 % len(ops)]}
        ops.append(b.op("Add", *sorted(near), shape=(4,)))
    tangle = every_op(b.graph())
    assert "nslimit" in tangle
    assert "nslimit" not in every_op(mlp_graph(30)) + every_op(recurrent("w"))
    assert b"<svg" in render_image(tangle, "svg", timeout_s=20)
