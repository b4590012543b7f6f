from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import pytest

from gradscope.model.trace import Trace
from tests.diagnose.loop_traces import loop
from tests.diagnose.traces import BACKWARD, judge

N = 40


def run(
    losses: Callable[[int], float],
    growth: float = 4.0,
    parameters: int = 2,
    detour: float = 1.0,
) -> Trace:
    """The weights become ``growth`` times larger over the last four fifths of the run.

    Every change is ``detour`` times longer than it would have to be.
    """
    rate = math.log(growth) / (N - 1 - N // 5)

    def size(i: int) -> float:
        return math.exp(rate * i)

    def change(i: int) -> float:
        return detour * (size(i + 1) - size(i))

    trace = loop(N, losses=losses, size=size, change=change)
    (first,) = trace.parameters
    others = [replace(first, index=i, name=f"net.{i}.weight") for i in range(parameters)]
    return replace(trace, parameters=tuple(others))


@pytest.mark.parametrize("scale", [1e-4, 1.0, 1e5])
def test_a_loss_that_rises(scale: float) -> None:
    (finding,) = judge(run(lambda i: scale * (1 + i)), "GS605")
    assert (finding.severity, finding.where.source) == ("warning", BACKWARD)
    assert "rises" in finding.message
    assert finding.evidence["weights_growth"] == pytest.approx(4.0, rel=1e-3)


@pytest.mark.parametrize("scale", [1e-4, 1.0, 1e5])
def test_a_loss_without_bound(scale: float) -> None:
    (finding,) = judge(run(lambda i: -scale * (1 + i)), "GS605")
    assert "falls without bound" in finding.message


@pytest.mark.parametrize(
    "losses",
    [
        lambda i: 1.0,
        lambda i: 1 / (1 + i),
        lambda i: 1 + i / 100,  # hardly
        lambda i: 1 + (i if i < 20 else 40 - i),
        lambda i: math.exp(-i / 5) - 3,
        lambda i: 50.0 - i,
    ],
)
def test_healthy_losses(losses: Callable[[int], float]) -> None:
    assert judge(run(losses), "GS605") == []


def test_weights_that_stay_and_pictures_that_are_moved() -> None:
    assert judge(run(lambda i: 1.0 + i, growth=1.5), "GS605") == []
    assert judge(run(lambda i: 1.0 + i, parameters=1), "GS605") == []


def test_an_agent_whose_returns_grow() -> None:
    """The loss is the return times a logarithm: it rises as the agent learns, on a crooked way."""
    assert judge(run(lambda i: 1.0 + i, detour=1.2), "GS605") != []
    assert judge(run(lambda i: 1.0 + i, detour=2.5), "GS605") == []


def test_uphill_on_purpose() -> None:
    trace = run(lambda i: 1.0 + i)
    updates = tuple(replace(u, maximize=True) for u in trace.updates)
    assert judge(replace(trace, updates=updates), "GS605") == []
