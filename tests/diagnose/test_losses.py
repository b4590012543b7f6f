from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import pytest

from gradscope.diagnose.losses import Curve, growth, moves, objective, outward
from gradscope.diagnose.run import Run
from tests.builders import line
from tests.diagnose.loop_traces import loop


def curve(losses: Callable[[int], float], n: int = 50) -> Curve:
    found = objective(Run(loop(n, losses=losses)))
    assert found is not None
    return found


def zigzag(i: int) -> float:
    return 0.3 if i % 2 else -0.3


@pytest.mark.parametrize(
    ("losses", "rises", "falls_on"),
    [
        (lambda i: 1.0 + i, True, False),
        (lambda i: 1.0 + i + zigzag(i), True, False),
        (lambda i: 1.0, False, False),
        (lambda i: 1.0 + zigzag(i), False, False),
        (lambda i: math.exp(-i / 9), False, False),
        (lambda i: 1.0 + (i if i < 20 else 40 - i), False, False),  # up and down again
        (lambda i: -1.0 * i, False, True),
        (lambda i: -1.0 * i * i + zigzag(i), False, True),
        (lambda i: 90.0 - i, False, False),  # not below zero yet
        (lambda i: math.exp(-i / 9) - 5, False, False),  # settles below zero
    ],
)
def test_the_way_of_a_loss(losses: Callable[[int], float], rises: bool, falls_on: bool) -> None:
    for scale in (1.0, 1e-4, 1e5):
        found = curve(lambda i, scale=scale: scale * losses(i))  # type: ignore[misc]
        assert (found.rises, found.falls_on) == (rises, falls_on)


@pytest.mark.parametrize(
    ("losses", "thrown"),
    [
        (lambda i: 90.0 if i == 3 else 2.0, True),
        (lambda i: 2.5 if i == 3 else 2.0, False),
        (lambda i: 90.0 if i == 30 else 2.0, False),  # later
        (lambda i: 2.0 + i, False),  # and ever higher
        (lambda i: 90.0 if i == 3 else 2.0 - i / 10, False),  # no measure: it falls below zero
    ],
)
def test_a_loss_that_is_thrown_up(losses: Callable[[int], float], thrown: bool) -> None:
    assert curve(losses).is_thrown == thrown


def test_windows_hold_everything_once() -> None:
    found = curve(float, 13)
    assert [v for window in found.windows for v in window] == [float(i) for i in range(13)]
    assert (found.start, found.medians[-1]) == (0.0, 11.0)


def test_what_is_no_measure() -> None:
    trace = loop(20)
    assert objective(Run(trace)) is not None
    uphill = tuple(replace(u, maximize=u.index == 7) for u in trace.updates)
    assert objective(Run(replace(trace, updates=uphill))) is None
    player = tuple(replace(s, source=line(40)) if s.index % 2 else s for s in trace.steps)
    assert objective(Run(replace(trace, steps=player))) is None
    once = tuple(replace(s, source=line(40)) if s.index == 3 else s for s in trace.steps)
    assert objective(Run(replace(trace, steps=once))) is not None
    broken = tuple(replace(s, loss=math.nan) if s.index == 3 else s for s in trace.steps)
    assert objective(Run(replace(trace, steps=broken))) is None
    assert objective(Run(loop(9))) is None


def test_moves_and_growth() -> None:
    made = moves(Run(loop(20, size=lambda i: 1.0 + i, change=lambda i: 0.5)))["SGD"]
    assert made[3].size == pytest.approx(4.0 * math.sqrt(10))
    assert made[3].change == pytest.approx(0.5 * math.sqrt(10))
    assert growth(made) == pytest.approx(20 / 5)
    assert growth(made[:9]) == 1.0
    assert outward(made) == pytest.approx(1 / 0.5)
    straight = moves(Run(loop(20, size=lambda i: 1.0 + i, change=lambda i: 4.0)))["SGD"]
    assert outward(straight) == pytest.approx(1 / 4)
    assert outward(moves(Run(loop(20, change=lambda i: 0.0)))["SGD"]) == 0.0
    assert moves(Run(loop(20, fresh=0))) == {}
