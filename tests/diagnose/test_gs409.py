from __future__ import annotations

from array import array
from collections.abc import Callable
from dataclasses import replace

import pytest

from gradscope.model.trace import Trace
from tests.diagnose.loop_traces import CLIP, MADE, called, loop
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


def dying(trace: Trace, dies: int, *, by_schedule: bool = True, gone: float = 1e-3) -> Trace:
    """The learning rate is 0 from that update on, and the gradients shrink to that share."""
    updates = tuple(replace(u, lr=0.1 if u.index < dies else 0.0) for u in trace.updates)
    norms = array("d", [1.0 if i < dies else gone for i in range(N)])
    parameters = tuple(
        replace(p, gradients=replace(p.gradients, norm=norms)) for p in trace.parameters
    )
    trace = replace(trace, updates=updates, parameters=parameters)
    return called(trace, "scheduler_step", [(i, i) for i in range(N)]) if by_schedule else trace


@pytest.mark.parametrize("scheduled", [True, False])
def test_a_learning_rate_that_dies_on_the_way(scheduled: bool) -> None:
    moves = run(lambda i: 1e-3 if i < 10 else 0.0, lambda i: 1 / (1 + min(i, 10)))
    (finding,) = judge(dying(moves, 10, by_schedule=scheduled, gone=0.5), "GS409")
    assert "the last 20 of 30 updates of SGD" in finding.message
    assert "the learning rate goes from 0.1 to 0" in finding.message
    assert finding.where.source == (CLIP if scheduled else MADE)


@pytest.mark.parametrize(("dies", "gone"), [(10, 0.05), (16, 0.5), (29, 1.0)])
def test_a_learning_rate_that_has_done_its_work(dies: int, gone: float) -> None:
    moves = run(lambda i: 1e-3 if i < dies else 0.0, lambda i: 1 / (1 + min(i, dies)))
    assert judge(dying(moves, dies, gone=gone), "GS409") == []


def test_updates_that_round_to_nothing_at_an_unchanged_rate_are_left_alone() -> None:
    assert judge(run(lambda i: 1e-3 if i < 10 else 0.0, lambda i: 1 / (1 + i)), "GS409") == []


def test_a_schedule_that_begins_at_zero_is_named() -> None:
    (finding,) = judge(dying(run(lambda i: 0.0), 0, gone=1.0), "GS409")
    assert finding.where.source == CLIP
    assert finding.cause == "The schedule sets the learning rate to 0."


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
