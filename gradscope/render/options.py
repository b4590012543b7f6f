"""How a report is to be drawn: one small frozen value that every renderer takes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class RenderOptions:
    """What a renderer may vary; everything else follows from the report.

    Attributes:
        width: Columns of the text report; used between 60 and 120.
        color: Whether the text report carries ANSI colours.
        unicode: False keeps the text report in ASCII, names of the program included.
        image: Picture of the graph for Markdown: a relative link or a ``data:`` URI.
        plots: Words and link of each plot for Markdown.
        step: Index of the step whose graph is shown; None chooses the worst finding's, else
            the last one kept.
        max_rows: Rows of the parameter table in text and Markdown.
        max_findings: Findings told in full in text and Markdown.
        max_points: Points of each parameter history in JSON, and of the lists of steps and
            updates ten times as many.
        max_nodes: Nodes in JSON, of the graph shown and of all graphs under ``graphs``.
        all_graphs: Whether JSON carries every graph that was kept, under ``graphs``.
        folder: Files below it are shown relative to it, where a format shows paths.
    """

    width: int = 80
    color: bool = False
    unicode: bool = True
    image: str | None = None
    plots: tuple[tuple[str, str], ...] = ()
    step: int | None = None
    max_rows: int = 30
    max_findings: int = 10
    max_points: int = 500
    max_nodes: int = 50_000
    all_graphs: bool = False
    folder: str = ""
