from __future__ import annotations

from dataclasses import replace

import pytest

from gradscope.model.events import OptimizerFacts
from tests.diagnose.loop_traces import CLEAR, called, loop, starved
from tests.diagnose.traces import judge


@pytest.mark.parametrize(
    ("n", "cleared", "severity"),
    [
        (10, range(10), "error"),
        (10, range(5), "warning"),
        (3, range(3), "error"),
        (10, range(4), None),  # less than half
        (2, range(2), None),
        (10, (), None),
    ],
)
def test_steps_that_find_nothing(n: int, cleared: range, severity: str | None) -> None:
    found = judge(starved(loop(n), cleared), "GS402")
    assert [f.severity for f in found] == ([severity] if severity else [])


def test_the_line_that_clears_is_blamed() -> None:
    trace = called(starved(loop(6), range(6)), "zero_grad", [(i, i - 1) for i in range(6)])
    (finding,) = judge(trace, "GS402")
    assert finding.where.source == CLEAR
    assert (finding.seen, finding.of, finding.steps) == (6, 6, (0, 5))
    assert finding.message.startswith("`optimizer.zero_grad()` (train.py:22) clears the gradients")


def test_another_optimizers_clearing_is_not_blamed() -> None:
    trace = called(starved(loop(6), range(6)), "zero_grad", [(i, i - 1) for i in range(6)])
    other = tuple(replace(call, label="Adam") for call in trace.calls)
    facts = (*trace.optimizers, OptimizerFacts("Adam"))
    (finding,) = judge(replace(trace, calls=other, optimizers=facts), "GS402")
    assert finding.where.source == trace.updates[0].source
    by_module = tuple(replace(call, label="Net") for call in trace.calls)
    (finding,) = judge(replace(trace, calls=by_module), "GS402")
    assert finding.where.source == CLEAR


def test_clearing_behind_the_step_is_not_blamed() -> None:
    trace = called(starved(loop(6), range(6)), "zero_grad", [(i, i) for i in range(6)])
    (finding,) = judge(trace, "GS402")
    assert finding.where.source == trace.updates[0].source


def test_a_gradient_of_exactly_zero_was_not_cleared() -> None:
    assert judge(starved(loop(6, norm=0.0), range(6)), "GS402") == []


def test_an_update_that_found_another_gradient_is_healthy() -> None:
    trace = loop(6)
    updates = tuple(replace(u, starved=1) for u in trace.updates)
    assert judge(replace(trace, updates=updates), "GS402") == []
