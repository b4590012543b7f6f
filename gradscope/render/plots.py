"""Every plot of a report, each as one specification: for the page as for the pictures beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gradscope.model.finding import Report
from gradscope.model.graph import Graph
from gradscope.model.trace import Trace
from gradscope.render.colors import Scale
from gradscope.render.html_graph import fold_level, level_canvas, levels
from gradscope.render.plot import Plot
from gradscope.render.plot_data import (
    DepthProfile,
    HeatMap,
    Series,
    depth_profile,
    heat_map,
    loss_series,
    norm_series,
    ratio_series,
)
from gradscope.render.rows import parameter_rows
from gradscope.render.summary import Chosen, chosen_graph

_FEWEST_DEPTHS = 4
"""A graph of fewer levels is seen at a glance, and needs no plot along its depth."""


@dataclass(frozen=True)
class Plotted:
    """The numbers that a run has for plots; false when it has none.

    Attributes:
        depth: The gradient along depth, and the graph's colours; None for a graph that is seen at
            a glance, and for one that no backward ran through.
        steps: Losses, norms, and steps whose graph was kept; None for a single step.
        heat: Every parameter's gradient over steps; None for a single step.
        ratio: How far updates move parameters; None where nothing moved.
        nodes: Parameter index to its node in the graph that is shown.
    """

    depth: tuple[DepthProfile, Scale] | None
    steps: tuple[Sequence[Series], Sequence[Series], Sequence[int]] | None
    heat: HeatMap | None
    ratio: Sequence[Series] | None
    nodes: Mapping[int, int]

    def __bool__(self) -> bool:
        return any((self.depth, self.steps, self.heat, self.ratio))


def plotted(report: Report, step: int | None = None) -> Plotted:
    """What there is to plot.

    Args:
        report: The report.
        step: Index of the step whose graph the plot along depth is of; as ``RenderOptions.step``.
    """
    chosen = chosen_graph(report, step)
    rows = parameter_rows(report)
    heat = heat_map(rows)
    ratios = [series for series in ratio_series(rows) if len(series.x) > 1]
    return Plotted(
        depth=_depth(report, chosen),
        steps=_steps(report.trace),
        heat=heat if heat.cells else None,
        ratio=ratios if any(y > 0 for series in ratios for y in series.y) else None,
        nodes=nodes_of_parameters(chosen.graph if chosen else None),
    )


def _depth(report: Report, chosen: Chosen | None) -> tuple[DepthProfile, Scale] | None:
    if chosen is None or not chosen.graph.backward_ran:
        return None
    _, boxes, depth = levels(chosen.graph)[-1]
    canvas = level_canvas(report, chosen, fold_level(report, chosen, boxes, depth))
    profile = depth_profile(canvas)
    if len({point.depth for point in profile.points}) < _FEWEST_DEPTHS:
        return None
    return profile, canvas.scale


def _steps(trace: Trace) -> tuple[Sequence[Series], Sequence[Series], Sequence[int]] | None:
    losses, norms = loss_series(trace), norm_series(trace)
    if len({x for series in (*losses, *norms) for x in series.x}) < 2:
        return None
    return losses, norms, [step.index for step, _ in trace.graphs]


def nodes_of_parameters(graph: Graph | None) -> Mapping[int, int]:
    """Parameter index to its node in the graph."""
    nodes = graph.structure.nodes if graph is not None else ()
    return {node.parameter: node.id for node in reversed(nodes) if node.parameter is not None}


def plots(numbers: Plotted) -> list[Plot]:
    """A specification for every plot that there are numbers for."""
    if not numbers:
        return []
    # altair takes a quarter of a second to load, which a run without plots need not wait for.
    from gradscope.render.depth_plot import depth_plot
    from gradscope.render.heat_plot import heat_plot
    from gradscope.render.ratio_plot import ratio_plot
    from gradscope.render.steps_plot import steps_plot

    found = []
    if numbers.depth:
        profile, scale = numbers.depth
        found.append(depth_plot(profile, scale.color))
    if numbers.steps:
        found.append(steps_plot(*numbers.steps))
    if numbers.heat:
        found.append(heat_plot(numbers.heat, numbers.nodes))
    if numbers.ratio:
        found.append(ratio_plot(numbers.ratio, numbers.nodes))
    return found
