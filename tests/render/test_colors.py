from __future__ import annotations

import math

import pytest

from gradscope.render.colors import (
    NONFINITE,
    UNMEASURED,
    ZERO,
    Scale,
    scale_for,
    text_on,
)


def lightness(color: str) -> float:
    return sum(int(color[i : i + 2], 16) * w for i, w in ((1, 0.21), (3, 0.72), (5, 0.07)))


def test_the_scale_spans_whole_decades_around_the_values() -> None:
    assert scale_for([3e-9, 2e-3, None, 0.0, math.nan, math.inf]) == Scale(-9, -2)


def test_a_healthy_graph_does_not_look_dramatic() -> None:
    scale = scale_for([0.02, 0.05])

    assert scale == Scale(-5, -1)
    assert abs(scale.position(0.02) - scale.position(0.05)) < 0.1


def test_a_scale_of_nothing() -> None:
    assert scale_for([None, 0.0]).high == 0


def test_larger_is_lighter_all_the_way() -> None:
    scale = Scale(-12, 0)

    shades = [lightness(scale.color(10.0**power)) for power in range(-12, 1)]

    assert shades == sorted(shades)
    assert shades[-1] - shades[0] > 150


@pytest.mark.parametrize(
    ("rms", "color"),
    [(None, UNMEASURED), (math.nan, NONFINITE), (math.inf, NONFINITE), (0.0, ZERO)],
)
def test_special_values_are_not_on_the_scale(rms: float | None, color: str) -> None:
    scale = Scale(-6, 0)
    on_scale = {scale.color(10.0 ** (i / 10)) for i in range(-60, 1)}

    assert scale.color(rms) == color
    assert color not in on_scale


def test_values_beyond_the_scale_have_the_colours_of_its_ends() -> None:
    scale = Scale(-6, 0)

    assert (scale.position(1e-30), scale.position(1e30)) == (0, 1)
    assert scale.color(5e-324) == scale.color(1e-6)


@pytest.mark.parametrize("power", range(-60, 1, 3))
def test_text_can_be_read_on_every_colour(power: int) -> None:
    color = Scale(-6, 0).color(10.0 ** (power / 10))

    assert _contrast(color, text_on(color)) >= 4.5  # WCAG 2, level AA


def _contrast(a: str, b: str) -> float:
    brighter, darker = sorted((_luminance(a), _luminance(b)), reverse=True)
    return (brighter + 0.05) / (darker + 0.05)


def _luminance(color: str) -> float:
    total = 0.0
    for i, weight in ((1, 0.2126), (3, 0.7152), (5, 0.0722)):
        c = int(color[i : i + 2], 16) / 255
        total += weight * (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4)
    return total


def test_ticks_hold_the_brightest_and_are_few() -> None:
    assert Scale(-4, 0).ticks() == [0, -1, -2, -3, -4]
    assert Scale(-300, 300).ticks()[0] == 300
    assert len(Scale(-300, 300).ticks()) <= 10
