"""What boxes and nodes are called, where there is one line for it."""

from __future__ import annotations

from gradscope.analysis.folded import FoldedNode
from gradscope.render.canvas import Canvas
from gradscope.render.units import format_integer


def box_name(canvas: Canvas, box: FoldedNode) -> str:
    """What a box is called."""
    if box.is_folded:
        times = f" ×{format_integer(box.count)}" if box.kind == "loop" else ""
        return f"{box.title} {box.path}{times}".strip()
    return node_name(canvas, box.anchor)


def node_name(canvas: Canvas, node_id: int) -> str:
    """What a node is called: a leaf by its name, an op by the user's words."""
    node = canvas.node(node_id)
    if node.kind in ("parameter", "input"):
        return canvas.leaf_name(node_id)
    return canvas.op_title(node)
