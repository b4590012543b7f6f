from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import replace

import pytest

from gradscope.model.events import Call
from gradscope.model.trace import Trace
from tests.diagnose.loop_traces import CLIP
from tests.diagnose.traces import NAN, STEP, gradients, judge, parameter, update_trace, updates


def clipped(
    before: Sequence[float],
    after: Sequence[float],
    *,
    change: float = 1e-3,
    value: float = 1.0,
    fresh: int = 1,
) -> Trace:
    """One parameter of ten elements: norms as they arrived, and as the optimizer found them."""
    n = len(before)
    history = replace(
        updates([fresh] * n, [0] * n),
        grad_norm=array("d", after),
        value_rms=array("d", [value] * n),
        update_rms=array("d", [change * value] * n),
    )
    return update_trace(parameter(gradient=gradients(before), update=history), count=n)


NORMS = [3.0, 5.0, 2.0, 7.0, 4.0, 3.5, 6.0, 2.5]


@pytest.mark.parametrize("factor", [1e-4, 1.0, 1e5])
def test_clipped_to_nothing_and_standing_still(factor: float) -> None:
    trace = clipped([n * factor for n in NORMS], [1e-8] * 8, change=1e-10)
    (finding,) = judge(trace, "GS406")
    assert finding.severity == "warning"
    assert finding.evidence["norm_after"] == 1e-8
    assert finding.evidence["norm_before"] == pytest.approx(3.75 * factor)
    assert finding.message.endswith("and the weights stand still (8 of 8 updates)")
    assert finding.where.source is not None
    assert finding.where.source.line == 24


@pytest.mark.parametrize(
    ("threshold", "change", "severity"),
    [
        (1e-8, 1e-10, "warning"),
        (1e-5, 1e-9, "warning"),
        (1e-8, 1e-3, "info"),  # Adam: as large as ever
        (1e-2, 1e-9, "info"),  # the learning rate, not the threshold, is small
        (0.5, 1e-3, None),  # an eighth is left
        (0.1, 1e-9, None),  # 2.7 % are left
        (10.0, 1e-3, None),
    ],
)
def test_both_sides_of_the_bars(threshold: float, change: float, severity: str | None) -> None:
    after = [min(n, threshold) for n in NORMS]
    found = judge(clipped(NORMS, after, change=change), "GS406")
    assert [f.severity for f in found] == ([severity] if severity else [])


@pytest.mark.parametrize("factor", [2.0**-16, 2.0**-40, 1e-3, 1 / 300])
def test_a_constant_factor_is_scaling_and_not_clipping(factor: float) -> None:
    assert judge(clipped(NORMS, [n * factor for n in NORMS]), "GS406") == []


def test_a_scaler_that_changes_its_factor_is_no_clipping() -> None:
    shares = [2.0**-16] * 3 + [2.0**-15] * 3 + [2.0**-17] * 2
    assert judge(clipped(NORMS, [n * s for n, s in zip(NORMS, shares, strict=True)]), "GS406") == []


def test_the_line_that_clips_and_the_usual_norm_are_told() -> None:
    trace = clipped(NORMS, [1e-8] * 8, change=1e-10)
    calls = (Call("clip", 0, -1, CLIP, "SGD"), Call("clip", 0, -1, STEP, "Adam"))
    (finding,) = judge(replace(trace, calls=calls), "GS406")
    assert finding.where.source == CLIP
    assert finding.fix.startswith("torch.nn.utils.clip_grad_norm_(model.parameters(), 3.8)")


def test_now_and_then_is_what_clipping_is_for() -> None:
    after = [n if i % 2 else 1e-3 for i, n in enumerate(NORMS)]
    assert judge(clipped(NORMS, after), "GS406") == []


@pytest.mark.parametrize("trace", [
    clipped(NORMS, [1e-8] * 8, fresh=4),  # sums of several backwards are not compared
    clipped(NORMS, [NAN] * 8),
    clipped([NAN] * 8, [1e-8] * 8),
    clipped([0.0] * 8, [0.0] * 8),
    clipped(NORMS[:4], [1e-8] * 4),  # too few
    clipped([], []),
])  # fmt: skip
def test_what_cannot_be_compared_is_left_alone(trace: Trace) -> None:
    assert judge(trace, "GS406") == []


def test_two_optimizers_are_judged_apart() -> None:
    trace = clipped(NORMS, [1e-8] * 8, change=1e-10)
    other = clipped(NORMS, NORMS).parameters[0]
    assert len(trace.updates) == 8
    twice = tuple(
        replace(u, index=u.index + 8, optimizer="Adam", after_step=u.after_step)
        for u in trace.updates
    )
    moved = replace(other.updates, update=array("i", range(8, 16)))
    both = replace(
        trace,
        updates=trace.updates + twice,
        parameters=(*trace.parameters, replace(other, index=1, updates=moved)),
    )
    (finding,) = judge(both, "GS406")
    assert finding.message.startswith("SGD (train.py:24) gets gradients of norm 1e-8 where")
