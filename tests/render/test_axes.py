"""Axes of plots: round numbers, and room for whatever a run produced."""

from __future__ import annotations

import math

import pytest

from gradscope.render.axes import Axis, wants_log, x_axis, y_axis


def told(axis: Axis) -> list[str]:
    return [text for _, text in axis.ticks()]


def test_a_log_axis_has_decades() -> None:
    axis = Axis(-4, 0, log=True)
    assert axis.domain == (1e-4, 1.0)
    assert [value for value, _ in axis.ticks()] == pytest.approx([1e-4, 1e-3, 1e-2, 0.1, 1])
    assert told(axis) == ["1e-04", "0.001", "0.01", "0.1", "1"]


def test_what_is_no_place_on_an_axis_goes_to_its_ends() -> None:
    axis = Axis(-4, 0, log=True)
    assert axis.on(1e-2) == 1e-2
    assert axis.on(0) == axis.on(-math.inf) == axis.on(1e-9) == 1e-4
    assert axis.on(math.inf) == axis.on(math.nan) == 1.0
    assert Axis(-1, 1).on(-7) == -1


def test_a_linear_axis_has_round_ticks() -> None:
    axis = x_axis([0.0, 19.0])
    assert told(axis) == ["0", "5", "10", "15"]
    assert axis.domain == (0, 19)


def test_ticks_tell_neighbours_apart() -> None:
    near = told(y_axis([3.1171, 3.1193], log=False))
    assert len(near) > 3
    assert len(set(near)) == len(near)
    assert told(x_axis([0.0, 1.0])) == ["0", "1"]
    # The same norm, computed twice: eight equal digits beside an axis would tell nothing.
    assert told(y_axis([18.35984, 18.359841], log=False)) == ["17.5", "18", "18.5", "19"]


@pytest.mark.parametrize("values", [[5e-324, 1e-300], [1e300, 1.7e308], [1e308], [5e-324], []])
def test_a_log_axis_stays_within_what_a_double_holds(values: list[float]) -> None:
    axis = y_axis(values, log=True)
    low, high = axis.domain
    assert 0 < low < high < math.inf
    assert all(low <= axis.on(value) <= high for value in values)
    assert axis.ticks()


def test_axes_bear_anything() -> None:
    assert y_axis([math.nan, math.inf], log=False).ticks()
    assert y_axis([3.0, 3.0], log=False).ticks()
    assert y_axis([0.0, 0.0], log=False).domain == (-1, 1)
    low, high = x_axis([5.0]).domain
    assert low <= 5.0 < high


def test_log_is_for_positive_values_far_apart() -> None:
    assert wants_log([1.0, 1000.0])
    assert not wants_log([1.0, 50.0])
    assert not wants_log([-1.0, 1000.0])
    assert not wants_log([math.nan])
