from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest

from gradscope.diagnose import diagnose
from gradscope.model.trace import Update
from tests.diagnose.traces import INF, NAN, history_trace, judge

QUIET = [1.0 + 0.3 * ((i * 7) % 5) for i in range(30)]  # 1 to 2.2


def spike(norm: float, after: float, *, lasting: int = 20) -> tuple[list[float], list[float]]:
    """Norms and losses: quiet, one spike, and losses behind it that decay slowly."""
    tail = [after * 0.97**i for i in range(lasting)]
    return [*QUIET, norm, *QUIET[:lasting]], [*QUIET, norm, *tail]


@pytest.mark.parametrize("factor", [1e-8, 1e-4, 1.0, 1e5])
def test_a_spike_with_consequences_is_told_at_every_scale(factor: float) -> None:
    norms, losses = spike(1000.0, 50.0)
    trace = history_trace([n * factor for n in norms], [n * factor for n in losses])
    (finding,) = judge(trace, "GS104")
    assert finding.severity == "warning"
    assert finding.steps == (30, 30)
    assert finding.evidence["norm"] == 1000.0 * factor
    assert "in step 30, 620 times the usual" in finding.message
    assert finding.where.source is not None
    assert finding.where.source.line == 23


@pytest.mark.parametrize(
    ("norm", "after", "expected"),
    [
        (1000.0, 50.0, 1),
        (100.0, 50.0, 1),  # 45 times the largest
        (25.0, 50.0, 0),  # 11 times
        (1000.0, 10.0, 1),
        (1000.0, 2.0, 0),  # the losses are as before
        (1000.0, 0.5, 0),
    ],
)
def test_both_sides_of_the_bars(norm: float, after: float, expected: int) -> None:
    assert len(judge(history_trace(*spike(norm, after)), "GS104")) == expected


@pytest.mark.parametrize(
    ("norms", "losses"),
    [
        ([*QUIET[:10], 1000.0, *QUIET], QUIET[:10] + [1000.0] + [50.0] * 30),  # too soon
        ([*QUIET, 1000.0], [*QUIET, 1000.0]),  # nothing behind it
        (QUIET + [1e3 * 2.0**i for i in range(12)], QUIET + [1e3 * 2.0**i for i in range(12)]),
        ([10.0 * 0.7**i for i in range(80)], [10.0 * 0.7**i for i in range(80)]),  # convergence
        ([0.0] * 40, [0.0] * 40),
        ([*QUIET, 1000.0, NAN, *QUIET], [*QUIET, 1000.0, 50.0, *[50.0] * 30]),
        ([*QUIET, INF, *QUIET], [*QUIET, INF, *[50.0] * 30]),  # not finite: another rule's
        ([], []),
    ],
)
def test_histories_without_a_spike(norms: list[float], losses: list[float]) -> None:
    assert judge(history_trace(norms, losses), "GS104") == []


@pytest.mark.parametrize("seed", range(20))
def test_noise_over_orders_of_magnitude_is_healthy(seed: int) -> None:
    """Batches of one: norms and losses are log-normal, over six decades."""
    random = Random(seed)
    norms = [10.0 ** random.gauss(0, 1) for _ in range(300)]
    assert judge(history_trace(norms, norms), "GS104") == []


def test_losses_below_zero_are_no_measure() -> None:
    norms, losses = spike(1000.0, 50.0)
    assert judge(history_trace(norms, [-loss for loss in losses]), "GS104") == []


def test_a_growth_that_lasts_is_reported_once() -> None:
    norms = QUIET + [1000.0 * 1.5**i for i in range(15)]
    assert {f.code for f in diagnose(history_trace(norms, norms)).findings} == {"GS102"}


@pytest.mark.parametrize(("every", "expected"), [(1, 1), (4, 1), (20, 0)])
def test_a_line_search_that_goes_too_far_comes_back(every: int, expected: int) -> None:
    """LBFGS tries points in one step of its own: 20 backwards to an update, and no batch is bad."""
    trace = history_trace(*spike(1000.0, 50.0))
    made = tuple(Update(i, step) for i, step in enumerate(range(0, len(trace.steps), every)))
    assert len(judge(replace(trace, updates=made), "GS104")) == expected
