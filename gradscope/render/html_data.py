"""What the page's script knows: which box holds which node, names to search."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence

from markupsafe import Markup

from gradscope.render.canvas import Canvas
from gradscope.render.html_graph import Picture
from gradscope.render.names import node_name
from gradscope.render.safe import visible
from gradscope.render.thin import spread

MOST_NAMES = 5_000
_SCRIPT_ENDS = {ord("<"): "\\u003c", ord(">"): "\\u003e", ord("&"): "\\u0026"}


def data_island(document: Mapping[str, object]) -> Markup:
    """JSON for a script element: no text in it can end the element or begin a comment."""
    text = json.dumps(document, allow_nan=False, separators=(",", ":"))
    return Markup(text.translate(_SCRIPT_ENDS))


def graph_document(
    canvas: Canvas, pictures: Sequence[Picture], findings: Sequence[Sequence[int]]
) -> dict[str, object]:
    """The graph that is shown.

    Node ids are given as flat lists of ranges, ``[3, 5, 9, 9]`` for 3, 4, 5 and 9.
    """
    return {
        "levels": {
            picture.name: {box.id: ranges(box.members) for box in picture.folded.nodes}
            for picture in pictures
        },
        "roots": list(canvas.graph.structure.roots[:1]),
        "names": _names(canvas),
        "findings": [ranges(nodes) for nodes in findings],
    }


def _names(canvas: Canvas) -> list[tuple[int, str, str]]:
    """Node id, name and op of everything that can be searched for."""
    nodes = canvas.graph.structure.nodes
    telling = [n.id for n in nodes if n.kind != "op" or n.label or n.id in canvas.flags]
    kept = spread(len(nodes), MOST_NAMES, telling)
    # Parameters are what people look for.
    kept.sort(key=lambda i: nodes[i].kind == "op")
    return [(i, visible(node_name(canvas, i), 160), visible(_op(canvas, i), 160)) for i in kept]


def _op(canvas: Canvas, node_id: int) -> str:
    node = canvas.node(node_id)
    return f"{node.op} {node.module}".strip()


def ranges(numbers: Iterable[int]) -> list[int]:
    """Sorted numbers as first and last of every unbroken run."""
    found: list[int] = []
    for number in sorted(numbers):
        if found and number <= found[-1] + 1:
            found[-1] = number
        else:
            found += [number, number]
    return found
