from __future__ import annotations

import math
import random
from array import array
from itertools import pairwise

import pytest

from gradscope.render.thin import spread, thin


def test_short_histories_stay_whole() -> None:
    assert thin(array("d", [3.0, 1.0, 2.0]), 3) == [0, 1, 2]
    assert thin(array("d"), 10) == []


@pytest.mark.parametrize("length", [11, 100, 1009])
@pytest.mark.parametrize("points", [5, 10, 64])
def test_ends_and_extremes_stay_and_the_number_is_bounded(length: int, points: int) -> None:
    generator = random.Random(length * points)
    values = array("d", [generator.gauss(0, 1) for _ in range(length)])
    kept = thin(values, points)
    assert len(kept) <= points
    assert kept == sorted(set(kept))
    assert kept[0] == 0
    assert kept[-1] == length - 1
    if length > points:
        assert values.index(max(values)) in kept
        assert values.index(min(values)) in kept


@pytest.mark.parametrize("odd", [math.nan, math.inf, -math.inf])
def test_a_single_value_that_is_not_finite_stays(odd: float) -> None:
    values = array("d", [1.0] * 1000)
    values[637] = odd
    assert 637 in thin(values, 20)


def test_sums_beyond_the_largest_number_do_not_matter() -> None:
    values = array("d", [1e308] * 100)
    assert thin(values, 10)[0] == 0


def test_spread_keeps_both_ends_and_what_must_stay() -> None:
    kept = spread(10_000, 100, always=[17, 4242, 99_999])
    assert {0, 17, 4242, 9_999} <= set(kept)
    assert len(kept) <= 100
    assert max(kept) == 9_999
    assert max(b - a for a, b in pairwise(kept)) < 110


def test_spread_is_bounded_even_when_everything_must_stay() -> None:
    kept = spread(1_000, 10, always=range(1_000))
    assert len(kept) <= 10
    assert kept[-1] == 999
