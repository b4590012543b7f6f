"""Small formulas: brackets where they are needed, numbers that do not lie by rounding."""

from __future__ import annotations

import math

import pytest

from gradscope.analysis.symbols import Sym, function, named, number, short_number

x, y, u = named("x", 2.0), named("y", 0.5), named("v - k", -3.0)
one, two = number(1.0), number(2.0)

FORMULAS = [
    (two * x, "2·x", "2·2", 4.0),
    (one * x, "x", "2", 2.0),
    (two * u, "2·(v - k)", "2·(−3)", -6.0),
    (-u, "−(v - k)", "−(−3)", 3.0),
    (one - y**two, "1 − y²", "1 − 0.5²", 0.75),
    (y * (one - y), "y·(1 − y)", "0.5·(1 − 0.5)", 0.25),
    (-(x / u**two), "−x/(v - k)²", "−2/(−3)²", -2 / 9),
    (x - u, "x − (v - k)", "2 − (−3)", 5.0),
    (number(3.0) * x**two, "3·x²", "3·2²", 12.0),
    (one / (two * y), "1/(2·y)", "1/(2·0.5)", 1.0),
    (x ** number(-1.0), "x⁻¹", "2⁻¹", 0.5),
    (x ** number(-0.5), "x^(−0.5)", "2^(−0.5)", 2**-0.5),
    (x**one, "x", "2", 2.0),
    (x ** number(0.0), "1", "1", 1.0),
    (-function("sin", x, math.sin), "−sin(x)", "−sin(2)", -math.sin(2)),
    (two - number(5.0), "−3", "−3", -3.0),
]


@pytest.mark.parametrize(("formula", "text", "filled", "value"), FORMULAS)
def test_a_formula_reads_as_it_computes(formula: Sym, text: str, filled: str, value: float) -> None:
    assert (formula.text, formula.filled) == (text, filled)
    assert formula.value == pytest.approx(value)


@pytest.mark.parametrize("formula", [case[0] for case in FORMULAS])
def test_the_filled_formula_evaluates_to_the_value(formula: Sym) -> None:
    """Read by Python itself, so that a missing bracket is seen."""
    powers: dict[str, str | int | None] = {"²": "**2", "³": "**3"}
    python = formula.filled.replace("⁻¹", "**-1").translate(str.maketrans(powers))
    python = python.replace("−", "-").replace("·", "*").replace("^", "**")
    assert eval(python, {"sin": math.sin}) == pytest.approx(formula.value)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (4.0, "4"),
        (-3.0, "−3"),
        (0.0, "0"),
        (0.21196, "0.212"),
        (0.99999, "0.99999"),
        (1.0000001, "1.0000001"),
        (-1e-7, "−1e-07"),
        (123456.7, "1.235e+05"),
        (math.inf, "Inf"),
    ],
)
def test_numbers(value: float, text: str) -> None:
    assert short_number(value) == text
    if math.isfinite(value):
        assert float(text.replace("−", "-")) == pytest.approx(value, rel=1e-3)


def test_only_a_sum_needs_brackets_as_a_factor() -> None:
    assert (one - y**two).is_sum
    assert not (two * u).is_sum
    assert not number(-1.0).is_sum
