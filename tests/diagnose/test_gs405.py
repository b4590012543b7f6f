from __future__ import annotations

from array import array
from dataclasses import replace

import pytest

from gradscope.model.events import OptimizerFacts
from gradscope.model.trace import Trace
from tests.diagnose.loop_traces import called, loop
from tests.diagnose.traces import BACKWARD, judge, parameter, updates


def never(n: int, rounds: int | None = None, per_update: int = 1) -> Trace:
    cleared = [(i, -1) for i in range(n if rounds is None else rounds)]
    return called(loop(n, steps=False, per_update=per_update), "zero_grad", cleared)


@pytest.mark.parametrize(("n", "expected"), [(2, 0), (3, 1), (50, 1)])
def test_backward_and_clearing_without_a_step(n: int, expected: int) -> None:
    found = judge(never(n), "GS405")
    assert [f.severity for f in found] == ["error"] * expected


def test_where_and_what() -> None:
    (finding,) = judge(never(6), "GS405")
    assert finding.where.source == BACKWARD
    assert finding.message == (
        "SGD (train.py:5) never steps: gradients arrive at 1 parameter in 6 backwards and are "
        "cleared 6 times"
    )


@pytest.mark.parametrize(("n", "expected"), [(8, 0), (19, 0), (20, 1)])
def test_micro_batches_may_take_long(n: int, expected: int) -> None:
    assert len(judge(never(n, rounds=0), "GS405")) == expected


def test_a_scheduler_instead() -> None:
    trace = called(never(6), "scheduler_step", [(5, -1)])
    assert "schedule advances" in judge(trace, "GS405")[0].message


def test_steps_are_steps() -> None:
    assert judge(called(loop(6), "zero_grad", [(i, i) for i in range(6)]), "GS405") == []
    trace = never(6)
    raised = replace(trace, optimizers=(replace(trace.optimizers[0], steps=1),))
    assert judge(raised, "GS405") == []


def test_somebody_else_moves_them() -> None:
    trace = never(6)
    (owned,) = trace.parameters
    by_hand = replace(owned, updates=updates([1] * 6, [0] * 6))
    assert judge(replace(trace, parameters=(by_hand,)), "GS405") == []
    wrapper = OptimizerFacts("Lookahead", None, -1, (0,), 6)
    assert judge(replace(trace, optimizers=(*trace.optimizers, wrapper)), "GS405") == []


def test_a_forgotten_one_of_two() -> None:
    trace = called(loop(8), "zero_grad", [(i, i) for i in range(8)])
    other = replace(parameter(1), optimizers=(), gradients=trace.parameters[0].gradients)
    facts = OptimizerFacts("Adam", None, -1, (1,), 0)
    both = replace(
        trace, parameters=(*trace.parameters, other), optimizers=(*trace.optimizers, facts)
    )
    assert judge(both, "GS405") == []  # nobody clears for it: kept for later
    calls = (*both.calls, *(replace(call, label="Adam") for call in both.calls))
    (finding,) = judge(replace(both, calls=calls), "GS405")
    assert finding.severity == "warning"


def test_the_other_player_may_run_backward_in_between() -> None:
    trace = loop(24, steps=False)
    (critic,) = trace.parameters
    reached = array("b", [i % 2 == 0 for i in range(24)])
    one = replace(critic, gradients=replace(critic.gradients, arrived=reached))
    actor = replace(parameter(1, update=updates([1] * 12, [0] * 12)), optimizers=("Adam",))
    facts = OptimizerFacts("Adam", None, -1, (1,), 12)
    both = replace(trace, parameters=(one, actor), optimizers=(*trace.optimizers, facts))
    both = replace(both, updates=loop(12).updates)
    odd = called(both, "zero_grad", [(i, i // 2) for i in range(1, 24, 2)])
    (finding,) = judge(odd, "GS405")
    assert finding.evidence["cleared"] == 12
    assert judge(called(both, "zero_grad", [(0, 0)] * 12), "GS405") == []


def test_skipped_by_the_scaler() -> None:
    trace = called(never(6), "scaler_step", [(i, -1) for i in range(6)], value=0.0)
    (finding,) = judge(trace, "GS405")
    assert finding.severity == "warning"
    assert finding.evidence["skipped_by_scaler"] == 6


def test_gradients_of_zero_teach_nothing() -> None:
    trace = loop(12, steps=False, norm=0.0)
    assert judge(replace(trace, optimizers=()), "GS405") == []


@pytest.mark.parametrize(("period", "n", "expected"), [(3, 12, 1), (12, 12, 0), (3, 9, 0)])
def test_without_an_optimizer_repeating_losses_are_told(period: int, n: int, expected: int) -> None:
    trace = loop(n, steps=False, losses=lambda i: 1.0 + i % period)
    found = judge(replace(trace, optimizers=()), "GS405")
    assert [f.severity for f in found] == ["info"] * expected
