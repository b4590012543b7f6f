"""The report as one HTML page: everything inside it, nothing loaded, no script but its own."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Any

import jinja2
from markupsafe import Markup

from gradscope.analysis.errors import explaining
from gradscope.analysis.fold import fold
from gradscope.model.finding import Report
from gradscope.model.trace import ScriptError
from gradscope.render.canvas import Canvas
from gradscope.render.chains import chain_views
from gradscope.render.colors import Scale
from gradscope.render.facts import run_facts
from gradscope.render.html_data import data_island, graph_document
from gradscope.render.html_findings import (
    Line,
    block,
    finding_views,
    lines_around,
    nodes_of_findings,
    told,
)
from gradscope.render.html_graph import LevelView, Picture, level_canvas, level_views
from gradscope.render.html_table import table
from gradscope.render.listing import Listing, Place
from gradscope.render.options import RenderOptions
from gradscope.render.places import without_folder
from gradscope.render.plot_svg import Figure
from gradscope.render.plots import nodes_of_parameters
from gradscope.render.rows import Row, all_findings, legend, parameter_rows
from gradscope.render.rows import title as table_title
from gradscope.render.safe import LINE_LIMIT, LIST_LIMIT, PROSE_LIMIT, visible
from gradscope.render.summary import (
    Chosen,
    Verdict,
    checked,
    chosen_graph,
    more_findings,
    target_name,
    verdict,
)
from gradscope.render.units import format_number
from gradscope.render.unseen import unseen

_TRACEBACK_LIMIT = 8_000
_FIX_LIMIT = 1_500
_BOXES = 400
_USUAL = ("main_thread", "True")  # told only where it is not so
_SCRIPTS = ("page.js", "graph.js", "select.js", "search.js", "plots.js", "table.js", "print.js")


@dataclass(frozen=True)
class Extras:
    """What was looked up at the edge for the page.

    Attributes:
        listings: Lines around those that findings blame, by file and line.
        problems: Sentences on what could not be drawn or read.
        figures: The plots, drawn.
    """

    listings: Mapping[Place, Listing]
    problems: Sequence[str] = ()
    figures: Sequence[Figure] = ()


_NO_EXTRAS = Extras({})


def render_html(
    report: Report,
    options: RenderOptions,
    pictures: Sequence[Picture] = (),
    extras: Extras = _NO_EXTRAS,
) -> str:
    """The whole report as one self-contained page.

    Args:
        report: The report.
        options: Of these, ``step`` chooses the graph.
        pictures: The graph at each level of folding, coarsest first, as ``draw_pictures`` gives.
        extras: What was read beside the report.
    """
    chosen = chosen_graph(report, options.step)
    canvas = None if chosen is None else _canvas(report, chosen, pictures)
    rows = parameter_rows(report)
    findings = nodes_of_findings(report, canvas)
    nodes = nodes_of_parameters(chosen.graph if chosen else None)
    graph = graph_document(canvas, pictures, findings) if canvas else {}
    chains = chain_views(report, chosen)
    hero = _hero(report, findings, {figure.key: figure for figure in extras.figures})
    return _page().render(
        **_frame(report),
        **_answer(report, extras, options.folder),
        **_graph(report, chosen, pictures, extras),
        **_parameters(rows, nodes, canvas),
        findings=finding_views(report, extras.listings, findings, options.folder),
        **_plots(hero, extras.figures, alone=not report.findings and not chains),
        chains=chains,
        data=data_island(graph),
    )


def _canvas(report: Report, chosen: Chosen, pictures: Sequence[Picture]) -> Canvas:
    """The finest picture's, for names, colours and flags."""
    folded = pictures[-1].folded if pictures else fold(chosen.graph, max_nodes=_BOXES)
    return level_canvas(report, chosen, folded)


def _hero(
    report: Report, findings: Sequence[Sequence[int]], figures: Mapping[str, Figure]
) -> Figure | None:
    """The plot beside the worst finding: along depth, or over steps where it names no node."""
    depth, steps = figures.get("depth"), figures.get("steps")
    if report.findings and report.findings[0].severity != "info" and not findings[0]:
        return steps or depth
    return depth or steps


def _plots(hero: Figure | None, figures: Sequence[Figure], *, alone: bool) -> dict[str, Any]:
    """Two by two below the graph; the last of an odd number beside a first that stands alone."""
    rest = [figure for figure in figures if figure is not hero]
    beside = rest[-1] if hero and alone and len(rest) % 2 else None
    return {"hero": hero, "beside": beside, "figures": rest[:-1] if beside else rest}


def _frame(report: Report) -> dict[str, Any]:
    """Style, script and the policy that allows just these two."""
    style = asset("page.css")
    script = f'"use strict";\n{{\n{"".join(map(asset, _SCRIPTS))}}}\n'
    policy = (
        f"default-src 'none'; script-src '{_hash(script)}'; style-src '{_hash(style)}'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )
    return {
        "policy": policy,
        "style": Markup(style),
        "script": Markup(script),
        "target": visible(target_name(report.trace)),
    }


def _answer(report: Report, extras: Extras, folder: str) -> dict[str, Any]:
    """What stands above everything else, and what stands at the end."""
    trace, answer = report.trace, verdict(report)
    absent = checked(report)
    return {
        "answer": answer,
        "severity": _severity(report, answer.kind),
        "headline": _headline(report, answer),
        "location": visible(answer.location),
        "sentence": told(answer.text),
        "more": more_findings(report) if answer.kind == "problem" else "",
        "looked_for": told(absent, LIST_LIMIT) if absent and answer.kind == "clean" else "",
        "crash": _crash(trace.script_error, folder),
        "crash_lines": _crash_lines(report, answer, extras),
        "crash_fix": block(answer.fix, _FIX_LIMIT),
        "raised": visible(answer.raised, PROSE_LIMIT),
        "said": _said(report, answer),
        "facts": [(label, told(text)) for label, text in run_facts(trace)],
        "unseen": [told(sentence) for sentence in (*extras.problems, *unseen(report))],
        "environment": [
            (visible(name.replace("_", " ")), visible(value, LINE_LIMIT))
            for name, value in trace.environment.items()
            if (name, value) != _USUAL
        ],
    }


def _crash_lines(report: Report, answer: Verdict, extras: Extras) -> list[Line]:
    """Lines around the one that raised, where no finding shows a better one."""
    if report.trace.script_error is None or explaining(report) is not None:
        return []
    return lines_around(answer.source, extras.listings)


def _said(report: Report, answer: Verdict) -> int:
    """Position of the finding whose message is the answer above it; -1 for none."""
    if answer.kind == "problem":
        return 0
    explained = explaining(report)
    found = [finding is explained for finding in all_findings(report.findings)]
    return found.index(True) if True in found else -1


def _headline(report: Report, answer: Verdict) -> str:
    """A few words above the sentence; empty where the sentence is short enough by itself."""
    error = report.trace.script_error
    if error is not None:
        return visible(error.type)
    if answer.kind != "problem":
        return ""
    if not report.findings:
        return "Failed backward"
    name = visible(report.findings[0].name.replace("-", " "))
    return name[:1].upper() + name[1:]


def _severity(report: Report, kind: str) -> str:
    if kind == "crash":
        return "error"
    if kind == "problem":
        return report.findings[0].severity if report.findings else "error"
    return "none" if kind == "empty" else "clean"


def _crash(error: ScriptError | None, folder: str) -> str:
    if error is None:
        return ""
    return block(without_folder(error.traceback.rstrip(), folder), _TRACEBACK_LIMIT)


def _graph(
    report: Report, chosen: Chosen | None, pictures: Sequence[Picture], extras: Extras
) -> dict[str, Any]:
    levels: list[LevelView] = []
    if chosen is not None and pictures:
        levels = level_views(report, chosen, pictures)
    step = next((s for s in report.trace.steps if chosen and s.index == chosen.step), None)
    about = ""
    if step is not None:
        loss = f", loss {format_number(step.loss)}" if step.loss is not None else ""
        about = f"step {step.index} of {len(report.trace.steps)}{loss}"
    return {"levels": levels, "graph_about": about}


def _parameters(
    rows: Sequence[Row], nodes: Mapping[int, int], canvas: Canvas | None
) -> dict[str, Any]:
    scale = canvas.scale if canvas else Scale(-4, 0)
    headers, views = table(rows, nodes, scale)
    hint = legend(rows)
    return {
        "table_title": table_title(rows),
        "headers": headers,
        "rows": views,
        "table_hint": f"{hint[0].upper()}{hint[1:]}." if hint else "",
    }


@lru_cache(maxsize=8)
def asset(name: str) -> str:
    """A file of the page."""
    return (files("gradscope.render") / "assets" / name).read_text(encoding="utf-8")


@lru_cache(maxsize=1)
def _page() -> jinja2.Template:
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(asset("page.html.j2"))


def _hash(text: str) -> str:
    """What a policy names an inline element by (CSP level 2)."""
    digest = hashlib.sha256(text.encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode()}"
