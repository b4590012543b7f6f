from __future__ import annotations

import math
from array import array
from dataclasses import replace

import pytest

from gradscope.model.finding import Finding, Report, Where
from gradscope.model.graph import Graph
from gradscope.model.trace import Parameter, Step, Trace, UpdateHistory
from gradscope.render.depth import longest_distances
from gradscope.render.rows import (
    Gap,
    Row,
    bars,
    cells,
    fit_rows,
    gap_text,
    legend,
    parameter_rows,
    title,
    update_ratio,
)
from tests.builders import chain_graph, scalar_graph
from tests.graph_builder import GraphBuilder
from tests.render import reports


def test_distances_are_the_longest_ways_from_the_loss() -> None:
    b = GraphBuilder()
    x = b.leaf("x")
    near = b.op("Exp", x)
    far = b.op("Sin", b.op("Cos", near))
    graph = b.graph(b.op("Add", near, far))
    found = dict(
        zip((n.op for n in graph.structure.nodes), longest_distances(graph.structure), strict=True)
    )
    assert found == {
        "AddBackward0": 0,
        "SinBackward0": 1,
        "CosBackward0": 2,
        "ExpBackward0": 3,
        "AccumulateGrad": 4,
    }


@pytest.mark.parametrize("short_first", [True, False])
def test_the_longest_way_counts_whichever_is_walked_last(short_first: bool) -> None:
    b = GraphBuilder()
    x = b.leaf("x")
    short, long = b.op("Exp", x), b.op("Sin", b.op("Cos", x))
    graph = b.graph(b.op("Add", *((short, long) if short_first else (long, short))))
    leaf = next(node.id for node in graph.structure.nodes if node.label == "x")
    assert longest_distances(graph.structure)[leaf] == 3


def test_a_very_deep_graph_needs_no_recursion() -> None:
    structure = chain_graph(50_000).structure
    assert max(longest_distances(structure)) == 50_000


def test_rows_go_from_the_loss_to_the_input() -> None:
    names = [row.parameter.name for row in parameter_rows(reports.accumulated_report())]
    assert names == ["net.2.bias", "net.2.weight", "net.0.bias", "x", "net.0.weight"]


def test_parameters_of_earlier_graphs_keep_a_place_and_strangers_come_last() -> None:
    one, two = scalar_graph(), scalar_graph()
    shift = {None: None, 0: 3, 1: 4, 2: 5}
    nodes = tuple(replace(n, parameter=shift[n.parameter]) for n in two.structure.nodes)
    two = replace(two, structure=replace(two.structure, nodes=nodes))
    parameters = tuple(_parameter(i) for i in range(7))
    steps = tuple(Step(i, graph=graph) for i, graph in enumerate((one, two)))
    rows = parameter_rows(Report(Trace(steps=steps, parameters=parameters)))
    assert [row.depth for row in rows] == [1, 1, 2, 2, 2, 2, None]
    assert rows[-1].parameter.index == 6


def test_the_median_ratio_skips_what_was_not_measured() -> None:
    history = UpdateHistory(
        update=array("i", range(5)),
        fresh=array("i", [1] * 5),
        carried=array("i", [0] * 5),
        grad_norm=array("d", [1.0] * 5),
        value_rms=array("d", [0.0, 1.0, 1.0, 1.0, math.nan]),
        update_rms=array("d", [9.0, 0.1, 0.3, math.nan, 0.1]),
    )
    assert update_ratio(replace(_parameter(0), updates=history)) == pytest.approx(0.2)
    assert update_ratio(_parameter(0)) is None


def test_a_single_element_shows_itself_with_its_sign() -> None:
    b = GraphBuilder()
    x = b.leaf("x", gradient=-0.5, value=-3.0)
    graph = b.graph(b.op("Exp", x))
    trace = Trace(steps=(Step(0, graph=graph),), parameters=reports.leaves_of(graph))
    (row,) = parameter_rows(Report(trace))
    assert (row.value, row.gradient) == (-3.0, -0.5)


def test_flags_come_from_names_nodes_and_consequences() -> None:
    report = reports.accumulated_report()
    graph = report.trace.graphs[-1][1]
    node = next(n.id for n in graph.structure.nodes if n.label == "net.2.bias")
    beside = Finding("GS101", "a", "info", "m", Where(nodes=(node, 10_000), step=119))
    report = replace(report, findings=(*report.findings, beside))
    rows = parameter_rows(report)
    flags = {row.parameter.name: row.flags for row in rows}
    worst = {row.parameter.name: row.severity for row in rows}
    assert (worst["net.0.weight"], worst["net.2.bias"], worst["net.2.weight"]) == (
        "error",
        "info",
        "",
    )
    assert flags["net.0.weight"] == ("GS401", "GS102")
    assert flags["net.2.bias"] == ("GS101",)
    assert flags["net.2.weight"] == ()


def test_facts_about_parameters_are_flags() -> None:
    trace = reports.regression_report(3).trace
    weight, bias = (p for p in trace.parameters if p.kind == "parameter")
    frozen = replace(weight, requires_grad=False)
    shared = replace(bias, fan_in=2, updates=UpdateHistory())
    rows = parameter_rows(Report(replace(trace, parameters=(frozen, shared))))
    flags = {row.parameter.name: row.flags for row in rows}
    assert flags == {frozen.name: ("frozen",), shared.name: ("not updated", "used ×2")}


def test_fit_keeps_flagged_rows_then_both_ends() -> None:
    rows = [_row(i, ("GS105",) if i == 20 else ()) for i in range(40)]
    fitted = fit_rows(rows, 5)
    shown = [row.parameter.index for row in fitted if isinstance(row, Row)]
    hidden = [len(gap.rows) for gap in fitted if isinstance(gap, Gap)]
    assert shown == [0, 1, 20, 38, 39]
    assert hidden == [18, 17]
    assert fit_rows(rows, 40) == rows


def test_a_gap_tells_the_range_of_what_it_hides() -> None:
    rows = [_row(i, (), gradient) for i, gradient in enumerate([None, -2.0, 0.5, math.nan])]
    assert gap_text(Gap(tuple(rows))) == "… 4 more, gradients 0.5 to 2, 1 not finite, 1 none"
    assert gap_text(Gap((rows[2],))) == "… 1 more, gradient 0.5"
    assert gap_text(Gap((replace(rows[0], awaited=False),))) == "… 1 more"


def test_without_any_backward_a_gradient_is_not_measured_rather_than_none() -> None:
    (unmeasured, *_), (none, *_) = (
        parameter_rows(Report(Trace(steps=steps, parameters=(_parameter(0),))))
        for steps in ((), (Step(0),))
    )
    assert cells(unmeasured)["gradient"] == "–"
    assert cells(none)["gradient"] == "none"


def test_bars_are_logarithmic_and_absent_for_zero_and_none() -> None:
    sizes = [1.0, -0.1, 1e-2, 1e-4, 0.0, None, math.inf]
    rows = [_row(i, (), size) for i, size in enumerate(sizes)]
    assert bars(rows, 5, "=") == ["=====", "====", "===", "=", "", "", ""]


def test_bars_are_not_drawn_where_sizes_hardly_differ() -> None:
    assert bars([_row(i, (), 1.0 + i) for i in range(9)], 5, "=") == [""] * 9


def test_bars_are_not_drawn_for_few_rows() -> None:
    assert bars([_row(i, (), 10.0**-i) for i in range(3)], 5, "=") == [""] * 3


def test_the_legend_explains_only_what_is_there() -> None:
    assert legend(parameter_rows(reports.scalar_report())) == ""
    assert "last that arrived" in legend(parameter_rows(reports.regression_report()))
    mixed = [_row(0, ()), _row(1, ())]
    mixed[1] = replace(mixed[1], parameter=replace(mixed[1].parameter, count=8))
    assert legend(mixed) == "a single element shows itself, not an rms"


def test_the_title_claims_an_order_only_where_there_is_one() -> None:
    row = _row(0, ())
    assert title([row]) == "Parameters, from the loss to the input (1)"
    lost = replace(row, depth=None, parameter=replace(row.parameter, count=1200))
    assert title([lost, lost]) == "Parameters (2, 2.4k elements)"


def _parameter(index: int) -> Parameter:
    return Parameter(index, f"p{index}", "parameter", (), "float32", "cpu", 1)


def _row(index: int, flags: tuple[str, ...], gradient: float | None = 1.0) -> Row:
    return Row(_parameter(index), index, 1.0, gradient, None, flags)


def test_a_shared_structure_is_measured_once() -> None:
    graph = scalar_graph()
    steps = tuple(Step(i, graph=Graph(graph.structure)) for i in range(5))
    trace = Trace(steps=steps, parameters=reports.leaves_of(graph))
    assert [row.depth for row in parameter_rows(Report(trace))] == [1, 2, 2]
