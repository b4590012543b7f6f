from __future__ import annotations

from dataclasses import replace

import pytest

from gradscope.model.events import Call
from gradscope.model.trace import Parameter, Trace
from tests.builders import line
from tests.diagnose.traces import gradients, judge, parameter, update_trace

AT = line(8, "h = checkpoint(block, x, use_reentrant=True)", "checkpoint(block, x)")


def trace(*parameters: Parameter, calls: int = 3) -> Trace:
    made = tuple(Call("checkpoint_without_grad", i - 1, i - 1, AT) for i in range(calls))
    return replace(update_trace(*parameters, count=3), calls=made)


IDLE = parameter(1, "block.weight")
TRAINED = parameter(0, "head.weight", gradient=gradients([1.0, 1.0, 1.0]))


def test_parameters_inside_never_get_a_gradient() -> None:
    (finding,) = judge(trace(TRAINED, IDLE), "GS307")
    assert finding.severity == "warning"
    assert finding.message == (
        "`h = checkpoint(block, x, use_reentrant=True)` (train.py:8) ran 3 times with no input "
        "that requires a gradient, so nothing inside it gets one: `block.weight` never does"
    )
    assert finding.where.source == AT


@pytest.mark.parametrize(
    "healthy",
    [
        trace(TRAINED),  # nothing to learn inside
        trace(TRAINED, IDLE, calls=2),
        trace(TRAINED, replace(IDLE, requires_grad=False)),
        trace(TRAINED, replace(IDLE, optimizers=())),
        replace(trace(TRAINED, IDLE), calls=()),
        replace(trace(TRAINED, IDLE), steps=()),
    ],
)
def test_nothing_is_lost(healthy: Trace) -> None:
    assert judge(healthy, "GS307") == []
