from __future__ import annotations

from dataclasses import replace

import pytest

from gradscope.diagnose import diagnose
from gradscope.model.trace import GradientHistory, Parameter, Trace
from tests.diagnose.loop_traces import MADE, loop, with_parameter
from tests.diagnose.traces import gradients, judge, parameter

N = 8


def new(shape: tuple[int, ...] = (5, 8), first: int = 0) -> Parameter:
    """Gets gradients from some step on, and nobody holds it."""
    history = gradients([1.0] * N)
    later = {name: column[first:] for name, column in vars(history).items()}
    return replace(
        parameter(name="net.fc.weight", gradient=GradientHistory(**later)),
        shape=shape,
        registered=True,
    )


def old(shape: tuple[int, ...] = (9, 8)) -> Parameter:
    """Held, and never reached."""
    return replace(parameter(name="tensor[9, 8]"), shape=shape)


def head_replaced(was: Parameter, now: Parameter) -> Trace:
    return with_parameter(with_parameter(loop(N), was, held=True), now, held=False)


def test_a_head_that_was_replaced() -> None:
    (finding,) = judge(head_replaced(old(), new()), "GS404")
    assert finding.severity == "warning"
    assert finding.where.source == MADE
    assert finding.where.parameter == "net.fc.weight"
    assert finding.message == (
        "SGD (train.py:5) holds 1 parameter of a layer that was replaced: `net.fc.weight` gets "
        "the gradients instead, in 8 backwards, and no optimizer holds it"
    )


def test_it_explains_what_others_find() -> None:
    (finding,) = diagnose(head_replaced(old(), new())).findings
    assert finding.code == "GS404"
    assert {f.code for f in finding.consequences} == {"GS301", "GS403"}


@pytest.mark.parametrize(
    "was",
    [
        replace(old(), registered=True),  # a spare layer of the model
        replace(old(), uses=3),  # cut off behind
        replace(old(), requires_grad=False),
        old((9,)),
        old((7, 6)),
    ],
)
def test_unused_for_another_reason(was: Parameter) -> None:
    assert judge(head_replaced(was, new()), "GS404") == []


@pytest.mark.parametrize(
    "now",
    [
        replace(new(), requires_grad=False),
        replace(new(), kind="input"),
        replace(new(), gradients=gradients([1.0, 1.0])),
        replace(new(), updates=loop(3).parameters[0].updates),
    ],
)
def test_nothing_takes_its_place(now: Parameter) -> None:
    assert judge(head_replaced(old(), now), "GS404") == []


def test_a_model_made_anew_in_the_middle() -> None:
    trace = loop(N)
    was = replace(trace.parameters[0], shape=(5, 8), gradients=gradients([1.0] * 4))
    trace = replace(
        trace,
        parameters=(was,),
        updates=tuple(replace(u, parameters=int(u.index < 4)) for u in trace.updates),
    )
    (finding,) = judge(with_parameter(trace, new(first=4), held=False), "GS404")
    assert finding.severity == "error"
    assert (finding.seen, finding.of) == (4, 8)
    overlapping = with_parameter(trace, new(first=3), held=False)
    assert judge(overlapping, "GS404") == []
    other_shape = with_parameter(trace, new((6, 8), first=4), held=False)
    assert judge(other_shape, "GS404") == []
