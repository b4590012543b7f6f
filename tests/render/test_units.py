from __future__ import annotations

import math

import pytest

from gradscope.render.units import (
    format_count,
    format_duration_ns,
    format_integer,
    format_number,
    format_percent,
    format_ratio,
    format_shape,
    shorten,
)


@pytest.mark.parametrize(
    ("x", "text"),
    [
        (None, "–"),
        (0.0, "0"),
        (-0.0, "0"),
        (7.0, "7"),
        (-3.5, "-3.5"),
        (0.21, "0.21"),
        (0.0012345, "0.00123"),
        (9.99e-4, "1.0e-03"),
        (3.2e-5, "3.2e-05"),
        (-3.2e-5, "-3.2e-05"),
        (999.7, "1000"),
        (1234.56, "1235"),
        (99_999.2, "99999"),
        (99_999.7, "1.0e+05"),
        (1e30, "1.0e+30"),
        (5e-324, "4.9e-324"),
        (math.nan, "NaN"),
        (math.inf, "Inf"),
        (-math.inf, "-Inf"),
    ],
)
def test_numbers(x: float | None, text: str) -> None:
    assert format_number(x) == text


@pytest.mark.parametrize(
    ("n", "text"),
    [
        (None, "–"),
        (0, "0"),
        (950, "950"),
        (999, "999"),
        (1000, "1k"),
        (1234, "1.2k"),
        (99_950, "100k"),
        (999_950, "1M"),
        (124_439_808, "124M"),
        (-1500, "-1.5k"),
        (7_000_000_000, "7G"),
        (3e13, "30T"),
    ],
)
def test_counts(n: float | None, text: str) -> None:
    assert format_count(n) == text


@pytest.mark.parametrize(
    ("ns", "text"),
    [
        (None, "–"),
        (0, "0 ns"),
        (850, "850 ns"),
        (1_000, "1 µs"),
        (1_234_567, "1.23 ms"),
        (3.4e9, "3.4 s"),
        (150e9, "2.5 min"),
        (1e13, "167 min"),
    ],
)
def test_durations(ns: float | None, text: str) -> None:
    assert format_duration_ns(ns) == text


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (None, "–"),
        (math.nan, "–"),
        (0, "0%"),
        (0.0005, "<0.1%"),
        (0.123, "12.3%"),
        (0.97, "97%"),
        (0.9999, ">99.9%"),
        (1, "100%"),
        (2.5, "250%"),
    ],
)
def test_percentages(share: float | None, text: str) -> None:
    assert format_percent(share) == text


def test_ratios_integers_and_shapes() -> None:
    assert [format_ratio(r) for r in (None, 0.21, 1000.0)] == ["–", "×0.21", "×1000"]
    assert [format_integer(n) for n in (None, 7, 50_000)] == ["–", "7", "50,000"]
    assert [format_shape(s) for s in (None, (), (256, 784))] == ["", "[]", "[256, 784]"]


@pytest.mark.parametrize("limit", range(1, 12))
def test_shortening_keeps_both_ends_and_the_limit(limit: int) -> None:
    text = "abcdefghij"

    short = shorten(text, limit)

    assert len(short) == min(limit, 10)
    assert short == text or ("…" in short and text.startswith(short.split("…")[0]))
    assert short.endswith(text[-1]) or limit < 3
