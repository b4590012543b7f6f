"""Pictures for tests, and what an SVG says."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Sequence

from gradscope.analysis.flags import flagged_nodes
from gradscope.analysis.fold import fold
from gradscope.model.finding import Finding, Severity, Where
from gradscope.model.graph import Graph
from gradscope.render.dot import PictureOptions, to_dot
from gradscope.render.image import render_image

SVG = "{http://www.w3.org/2000/svg}"


def drawn(
    graph: Graph, findings: Sequence[Finding] = (), *, title: str = "", subtitle: str = ""
) -> str:
    """The DOT text, findings kept visible."""
    keep = frozenset(flagged_nodes(graph, findings))
    options = PictureOptions(title=title, subtitle=subtitle)
    return to_dot(graph, fold(graph, keep=keep), options, findings)


def finding(
    code: str, name: str, where: Where, severity: Severity = "error", message: str = "a message"
) -> Finding:
    return Finding(code, name, severity, message, where)


def box_line(dot: str, box_id: str) -> str:
    """The DOT line of one box."""
    found = [line for line in dot.splitlines() if line.strip().startswith(f"{box_id} [")]
    assert len(found) == 1, box_id
    return found[0]


def text_of(line: str) -> str:
    """The label's text, rows by newlines."""
    label = line[line.index("label=<") : line.index(", tooltip=")]
    return re.sub(r"<[^>]*>", "", label.replace("</TR>", "\n")).removeprefix("label=").strip("\n>")


def svg_of(graph: Graph, findings: Sequence[Finding] = ()) -> ET.Element:
    return ET.fromstring(render_image(drawn(graph, findings), "svg"))


def texts(svg: ET.Element) -> list[str]:
    """Every piece of live text."""
    return ["".join(element.itertext()) for element in svg.iter(f"{SVG}text")]


def tooltips(svg: ET.Element) -> dict[str, str]:
    """Tooltip of every box by its id."""
    found = {}
    for group in svg.iter(f"{SVG}g"):
        title = group.find(f"{SVG}title")
        if group.get("class") == "node" and title is not None:
            found[group.get("id") or ""] = title.text or ""
    return found
