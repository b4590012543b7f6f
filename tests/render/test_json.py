from __future__ import annotations

import json
import math
import time
from array import array
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from gradscope.model.events import Call, OptimizerFacts
from gradscope.model.finding import Report
from gradscope.model.graph import Graph, Source
from gradscope.render.json import load_schema, render_json, step_norms
from gradscope.render.options import RenderOptions
from tests.builders import gpt2_like_graph, resnet_like_graph, trace_with, unrolled_rnn_graph
from tests.graph_builder import GraphBuilder, stats
from tests.render import reports
from tests.render.golden import check_golden

CASES: dict[str, Callable[[], Report]] = {
    "scalar": reports.scalar_report,
    "regression": reports.regression_report,
    "accumulated": reports.accumulated_report,
    "crash": reports.crash_report,
    "no_backward": reports.empty_report,
    "forward_only": partial(reports.empty_report, forward=True),
    "many_parameters": reports.many_parameters_report,
    "hostile": reports.hostile_report,
    "bare": reports.bare_report,
    "gpt2": lambda: Report(trace_with(gpt2_like_graph(2))),
    "resnet": lambda: Report(trace_with(resnet_like_graph())),
    "rnn": lambda: Report(trace_with(unrolled_rnn_graph(5))),
}


def parse(text: str) -> dict[str, Any]:
    """Strictly: the constants that Python's parser lets through are refused."""

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    document: dict[str, Any] = json.loads(text, parse_constant=refuse)
    return document


def document_of(report: Report, options: RenderOptions | None = None) -> dict[str, Any]:
    return parse(render_json(report, options or RenderOptions()))


def test_the_schema_is_one() -> None:
    Draft202012Validator.check_schema(load_schema())


@pytest.mark.parametrize("all_graphs", [False, True])
@pytest.mark.parametrize("name", CASES)
def test_fulfils_the_schema(name: str, all_graphs: bool) -> None:
    document = document_of(CASES[name](), RenderOptions(all_graphs=all_graphs))
    Draft202012Validator(load_schema()).validate(document)
    assert ("graphs" in document) == all_graphs


@pytest.mark.parametrize("part", ["step", "parameter", "node", "edge", "finding", "update"])
def test_the_schema_refuses_what_it_does_not_describe(part: str) -> None:
    document = document_of(reports.accumulated_report())
    places = {
        "step": document["steps"][0],
        "parameter": document["parameters"][0],
        "node": document["graph"]["nodes"][0],
        "edge": document["graph"]["edges"][0],
        "finding": document["findings"][0]["consequences"][0],
        "update": document["updates"][0],
    }
    validator = Draft202012Validator(load_schema())
    assert validator.is_valid(document)
    places[part]["surprise"] = 1
    assert not validator.is_valid(document)


def test_golden() -> None:
    check_golden("scalar.json", render_json(reports.scalar_report(), RenderOptions()))


@pytest.mark.parametrize("name", CASES)
def test_same_report_same_text_in_ascii(name: str) -> None:
    first, second = (render_json(CASES[name](), RenderOptions()) for _ in range(2))
    assert first == second
    assert first.isascii()


def test_scalar_gradients() -> None:
    document = document_of(reports.scalar_report())
    found = {p["name"]: p["gradients"]["min"] for p in document["parameters"]}
    assert found == {"x": [2.0], "W": [1.0], "b": [1.0]}
    leaves = [n for n in document["graph"]["nodes"] if n["kind"] == "input"]
    assert {n["label"]: n["gradients"][0]["stats"]["value"] for n in leaves} == {
        "x": 2.0,
        "W": 1.0,
        "b": 1.0,
    }
    assert all(document["parameters"][n["parameter"]]["name"] == n["label"] for n in leaves)


def test_not_finite_numbers_have_names() -> None:
    report = reports.scalar_report()
    columns = array("d", [math.nan, math.inf, -math.inf])
    history = replace(
        report.trace.parameters[0].gradients,
        step=array("i", [0, 1, 2]),
        norm=columns,
        min=columns,
        max=columns,
        zero_fraction=array("f", [math.nan, 0.5, 1 / 3]),
        arrived=array("b", [1, 1, 0]),
    )
    parameter = replace(report.trace.parameters[0], gradients=history, value=stats(math.inf, (2,)))
    step = replace(report.trace.steps[0], loss=math.nan)
    document = document_of(Report(replace(report.trace, parameters=(parameter,), steps=(step,))))
    written = document["parameters"][0]
    assert written["gradients"]["norm"] == ["NaN", "Infinity", "-Infinity"]
    assert written["gradients"]["zero_fraction"] == ["NaN", 0.5, 0.3333333]
    assert written["gradients"]["arrived"] == [True, True, False]
    assert written["value"]["l2_norm"] == "Infinity"
    assert document["steps"][0]["loss"] == "NaN"
    Draft202012Validator(load_schema()).validate(document)


def test_nothing_delivered_differs_from_not_measured() -> None:
    document = document_of(Report(trace_with(_fan_in_graph())))
    nodes = {n["label"]: n for n in document["graph"]["nodes"] if n["label"]}
    assert nodes["none"]["gradients"] == [{"output_nr": 0, "stats": None}]
    assert nodes["unmeasured"]["gradients"] == []
    assert [edge.get("contribution", "absent") for edge in document["graph"]["edges"]] == [
        None,
        "absent",
    ]


def _fan_in_graph() -> Graph:
    b = GraphBuilder()
    leaves = b.leaf("none", gradient=None), b.leaf("unmeasured")
    graph = b.graph(b.op("Mul", *leaves, shape=(), gradient=1.0))
    return replace(graph, contributions={0: None})


def test_a_forward_graph_says_that_no_backward_ran() -> None:
    document = document_of(reports.empty_report(forward=True))
    assert document["verdict"]["kind"] == "empty"
    assert document["graph"]["backward_ran"] is False
    assert document["graph"]["step"] is None
    assert len(document["graph"]["nodes"]) == 5
    assert document["totals"]["forward_graphs"] == 1


def test_findings_carry_their_consequences() -> None:
    finding = document_of(reports.accumulated_report())["findings"][0]
    assert finding["where"]["line"] == 23
    assert finding["evidence"] == {"parameters": 4, "largest sum": 120, "norm ratio": 61.25}
    assert [c["code"] for c in finding["consequences"]] == ["GS102"]


def test_the_step_can_be_chosen() -> None:
    report = reports.regression_report()
    assert document_of(report)["graph"]["step"] == 999
    assert document_of(report, RenderOptions(step=500))["graph"]["step"] == 500


def test_a_large_graph_is_cut_near_the_loss() -> None:
    report = reports.many_parameters_report()
    document = document_of(report, RenderOptions(max_nodes=100))
    graph = document["graph"]
    assert [node["id"] for node in graph["nodes"]] == list(range(100))
    assert max(max(edge["source"], edge["target"]) for edge in graph["edges"]) < 100
    assert document["dropped"]["json: graph nodes"] == 452 - 100


def test_all_graphs_share_the_room_for_nodes() -> None:
    document = document_of(
        reports.regression_report(), RenderOptions(all_graphs=True, max_nodes=12)
    )
    assert [len(graph["nodes"]) for graph in document["graphs"]] == [5, 5, 2]
    assert [graph["step"] for graph in document["graphs"]] == [0, 500, 999]
    assert document["dropped"]["json: graph nodes"] == 3


def test_lone_surrogates_and_controls_survive_any_parser() -> None:
    text = render_json(reports.hostile_report(), RenderOptions())
    document = parse(text)
    names = {p["name"] for p in document["parameters"]}
    assert r"lone\ud800surrogate" in names
    assert "\x1b[31mred\x1b[0m\x07\x9b2J" in names
    assert max(map(len, names)) == 1_000
    assert json.dumps(document, ensure_ascii=False).encode("utf-8")


def test_gradient_norm_is_over_parameters_and_over_inputs_only_without_them() -> None:
    report = reports.scalar_report()
    assert step_norms(report.trace) == {0: pytest.approx(math.sqrt(6))}
    inputs = report.trace.parameters
    owned = tuple(replace(p, kind="parameter") if p.name == "x" else p for p in inputs)
    assert step_norms(replace(report.trace, parameters=owned)) == {0: 2.0}


def test_a_long_run_is_quick_small_and_says_what_it_thinned() -> None:
    report = reports.large_report()
    start = time.perf_counter()
    text = render_json(report, RenderOptions())
    assert time.perf_counter() - start < 2
    assert len(text) < 12_000_000
    document = parse(text)
    points = sum(
        len(p["gradients"]["step"]) + len(p["updates"]["update"]) for p in document["parameters"]
    )
    assert points + document["dropped"]["json: points of parameter histories"] == sum(
        len(p.gradients) + len(p.updates) for p in report.trace.parameters
    )
    assert len(document["steps"]) + document["dropped"]["json: steps"] == 10_000
    assert {step["index"] for step in document["steps"]} >= {0, 1000, 9000, 9999}


def test_a_thinned_report_fulfils_the_schema() -> None:
    document = document_of(reports.large_report(500, 4), RenderOptions(max_points=10))
    assert document["dropped"].keys() == {
        "json: points of parameter histories",
        "json: steps",
        "json: updates",
    }
    Draft202012Validator(load_schema()).validate(document)


def test_optimizers_and_calls() -> None:
    report = reports.accumulated_report()
    line = Source("train.py", 12, "optimizer.step()")
    trace = replace(
        report.trace,
        optimizers=(OptimizerFacts("SGD", line, -1, (0, 1), 3),),
        calls=(
            Call("clip", 0, -1, line, "SGD", value=math.nan, limit=1.0),
            Call("zero_grad", 0, 0, None, count=2),
        ),
    )
    document = document_of(replace(report, trace=trace))
    Draft202012Validator(load_schema()).validate(document)
    (optimizer,) = document["optimizers"]
    assert (optimizer["label"], optimizer["parameters"], optimizer["steps"]) == ("SGD", [0, 1], 3)
    clip, clear = document["calls"]
    assert (clip["kind"], clip["value"], clip["limit"]) == ("clip", "NaN", 1.0)
    assert (clear["label"], clear["source"], clear["count"]) == (None, None, 2)
    assert clip["source"]["line"] == optimizer["source"]["line"] == 12
    clip["surprise"] = 1
    assert not Draft202012Validator(load_schema()).is_valid(document)


def test_a_long_list_of_calls_is_cut() -> None:
    calls = tuple(Call("zero_grad", i, i) for i in range(500))
    trace = replace(reports.accumulated_report().trace, calls=calls)
    document = document_of(Report(trace), RenderOptions(max_points=10))
    assert len(document["calls"]) == 100
    assert document["dropped"]["json: calls"] == 400
