"""GS607 on hand-made facts; ``tests/capture/test_verify.py`` has the Functions themselves."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from gradscope.diagnose import diagnose
from gradscope.diagnose.rules.gs607_wrong_backward import judge
from gradscope.model.asked import FunctionCheck, InputCheck, Slope
from gradscope.model.trace import Trace
from tests.builders import line

TRUTH = (0.7, -1.3, 2.1, 0.4, -0.2, 1.9, -2.2, 0.1, 0.5)


def slopes(
    backward: Callable[[int, float], float] = lambda i, d: d,
    wider: Callable[[int, float], float] = lambda i, d: d,
    scale: float = 1.0,
) -> tuple[Slope, ...]:
    scaled = [d * scale for d in TRUTH]
    return tuple(Slope(i // 3, backward(i, d), d, wider(i, d)) for i, d in enumerate(scaled))


def kind(rows: tuple[Slope, ...], *, given: bool = True, identity: bool = False) -> str:
    verdict = judge(InputCheck(0, "x", rows, given), identity)
    return verdict.kind if verdict else ""


@pytest.mark.parametrize("scale", [1e-200, 1e-12, 1.0, 1e12, 1e150])
def test_kinds_at_any_scale(scale: float) -> None:
    assert kind(slopes(scale=scale)) == ""
    assert kind(slopes(lambda i, d: d * (1 + 1e-4 * i), scale=scale)) == ""
    assert kind(slopes(lambda i, d: -0.1 * d, scale=scale)) == "scaled"
    assert kind(slopes(lambda i, d: 0.0, scale=scale)) == "scaled"
    assert kind(slopes(lambda i, d: 0.0, scale=scale), given=False) == "none"
    assert kind(slopes(lambda i, d: d * (1 + i), scale=scale)) == "wrong"
    assert kind(slopes(lambda i, d: d * (1 + i), scale=scale), identity=True) == "meant"
    noisy = slopes(lambda i, d: d * (1 + i), wider=lambda i, d: -d, scale=scale)
    assert kind(noisy) == "unstable"


def test_right_at_the_wider_step_is_right() -> None:
    """A forward in float32: the small step is noise."""
    rows = tuple(Slope(0, d, d * (1 + 0.3 * (-1) ** i), d) for i, d in enumerate(TRUTH))
    assert kind(rows) == ""


def test_flat_even_where_a_step_meets_an_edge() -> None:
    rows = tuple(Slope(0, 1.0 + i, 0.0 if i % 3 else 1e6, 3e4 * i) for i in range(9))
    assert kind(rows) == "flat"
    assert kind(tuple(Slope(0, 0.0, 0.0, 0.0) for _ in range(9))) == ""


def test_what_is_not_finite_is_not_judged() -> None:
    assert kind((Slope(0, math.nan, 1.0, 1.0),)) == "unstable"


def test_one_finding_per_function_for_its_worst_input() -> None:
    source = line(7, "def backward(ctx, grad):")
    inputs = (
        InputCheck(0, "x", slopes(lambda i, d: -d)),
        InputCheck(2, "", slopes(lambda i, d: d * (1 + i))),
    )
    functions = (
        FunctionCheck("Mul", source, inputs),
        FunctionCheck("Right", source, (InputCheck(0, "x", slopes()),)),
        FunctionCheck("Noise", source, skipped="its forward is random"),
    )
    report = diagnose(Trace(functions=functions), select=["GS607"])
    (finding,) = report.findings
    assert (finding.severity, finding.where.source) == ("warning", source)
    assert "`Mul.backward` is not the derivative of `Mul.forward` for argument 2" in finding.message
    assert report.skipped[0].reason == "not compared were `Noise`: its forward is random."


def test_unasked_it_is_neither_checked_nor_skipped() -> None:
    report = diagnose(Trace(), select=["GS607"])
    assert (report.findings, report.skipped, report.checked) == ((), (), ())


def test_a_gradient_that_is_left_out_is_a_warning_that_names_the_class() -> None:
    inputs = (InputCheck(1, "w", slopes(lambda i, d: 0.0), given=False),)
    trace = Trace(functions=(FunctionCheck("MyLinear", line(8, "def backward(ctx, g):"), inputs),))
    (finding,) = diagnose(trace, select=["GS607"]).findings
    assert finding.severity == "warning"
    assert "`MyLinear.backward` returns None for `w`" in finding.message
    assert finding.fix.startswith("torch.autograd.gradcheck(MyLinear.apply, inputs)")
    assert "None" in finding.fix
