"""The static plots: the numbers they hold, that they can be drawn, and what names may do."""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from typing import Any

import pytest

from gradscope.errors import ImageError
from gradscope.model.finding import Report
from gradscope.model.trace import Trace
from gradscope.render.plot_style import Plot, plot_svg
from gradscope.render.plots import plots
from gradscope.render.rows import parameter_rows
from tests.render import reports


def by_key(report: Report) -> dict[str, Plot]:
    return {plot.key: plot for plot in plots(report)}


def values(plot: Plot) -> list[dict[str, Any]]:
    """Every datum of the specification, wherever it stands."""
    found: list[dict[str, Any]] = []
    waiting: list[Any] = [plot.spec]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            found += part["data"].get("values", []) if isinstance(part.get("data"), dict) else []
            waiting += part.values()
        elif isinstance(part, list):
            waiting += part
    named = plot.spec.get("datasets", {})
    return found + [row for rows in named.values() for row in rows]


def texts(svg: bytes) -> list[str]:
    found = ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")
    return ["".join(element.itertext()) for element in found]


def test_every_plot_that_has_numbers_is_there_and_can_be_drawn() -> None:
    found = by_key(reports.accumulated_report())
    assert list(found) == ["depth", "heat", "steps", "ratio"]
    for plot in found.values():
        svg = plot_svg(plot)
        assert plot.title in texts(svg)
        assert b"<script" not in svg
        assert not re.search(rb'(?:href|src)="(?!data:|#)', svg)


def test_the_numbers_are_the_report_s() -> None:
    report = reports.accumulated_report()
    found = by_key(report)
    losses = [step.loss for step in report.trace.steps]
    drawn = [row["y"] for row in values(found["steps"]) if row.get("name") == "loss"]
    assert drawn == pytest.approx(losses)
    row = parameter_rows(report)[1].parameter
    norms = [norm / math.sqrt(row.count) for norm in row.gradients.norm]
    cells = {c["step"]: c["rms"] for c in values(found["heat"]) if c.get("row") == "1"}
    assert len(cells) == 80
    assert all(cells[step] == pytest.approx(norms[int(step)]) for step in cells)
    assert found["steps"].about.startswith("loss 2.31 → 3.5; gradient norm in backward ")


def test_a_run_without_numbers_has_no_plots() -> None:
    assert plots(Report(Trace())) == []
    assert plots(reports.empty_report()) == []


def test_zero_and_what_is_not_finite_stay_visible() -> None:
    report = reports.accumulated_report()
    steps = list(report.trace.steps)
    steps[7] = replace(steps[7], loss=math.nan)
    first = report.trace.parameters[0]
    norms = first.gradients.norm[:]
    norms[0], norms[-1] = 0.0, math.inf
    changed = replace(first, gradients=replace(first.gradients, norm=norms))
    parameters = (changed, *report.trace.parameters[1:])
    trace = replace(report.trace, steps=tuple(steps), parameters=parameters)
    found = by_key(replace(report, trace=trace))
    assert next(row["x"] for row in values(found["steps"]) if row.get("odd")) == 7
    kinds = {row["kind"] for row in values(found["heat"]) if "kind" in row}
    assert kinds == {"exactly 0", "NaN or Inf"}
    shown = texts(plot_svg(found["heat"]))
    assert kinds <= set(shown)


def test_hostile_names_are_text_in_every_plot() -> None:
    report = reports.hostile_report()
    healthy = reports.accumulated_report().trace
    named = tuple(
        replace(parameter, name=name)
        for parameter, name in zip(healthy.parameters * 3, reports.HOSTILE_NAMES, strict=False)
    )
    found = by_key(replace(report, trace=replace(healthy, parameters=named)))
    assert {"heat", "ratio"} <= set(found)
    for plot in found.values():
        svg = plot_svg(plot)
        assert b"<script" not in svg
        assert b"<img" not in svg
        assert b'onerror="' not in svg
        for text in texts(svg):
            assert all(char.isprintable() or char in "\u200c\u200d" for char in text), text
    assert any("script>alert(1)" in text for text in texts(plot_svg(found["heat"])))


def test_what_vega_cannot_draw_is_an_image_error() -> None:
    with pytest.raises(ImageError, match="the plot depth could not be drawn"):
        plot_svg(Plot("depth", "", "", {"mark": "no such mark"}))
