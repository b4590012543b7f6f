"""One way through a picture in strong colour, everything else pale."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from gradscope.analysis.folded import FoldedEdge, FoldedNode
from gradscope.render.quoting import attribute, plain

STRONG = "#d84315"
_PALE_LINE, _PALE_TEXT, _PALE_FILL = "#b0bec5", "#78909c", "#fafafa"
_LABEL = 48  # characters


@dataclass(frozen=True)
class Way:
    """What to show strongly.

    Attributes:
        boxes: Ids of boxes on the way.
        arrows: Source and target box of every arrow on it, to the text beside it.
        caption: What the colour means, for the legend.
    """

    boxes: frozenset[str] = frozenset()
    arrows: Mapping[tuple[str, str], str] = field(default_factory=dict)
    caption: str = ""


def box_on_way(way: Way | None, box: FoldedNode) -> dict[str, str]:
    """Attributes of a box that a way changes."""
    if way is None:
        return {}
    if box.id in way.boxes:
        return {"color": f'"{STRONG}"', "penwidth": "3"}
    return {
        "fillcolor": f'"{_PALE_FILL}"',
        "fontcolor": f'"{_PALE_TEXT}"',
        "color": f'"{_PALE_LINE}"',
        "penwidth": "0.6",
    }


def arrow_on_way(way: Way | None, edge: FoldedEdge) -> dict[str, str]:
    """Attributes of an arrow that a way changes."""
    if way is None:
        return {}
    text = way.arrows.get((edge.source, edge.target))
    if text is None:
        return {"color": f'"{_PALE_LINE}"', "penwidth": "0.6"}
    strong = {"color": f'"{STRONG}"', "fontcolor": f'"{STRONG}"', "penwidth": "4"}
    if text:
        strong |= {"label": attribute(f"  {plain(text, _LABEL)}"), "fontsize": "13"}
    return strong
