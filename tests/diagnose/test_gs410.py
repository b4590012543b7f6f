from __future__ import annotations

from array import array
from dataclasses import replace

import pytest

from gradscope.model.trace import Step, Trace, Update, UpdateHistory
from tests.builders import line
from tests.diagnose.traces import STEP, gradients, judge, parameter

FIRST = line(10, "loss.backward(retain_graph=True)", "loss.backward(retain_graph=True)")
SECOND = line(12, "loss.backward()", "loss.backward()")


def doubled(
    rounds: int = 4,
    *,
    ratio: float = 1.0,
    second_loss: float = 2.0,
    fresh: int = 2,
    lost: int = 0,
    create: bool = False,
    more_nodes: int = 0,
    scale: float = 1.0,
) -> Trace:
    steps, norms = [], []
    for i in range(rounds):
        low = 100 * i
        for k, source in enumerate((FIRST, SECOND)):
            steps.append(
                Step(
                    index=2 * i + k,
                    loss=second_loss * scale if k else 2.0 * scale,
                    source=source,
                    roots=("loss",),
                    node_count=8 + k * more_nodes,
                    keep_graph=not k,
                    create_graph=create,
                    made=(low, low + 7),
                    root_made=low + 7,
                )
            )
            norms.append((i + 1) * scale * (ratio if k else 1.0))
    ones = array("d", [1.0] * rounds)
    history = UpdateHistory(
        update=array("i", range(rounds)),
        fresh=array("i", [fresh] * rounds),
        carried=array("i", [0] * rounds),
        grad_norm=ones,
        value_rms=ones,
        update_rms=ones,
        lost=array("i", [lost] * rounds),
    )
    return Trace(
        steps=tuple(steps),
        updates=tuple(Update(i, 2 * i + 1, "optimizer", "SGD", STEP, 1) for i in range(rounds)),
        parameters=(parameter(gradient=gradients(norms), update=history),),
    )


@pytest.mark.parametrize("scale", [1e-8, 1.0, 1e8])
def test_one_loss_twice_into_each_update(scale: float) -> None:
    (finding,) = judge(doubled(scale=scale), "GS410")
    assert finding.severity == "warning"
    assert finding.message == (
        "`loss.backward()` (train.py:12) runs `loss` backward a second time before the update, 4 "
        "times in 4 backwards: its gradient counts double (the first is "
        "`loss.backward(retain_graph=True)` (train.py:10))"
    )
    assert finding.where.source == SECOND
    assert (finding.seen, finding.of, finding.steps) == (4, 4, (0, 7))


@pytest.mark.parametrize(
    "healthy",
    [
        doubled(2),
        doubled(ratio=3.0),  # another gradient: another loss, or other inputs
        doubled(second_loss=5.0),
        doubled(fresh=1, lost=1),  # cleared in between
        doubled(create=True),
        doubled(more_nodes=5),  # a new term
        replace(doubled(), updates=()),  # a lesson
        replace(doubled(), steps=doubled().steps[::2]),
        replace(doubled(), steps=tuple(replace(s, made=None) for s in doubled().steps)),
        replace(doubled(), steps=tuple(replace(s, keep_graph=False) for s in doubled().steps)),
    ],
)
def test_two_backwards_that_are_meant(healthy: Trace) -> None:
    assert judge(healthy, "GS410") == []


def test_an_update_between_the_two() -> None:
    trace = doubled()
    between = tuple(Update(i, i, "optimizer", "SGD", STEP, 1) for i in range(8))
    assert judge(replace(trace, updates=between), "GS410") == []
