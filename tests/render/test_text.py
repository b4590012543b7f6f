from __future__ import annotations

import re
import time
from array import array
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pytest
from rich.cells import cell_len

from gradscope.model.finding import Finding, Report
from gradscope.model.trace import Step
from gradscope.render.options import RenderOptions
from gradscope.render.text import render_text
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
}


@pytest.mark.parametrize("name", CASES)
def test_golden(name: str) -> None:
    check_golden(f"{name}.txt", render_text(CASES[name](), RenderOptions(max_rows=12)))


def test_golden_at_120_columns() -> None:
    options = RenderOptions(width=120, max_rows=12)
    check_golden("many_parameters_120.txt", render_text(reports.many_parameters_report(), options))


def test_golden_in_ascii() -> None:
    options = RenderOptions(unicode=False, max_rows=12)
    text = render_text(reports.hostile_report(), options)
    assert text.isascii()
    check_golden("hostile_ascii.txt", text)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("width", [40, 60, 71, 80, 120, 300])
@pytest.mark.parametrize("unicode", [True, False])
def test_no_line_is_wider_than_the_screen(name: str, width: int, unicode: bool) -> None:
    text = render_text(CASES[name](), RenderOptions(width=width, unicode=unicode))
    widest = max(cell_len(line) for line in text.splitlines())
    assert widest <= min(max(width, 60), 120)


@pytest.mark.parametrize("name", CASES)
def test_nothing_hidden_reaches_the_terminal(name: str) -> None:
    text = render_text(CASES[name](), RenderOptions())
    assert all(char.isprintable() for char in text.replace("\n", ""))
    assert text.encode("utf-8")


def test_color_adds_escapes_and_changes_no_character() -> None:
    report = reports.hostile_report()
    plain = render_text(report, RenderOptions())
    colored = render_text(report, RenderOptions(color=True))
    assert "\x1b[" in colored
    uncolored = re.sub(r"\x1b\[[0-9;]*m", "", colored)
    lines = [line.rstrip() for line in uncolored.splitlines()]
    assert lines == plain.splitlines()


@pytest.mark.parametrize("color", [True, False])
@pytest.mark.parametrize(
    "variable", ["COLUMNS=33", "FORCE_COLOR=1", "NO_COLOR=1", "TERM=dumb", "TTY_COMPATIBLE=1"]
)
def test_environment_of_the_terminal_does_not_matter(
    variable: str, color: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    report, options = reports.accumulated_report(), RenderOptions(color=color)
    before = render_text(report, options)
    assert ("\x1b[" in before) == color
    monkeypatch.setenv(*variable.split("="))
    assert render_text(report, options) == before


def test_first_line_is_the_problem_with_its_place() -> None:
    first = render_text(reports.accumulated_report(), RenderOptions()).splitlines()[0]
    assert first.startswith("train.py:23  loss.backward() adds to gradients")


def test_first_line_is_the_exception() -> None:
    report = replace(reports.crash_report(), findings=reports.accumulated_report().findings)
    text = render_text(report, RenderOptions())
    assert text.startswith("train.py:31  raised RuntimeError: mat1 and mat2")
    assert "GS401 accumulated-gradient, error, train.py:23\n  loss.backward() adds" in text


def test_a_note_behind_a_failed_backward_keeps_its_message() -> None:
    note = Finding("GS603", "summed-loss", "info", "The loss is a sum.")
    trace = replace(reports.scalar_report().trace, steps=(Step(0, error="RuntimeError: freed"),))
    lines = render_text(Report(trace, (note,)), RenderOptions()).splitlines()
    assert lines[0] == "1 of 1 backward failed: RuntimeError: freed"
    assert "  The loss is a sum." in lines


def test_a_script_without_backward_is_told_in_one_sentence() -> None:
    first, second, *_ = render_text(reports.empty_report(), RenderOptions()).splitlines()
    assert first.startswith("tensors.py ran no backward")
    assert second == ""


def test_no_gradient_is_not_a_zero_gradient() -> None:
    report = reports.scalar_report()
    zero, none, other = sorted(report.trace.parameters, key=lambda parameter: parameter.name)
    zero = replace(zero, gradients=replace(zero.gradients, norm=_floats(0), min=_floats(0)))
    none = replace(none, gradients=replace(none.gradients, arrived=_bytes(0)))
    trace = replace(report.trace, parameters=(zero, none, other))
    lines = render_text(Report(trace), RenderOptions()).splitlines()
    table = {line.split()[0]: line.split() for line in lines if line.endswith("input")}
    assert table["W"][2] == "0"
    assert table["b"][2] == "none"
    assert table["x"][2] == "2"


def test_a_long_table_keeps_flagged_rows_and_says_how_many_it_hides() -> None:
    text = render_text(reports.many_parameters_report(), RenderOptions(max_rows=12))
    assert "net.layers.75.weight" in text
    hidden = [int(line.split()[1]) for line in text.splitlines() if " more, grad" in line]
    shown = sum(line.strip().startswith(("net.layers", "x ")) for line in text.splitlines())
    assert shown == 12
    assert sum(hidden) + shown == 301


def test_many_findings_are_counted() -> None:
    text = render_text(reports.hostile_report(), RenderOptions(max_findings=3))
    assert "… and 8 more findings" in text


def test_a_long_run_is_quick_and_small() -> None:
    report = reports.large_report()
    start = time.perf_counter()
    text = render_text(report, RenderOptions())
    assert time.perf_counter() - start < 2
    assert len(text) < 10_000


def _floats(value: float) -> array[float]:
    return array("d", [value])


def _bytes(value: int) -> array[int]:
    return array("b", [value])
