"""The plots: the numbers they hold, that they can be drawn, and what names may do."""

from __future__ import annotations

import base64
import json
import math
import re
import struct
import xml.etree.ElementTree as ET
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import altair as alt
import pytest

from gradscope.errors import ImageError
from gradscope.model.finding import Report
from gradscope.model.trace import Step, Trace
from gradscope.render.colors import NONFINITE, ZERO, scale_for
from gradscope.render.html_edge import html_page
from gradscope.render.options import RenderOptions
from gradscope.render.plot import Plot, widened, with_heading
from gradscope.render.plot_data import heat_map
from gradscope.render.plot_svg import Figure, figures, pictures
from gradscope.render.plots import plots as specified
from gradscope.render.plots import plotted
from gradscope.render.rows import parameter_rows
from gradscope.render.vega import Drawer
from gradscope.saving import save
from tests.graph_builder import GraphBuilder, line
from tests.render import reports
from tests.render.test_report_speed import decoder_report

KEYS = ["depth", "steps", "heat", "ratio"]


def plots(report: Report) -> list[Plot]:
    return specified(plotted(report))


def by_key(report: Report) -> dict[str, Plot]:
    return {plot.key: plot for plot in plots(report)}


def data(plot: Plot, name: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = plot.spec["datasets"][name]
    return rows


def labels(plot: Plot, name: str) -> list[str]:
    return [row["label"] for row in data(plot, name) if "label" in row]


def numbers(label: str) -> dict[str, str]:
    """The pairs of a label that stands for many numbers."""
    return dict(pair.split(":") for pair in re.split(" at (?:step|update) ", label)[-1].split(" "))


def drawn(plots: Iterable[Plot]) -> dict[str, bytes]:
    found = {}
    for plot, picture in zip(plots, pictures(list(plots)), strict=True):
        assert isinstance(picture, bytes)
        found[plot.key] = picture
    return found


def shown(report: Report) -> dict[str, Figure]:
    with Drawer() as drawer:
        found, problems = figures(plots(report), drawer)
    assert problems == []
    return {figure.key: figure for figure in found}


def texts(svg: bytes) -> list[str]:
    found = ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")
    return ["".join(element.itertext()) for element in found]


def pixels(uri: str) -> tuple[list[list[int]], list[str]]:
    """Palette indices and colours of an indexed PNG, read as the format's specification says."""
    raw = base64.b64decode(uri.removeprefix("data:image/png;base64,"))
    width, height = struct.unpack(">II", raw[16:24])
    chunks, at = {}, 8
    while at < len(raw):
        (length,) = struct.unpack(">I", raw[at : at + 4])
        chunks[raw[at + 4 : at + 8]] = raw[at + 8 : at + 8 + length]
        at += 12 + length
    rows = zlib.decompress(chunks[b"IDAT"])
    colors = chunks[b"PLTE"].hex()
    return (
        [list(rows[y * (width + 1) + 1 : (y + 1) * (width + 1)]) for y in range(height)],
        [f"#{colors[i : i + 6]}" for i in range(0, len(colors), 6)],
    )


def test_every_plot_that_has_numbers_is_there_and_can_be_drawn() -> None:
    found = plots(reports.accumulated_report())
    assert [plot.key for plot in found] == KEYS
    for key, svg in drawn(found).items():
        plot = next(plot for plot in found if plot.key == key)
        assert plot.title in texts(svg)
        assert plot.about.split()[0] in " ".join(texts(svg))
        assert b"<script" not in svg
        assert not re.search(rb'(?:href|src)="(?!data:)', svg)
        size = re.search(
            rb'width="([\d.]+)" height="([\d.]+)" viewBox="0 0 ([\d.]+) ([\d.]+)"', svg
        )
        assert size is not None
        assert float(size[1]) / float(size[3]) == float(size[2]) / float(size[4]) == 1.25


def test_pictures_that_stand_alone_link_to_nothing_and_describe_nothing() -> None:
    for svg in drawn(plots(reports.accumulated_report())).values():
        assert b"<a" not in svg
        assert b"#n" not in svg
        assert not re.search(rb"<(?:path|line|image|text)[^>]* aria-label=", svg)


def test_page_and_files_are_drawn_from_the_same_specifications(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[list[Mapping[str, Any]]] = []

    def keep(self: Drawer, specs: list[Mapping[str, Any]]) -> list[str | ImageError]:
        asked.append(specs)
        return draw(self, specs)

    draw = Drawer.draw
    monkeypatch.setattr(Drawer, "draw", keep)
    report = reports.accumulated_report()
    html_page(report, RenderOptions())
    save(report, tmp_path / "report.md")
    in_page, in_files = asked
    assert len(in_page) == len(in_files) == 4
    *usual, ratios = plots(report)
    assert in_page == [*(plot.spec for plot in usual), widened(ratios).spec]
    assert in_files == [with_heading(plot) for plot in plots(report)]
    for page, file in zip(in_page, in_files, strict=True):
        assert page["datasets"] == file["datasets"]
        assert {**page["config"], "aria": False} == file["config"]
        assert differing(page, file) <= {"title", "background", "padding", "config", "width"}


def differing(page: Mapping[str, Any], file: Mapping[str, Any]) -> set[str]:
    """Keys that differ at the top, other than by what only a page shows of a mark."""
    told = re.sub(r'"(?:description|href)": {[^{}]*},? ?', "", json.dumps(page))
    spoken = json.loads(told.replace(", }", "}"))
    return {key for key in {*spoken, *file} if spoken.get(key) != file.get(key)}


def test_what_marks_say_reaches_the_page() -> None:
    found = by_key(reports.accumulated_report())
    for key, figure in shown(reports.accumulated_report()).items():
        said = {
            element.get("aria-label")
            for element in ET.fromstring(figure.svg).iter()
            if element.tag != "svg"
        } - {None}
        rows = found[key].spec["datasets"].values()
        assert said == {row["label"] for row_set in rows for row in row_set if "label" in row}


def test_marks_lead_to_their_nodes() -> None:
    report = reports.accumulated_report()
    graph = report.trace.graphs[-1][1]
    nodes = {n.parameter: n.id for n in graph.structure.nodes if n.parameter is not None}
    for key, figure in shown(report).items():
        linked = re.findall(r'aria-label="([^" ,:]+)[^"]*"[^>]* data-n="(\d+)"', figure.svg)
        if key in ("heat", "ratio"):
            named = {p.name: str(nodes[p.index]) for p in report.trace.parameters}
            assert linked
            assert all(named[name] == node for name, node in linked)
        if key == "depth":
            measured = [n for n in graph.structure.nodes if graph.gradient_rms(n.id) is not None]
            assert figure.svg.count("data-n=") == len(measured)


def test_the_numbers_are_the_report_s() -> None:
    report = reports.accumulated_report()
    found = by_key(report)
    losses = [step.loss for step in report.trace.steps]
    assert [row["y"] for row in data(found["steps"], "loss")] == pytest.approx(losses)
    (told,) = labels(found["steps"], "loss")
    assert told.startswith("loss at step 0:2.31 1:2.32 ")
    row = parameter_rows(report)[1].parameter
    label = labels(found["heat"], "rows")[1]
    assert label.startswith(f"{row.name}, gradient at step 0:")
    norms = [norm / math.sqrt(row.count) for norm in row.gradients.norm]
    cells = numbers(label)
    assert len(cells) == 120
    assert [float(cell) for cell in cells.values()] == pytest.approx(norms, rel=5e-3)
    about = found["steps"].about
    assert about.startswith("loss from 2.31 to 3.5; gradient norm in backward from ")


def test_ratios_are_change_by_value() -> None:
    report = reports.accumulated_report()
    plot = by_key(report)["ratio"]
    lines = {label.split(",")[0]: numbers(label) for label in labels(plot, "lines")}
    for parameter in report.trace.parameters:
        if parameter.name in lines:
            history = parameter.updates
            ratios = [c / v for c, v in zip(history.update_rms, history.value_rms, strict=True)]
            told = lines[parameter.name]
            assert [float(told[u]) for u in told] == pytest.approx(
                [ratios[int(u)] for u in told], rel=5e-3
            )


def test_cells_have_the_colours_of_their_numbers() -> None:
    report = reports.accumulated_report()
    heat = heat_map(parameter_rows(report))
    scale = scale_for(cell for row in heat.cells for cell in row)
    rows, palette = pixels(data(by_key(report)["heat"], "picture")[0]["url"])
    assert len(rows) == len(heat.parameters)
    for cells, indices in zip(heat.cells, rows, strict=True):
        assert len(cells) == len(indices)
        for cell, index in zip(cells, indices, strict=True):
            if cell is None:
                assert index == len(palette) - 1
                continue
            expected, found = (bytes.fromhex(c[1:]) for c in (scale.color(cell), palette[index]))
            assert max(abs(a - b) for a, b in zip(expected, found, strict=True)) <= 4


def odd_report() -> Report:
    """A loss of NaN in steps 0 and 7, a gradient of exactly 0 and one of Inf."""
    report = reports.accumulated_report()
    steps = list(report.trace.steps)
    for index in (0, 7):
        steps[index] = replace(steps[index], loss=math.nan)
    first = report.trace.parameters[0]
    norms = first.gradients.norm[:]
    norms[0], norms[-1] = 0.0, math.inf
    changed = replace(first, gradients=replace(first.gradients, norm=norms))
    parameters = (changed, *report.trace.parameters[1:])
    trace = replace(report.trace, steps=tuple(steps), parameters=parameters)
    return replace(report, trace=trace)


def test_zero_and_what_is_not_finite_stay_visible() -> None:
    report = odd_report()
    found = by_key(report)
    assert labels(found["steps"], "odd_loss") == ["loss at step 0:NaN", "loss at step 7:NaN"]
    assert labels(found["steps"], "odd_norm") == ["gradient norm in backward at step 119:Inf"]
    assert [r["x"] for r in data(found["steps"], "loss") if r["y"] is None] == [0, 7]
    rows, palette = pixels(data(found["heat"], "picture")[0]["url"])
    used = {palette[index] for row in rows for index in row}
    assert {ZERO, NONFINITE} <= used
    assert "Black: exactly 0. Red: NaN or Inf." in found["heat"].caption
    steps = shown(report)["steps"].svg
    assert steps.count('aria-label="loss at step ') == 3
    # The line itself still says the finite ones, though its first point is none of them.
    assert 'aria-label="loss at step 1:2.32 2:' in steps


def test_a_loss_that_is_never_finite_is_marked() -> None:
    steps = tuple(reports.training_step(i, math.nan, None) for i in range(6))
    figure = shown(Report(Trace(steps=steps)))["steps"]
    assert figure.svg.count('aria-label="loss at step ') == 6
    assert 'aria-label="loss at step 3:NaN"' in figure.svg


def test_steps_whose_graph_was_kept_are_marked() -> None:
    figure = shown(reports.accumulated_report())["steps"]
    assert 'aria-label="step 0: its graph was kept"' in figure.svg
    assert 'aria-label="step 119: its graph was kept"' in figure.svg
    assert "steps whose whole graph was kept" in figure.caption


def test_findings_are_outlined() -> None:
    report = reports.accumulated_report()
    found = replace(report.findings[1], where=replace(report.findings[1].where, nodes=(1,)))
    figure = shown(replace(report, findings=(found,)))["depth"]
    (mark,) = re.findall(r'<path [^>]*data-n="1"[^>]*>', figure.svg)
    assert 'stroke="var(--warning)" stroke-width="2"' in mark
    assert "A thick outline marks a finding." in figure.caption


def test_a_way_that_ends_in_nan_says_so() -> None:
    b = GraphBuilder()
    h = b.op("Sqrt", b.leaf("w", gradient=math.nan, value=1.0), gradient=1.0)
    for _ in range(2):
        h = b.op("Exp", h, gradient=1.0)
    figure = shown(Report(Trace(steps=(Step(0, graph=b.graph(h)),))))["depth"]
    assert "NaN input" in figure.svg
    assert "Red, at the top: NaN or Inf." in figure.caption


def test_a_run_without_numbers_has_no_plots() -> None:
    assert plots(Report(Trace())) == []
    assert plots(reports.empty_report()) == []


def test_a_single_step_has_no_plot_over_steps() -> None:
    assert [plot.key for plot in plots(reports.many_parameters_report(40))] == ["depth"]


def test_a_graph_that_is_seen_at_a_glance_has_no_plots() -> None:
    assert plots(reports.scalar_report()) == []


def test_many_losses_have_a_line_and_a_name_each() -> None:
    steps = tuple(
        replace(
            reports.training_step(i, 1.0 + i % 7, None),
            source=replace(line(10 + i % 7, "loss.backward()"), file="train.py"),
        )
        for i in range(70)
    )
    svg = drawn(plots(Report(Trace(steps=steps))))["steps"]
    assert {f"loss train.py:{10 + i}" for i in range(7)} <= set(texts(svg))
    assert len(set(re.findall(r'<path [^>]*stroke="(#\w+)" stroke-width="1.6"', svg.decode()))) == 4


@pytest.mark.parametrize("size", [5e-324, 1e-300, 1e300])
def test_numbers_at_the_ends_of_a_double_can_be_drawn(size: float) -> None:
    report = reports.regression_report(5)
    parameters = tuple(
        replace(p, gradients=replace(p.gradients, norm=type(p.gradients.norm)("d", [size] * 5)))
        for p in report.trace.parameters
    )
    steps = tuple(replace(step, loss=size) for step in report.trace.steps)
    trace = replace(report.trace, parameters=parameters, steps=steps)
    assert {"steps", "heat"} <= set(shown(replace(report, trace=trace)))


def test_the_user_s_altair_theme_changes_nothing() -> None:
    report = reports.accumulated_report()
    usual = [plot.spec for plot in plots(report)]
    with alt.theme.enable("dark"):
        assert [plot.spec for plot in plots(report)] == usual


ELEMENTS = {
    *("svg", "g", "path", "line", "rect", "text", "tspan", "image"),
    *("defs", "linearGradient", "stop"),
}
NAMES = (*reports.HOSTILE_NAMES, '"}]}', "</script>", "100%", "evil at step 0:1 2:3", "a\ufffeb")


def hostile_report() -> Report:
    report = reports.hostile_report()
    healthy = reports.accumulated_report().trace
    named = tuple(
        replace(parameter, name=name, index=index)
        for index, (parameter, name) in enumerate(zip(healthy.parameters * 4, NAMES, strict=False))
    )
    return replace(report, trace=replace(healthy, parameters=named))


def test_hostile_names_are_text_in_every_plot() -> None:
    report = hostile_report()
    found = plots(report)
    assert {"heat", "ratio"} <= {plot.key for plot in found}
    for svg in [*drawn(found).values(), *(f.svg.encode() for f in shown(report).values())]:
        assert b"<script" not in svg
        assert b"<img" not in svg
        elements = list(ET.fromstring(svg).iter())
        assert {element.tag.rpartition("}")[2] for element in elements} <= ELEMENTS
        assert not [name for e in elements for name in e.attrib if name.startswith("on")]
        said = [value for element in elements for value in element.attrib.values()]
        for text in [*re.findall(">([^<]+)<", svg.decode()), *said]:
            assert all(char.isprintable() or char in "\u200c\u200d" for char in text), text
    assert any("ipt>alert(1)</script>" in text for text in texts(drawn(found)["heat"]))


def test_hostile_names_stand_whole_in_what_a_mark_says() -> None:
    said = "\n".join(
        element.get("aria-label", "")
        for element in ET.fromstring(shown(hostile_report())["heat"].svg).iter()
    )
    for name in ("<script>alert(1)</script>", '<img src=x onerror="alert(1)">', '"}]}', "100%"):
        assert f"{name}, gradient at step 0:" in said
    assert "right\\u202eto" in said
    assert "x" * 200 not in said


def test_what_vega_cannot_draw_is_an_image_error() -> None:
    spec = {"mark": "no such mark", "padding": dict.fromkeys(("left", "right", "top", "bottom"), 0)}
    (drawn,) = pictures([Plot("depth", "", "", "", {**spec, "config": {}})])
    assert isinstance(drawn, ImageError)
    assert str(drawn).startswith("the plot depth could not be drawn: ")


def test_a_large_heat_map_stays_small_and_whole() -> None:
    """148 parameters × 200 steps, every one of them a pixel and a number under the mouse."""
    report = decoder_report()
    figure = shown(report)["heat"]
    rows, _ = pixels(re.findall(r'href="(data:[^"]*)"', figure.svg)[0])
    assert (len(rows), len(rows[0])) == (148, 200)
    assert len(re.findall(r'aria-label="[^"]*, gradient at step 0:', figure.svg)) == 148
    assert len(figure.svg) < 500_000
    assert len(drawn(plots(report))["heat"]) < 50_000
