from __future__ import annotations

from dataclasses import replace

import pytest

from gradscope.model.finding import Report
from gradscope.model.graph import Graph, Node, Traits
from gradscope.render.json import load_schema
from gradscope.render.traits import notable, trait_document, trait_lines
from tests.builders import mlp_graph, trace_with
from tests.render.drawing import drawn

NODE = Node(0, "op", "ReluBackward0")


def with_traits(**fields: object) -> Graph:
    graph = mlp_graph(2)
    first = next(n.id for n in graph.structure.nodes if n.op == "SigmoidBackward0")
    return replace(graph, traits={first: Traits(**fields)})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("traits", "text"),
    [
        (None, ""),
        (Traits(), ""),
        (Traits(units=8, samples=9, dead=0b11110001), "5 of 8 units dead"),
        (Traits(units=8, samples=9, dead=0b00000001), ""),
        (Traits(saturated_fraction=0.83), "saturated 83%"),
        (Traits(saturated_fraction=0.3), ""),
        (Traits(empty=True, reduction="mean"), "mean of nothing"),
    ],
)
def test_what_is_worth_a_line_on_the_box(traits: Traits | None, text: str) -> None:
    assert notable(traits) == text


def test_a_tooltip_tells_everything() -> None:
    traits = Traits(
        units=8,
        samples=9,
        dead=1,
        saturated_fraction=0.25,
        tiny_fraction=0.1,
        equal_rows=True,
        training=False,
        reduction="sum",
    )
    node = replace(NODE, operands=((4, 1), (4,)))
    assert list(trait_lines(node, traits)) == [
        "broadcast: [4, 1] with [4]",
        "1 of 8 units dead in this batch",
        "saturated 25%",
        "10% of the gradient at float16's smallest",
        "all rows of the gradient are equal",
        "evaluation mode",
        "reduction sum",
    ]
    assert list(trait_lines(NODE, None)) == []


def test_json_leaves_out_what_was_not_asked() -> None:
    assert trait_document(NODE, None) == {}
    document = trait_document(NODE, Traits(units=70, samples=3, dead=1 << 69 | 2))
    assert document == {"traits": {"units": 70, "samples": 3, "dead": [1, 69]}}
    node = replace(NODE, operands=((4, 1), (4,)))
    assert trait_document(node, Traits(empty=True)) == {
        "operands": [[4, 1], [4]],
        "traits": {"empty": True},
    }


def test_the_schema_knows_every_trait() -> None:
    known = load_schema()["$defs"]["traits"]["properties"]
    assert set(known) == set(Traits.__slots__)


def test_the_picture_shows_it() -> None:
    dot = drawn(with_traits(saturated_fraction=0.83))
    assert dot.count("saturated 83%") == 2  # on the box and in its tooltip
    assert "saturated" not in drawn(mlp_graph(2))
    assert Report(trace_with(with_traits(empty=True))).trace.graphs
