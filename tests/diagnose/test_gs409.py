from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from gradscope.model.trace import Trace
from tests.diagnose.loop_traces import MADE, loop
from tests.diagnose.traces import judge

N = 30


def run(
    change: Callable[[int], float],
    losses: Callable[[int], float] = lambda i: 1.0,
    per_update: int = 1,
    size: Callable[[int], float] = lambda i: 1.0,
) -> Trace:
    """Two parameters alike, so that it is a model."""
    trace = loop(N, change=change, losses=losses, per_update=per_update, size=size)
    (first,) = trace.parameters
    return replace(trace, parameters=(first, replace(first, index=1, name="net.1.weight")))


@pytest.mark.parametrize("scale", [1e-4, 1.0, 1e5])
def test_too_large(scale: float) -> None:
    (finding,) = judge(run(lambda i: 0.5, lambda i: scale * (1 + i % 3)), "GS409")
    assert (finding.severity, finding.evidence["direction"]) == ("warning", "too large")
    assert finding.where.source == MADE
    assert "is 0.5 of the weights" in finding.message


@pytest.mark.parametrize("scale", [1e-4, 1.0, 1e5])
def test_too_small(scale: float) -> None:
    (finding,) = judge(run(lambda i: 1e-8, lambda i: scale * (1 + i % 3)), "GS409")
    assert finding.evidence["direction"] == "too small"
    (finding,) = judge(run(lambda i: 0.0), "GS409")
    assert "no change at all" in finding.message


@pytest.mark.parametrize(
    ("change", "losses"),
    [
        (lambda i: 1e-3, lambda i: 1.0),  # as usual
        (lambda i: 0.5, lambda i: 1 / (1 + i)),  # large, and it helps
        (lambda i: 1e-8, lambda i: 1 / (1 + i)),  # small, and it helps
        (lambda i: 0.5 if i < 5 else 1e-3, lambda i: 1.0),
        (lambda i: 1e-9 if i < 20 else 1e-3, lambda i: 1.0),  # a warm-up
        (lambda i: 1e-3 if i < 5 else 1e-12, lambda i: 1e-8),  # converged
    ],
)
def test_healthy(change: Callable[[int], float], losses: Callable[[int], float]) -> None:
    assert judge(run(change, losses), "GS409") == []


def test_first_updates_that_throw_the_loss_for_good() -> None:
    def size(i: int) -> float:
        return 1.0 + 9.0 * min(i, 10)

    def thrown(i: int) -> float:
        return 900.0 if i == 2 else 5.0

    trace = run(lambda i: 9.0 if i < 10 else 1e-2, lambda i: thrown(i) if i else 2.0, size=size)
    (finding,) = judge(trace, "GS409")
    assert "median of the first 10 updates" in finding.message
    comes_back = run(lambda i: 9.0 if i < 10 else 1e-2, lambda i: thrown(i) / (i + 1), size=size)
    assert judge(comes_back, "GS409") == []
    mild = run(lambda i: 0.05, lambda i: thrown(i) if i else 2.0, size=size)
    assert judge(mild, "GS409") == []


def test_weights_that_began_at_zero_are_compared_with_what_they_became() -> None:
    trace = run(lambda i: 0.05, size=lambda i: min(1.0, 0.05 * i))
    assert judge(trace, "GS409") == []


def test_many_backwards_per_update_and_lone_tensors_are_left_alone() -> None:
    assert judge(run(lambda i: 0.5, per_update=5), "GS409") == []
    trace = run(lambda i: 0.5)
    assert judge(replace(trace, parameters=trace.parameters[:1]), "GS409") == []
