from __future__ import annotations

import math
from array import array
from collections.abc import Callable
from dataclasses import replace

import pytest

from gradscope.model.events import OptimizerFacts
from gradscope.model.trace import Trace
from tests.builders import line
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


def micro_batches(
    n: int = 6,
    *,
    per_update: int = 4,
    losses: Callable[[int], float] = lambda i: 1.0 + i * 7 % 5,
    taken: float = 1.0,
    fresh: int = 1,
    norms: Callable[[int], float] = lambda i: 1.0 + 0.1 * i,
    closure: bool = False,
) -> Trace:
    """A loop that clears before every backward and steps after several.

    Args:
        n: How many updates.
        per_update: Backwards before each.
        losses: The loss of each backward.
        taken: Norm of what each step takes, by that of the last backward.
        fresh: Contributions that each update finds.
        norms: What each backward gives.
        closure: Whether the step runs these backwards itself, after a look at ``.grad``.
    """
    trace = loop(n, per_update=per_update, losses=losses, fresh=fresh)
    (owned,) = trace.parameters
    seen = [per_update * (k + (not closure)) - 1 for k in range(n)]
    history = replace(
        owned.updates,
        lost=array("i", [per_update - fresh] * n),
        grad_norm=array("d", [taken * norms(i) if i >= 0 else math.nan for i in seen]),
    )
    given = array("d", [norms(i) for i in range(n * per_update)])
    arrived = replace(owned.gradients, norm=given)
    trace = replace(trace, parameters=(replace(owned, updates=history, gradients=arrived),))
    places = [(i - 1, i // per_update - 1) for i in range(n * per_update)]
    return called(trace, "zero_grad", places)


def test_micro_batches_of_which_only_the_last_counts() -> None:
    (finding,) = judge(micro_batches(), "GS402")
    assert finding.severity == "warning"
    assert finding.where.source == CLEAR
    assert finding.message == (
        "`optimizer.zero_grad()` (train.py:22) clears the gradients at every one of 4 backwards, "
        "so that SGD.step() (train.py:24) finds the last one only (6 of 6 steps)"
    )
    assert (finding.seen, finding.of, finding.steps) == (6, 6, (3, 23))
    assert finding.evidence["backwards_per_step"] == 4
    assert finding.cause.startswith("3 of 4 backwards are thrown away")


@pytest.mark.parametrize(
    ("trace", "why"),
    [
        (micro_batches(2), "too few steps"),
        (micro_batches(per_update=1), "a step for every backward"),
        (micro_batches(per_update=2), "the first of two may be a probe"),
        (micro_batches(fresh=4), "nothing was cleared"),
        (micro_batches(taken=0.3), "the step took something else than the last gradient"),
        (micro_batches(losses=lambda i: 1.0 + i % 4), "each pass climbs from the one before"),
        (micro_batches(losses=lambda i: 1.0), "the same data again and again"),
        (micro_batches(closure=True), "the step runs a closure"),
        (micro_batches(closure=True, norms=lambda _: 1.0), "a closure near the optimum"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_other_ways_to_clear_before_a_backward_are_healthy(trace: Trace, why: str) -> None:
    assert judge(trace, "GS402") == [], why


def test_backwards_of_two_lines_are_no_micro_batches() -> None:
    trace = micro_batches()
    steps = tuple(
        replace(s, source=line(19, "probe.backward()")) if s.index % 4 == 0 else s
        for s in trace.steps
    )
    assert judge(replace(trace, steps=steps), "GS402") == []


def test_steps_of_another_player_in_between_excuse_it() -> None:
    trace = micro_batches()
    other = [replace(u, after_step=u.after_step - 2, optimizer="Adam") for u in trace.updates]
    both = sorted([*trace.updates, *other], key=lambda u: u.after_step)
    updates = tuple(replace(u, index=i) for i, u in enumerate(both))
    (owned,) = trace.parameters
    rows = array("i", [u.index for u in updates if u.optimizer == "SGD"])
    owned = replace(owned, updates=replace(owned.updates, update=rows))
    facts = (*trace.optimizers, OptimizerFacts("Adam"))
    changed = replace(trace, updates=updates, parameters=(owned,), optimizers=facts)
    assert judge(changed, "GS402") == []
    together = tuple(
        replace(u, after_step=u.after_step + 2) if u.optimizer == "Adam" else u for u in updates
    )
    assert len(judge(replace(changed, updates=together), "GS402")) == 1


def test_without_a_line_that_clears_nothing_is_said() -> None:
    trace = micro_batches()
    assert judge(replace(trace, calls=()), "GS402") == []
    others = tuple(replace(call, label="Adam") for call in trace.calls)
    facts = (*trace.optimizers, OptimizerFacts("Adam"))
    assert judge(replace(trace, calls=others, optimizers=facts), "GS402") == []
