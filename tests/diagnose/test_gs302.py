from __future__ import annotations

from dataclasses import replace

import pytest

from gradscope.model.events import Cut
from gradscope.model.trace import Step, Trace, Update
from tests.builders import line
from tests.diagnose.raising import DETACHED, stopped
from tests.diagnose.traces import BACKWARD, STEP, gradients, judge, parameter

ARGMAX = Cut("argmax", line(6, "p = out.argmax(1)", "out.argmax(1)"), 0, 2, "out", depth=1)
TARGET = Cut("detach", line(7, "t = tgt(x).detach()", "tgt(x).detach()"), 0, 2, "tgt(x)", depth=1)
LOGGED = Cut("item", line(9, "print(loss.item())", "loss.item()"), 0, 9, "loss")
NUMPY = Cut("detach", line(7, "e = out.detach().numpy()", "out.detach()"), 0, 1, "out", depth=0)
EVAL = Cut("no_grad", line(5, "@torch.no_grad()"), depth=1)


def test_the_call_that_cut_it_off() -> None:
    (finding,) = judge(stopped(DETACHED, cuts=(LOGGED, ARGMAX, TARGET)), "GS302")
    assert finding.severity == "error"
    assert finding.message == (
        "`loss` of `loss.backward()` (train.py:23) has no graph to run backward through: "
        "`out.argmax(1)` (train.py:6) has cut it off from everything before"
    )
    assert finding.where.source == ARGMAX.source
    assert "cross_entropy(out, y)" in finding.fix
    assert finding.evidence["also_cut_by"] == "detach (train.py:7)"


@pytest.mark.parametrize(
    ("cuts", "op", "words"),
    [
        ((TARGET,), "detach", "without detach()"),
        ((NUMPY, ARGMAX), "detach", "for the log"),
        ((TARGET, EVAL), "no_grad", "outside of no_grad()"),
        ((replace(TARGET, depth=0), ARGMAX), "detach", "without detach()"),
    ],
)
def test_which_one_is_to_blame(cuts: tuple[Cut, ...], op: str, words: str) -> None:
    (finding,) = judge(stopped(DETACHED, cuts=cuts), "GS302")
    assert finding.evidence["cut_by"] == op
    assert words in finding.fix


def test_what_only_went_into_the_log_is_not_blamed() -> None:
    (finding,) = judge(stopped(DETACHED, cuts=(LOGGED,)), "GS302")
    assert finding.where.source == BACKWARD
    assert finding.message.endswith("nothing that it was computed from requires a gradient")


def test_a_frozen_model() -> None:
    frozen = replace(parameter(), requires_grad=False)
    trace = replace(stopped(DETACHED), parameters=(frozen,))
    (finding,) = judge(trace, "GS302")
    assert finding.message.endswith("requires_grad is False for 1 parameter of 1")


def wrapped(count: int, *, node_count: int = 1, arrived: bool = False) -> Trace:
    held = parameter(gradient=gradients([1.0]) if arrived else None)
    return Trace(
        steps=tuple(
            Step(index=i, loss=1.0, source=BACKWARD, roots=("loss",), node_count=node_count)
            for i in range(count)
        ),
        updates=tuple(Update(i, i, "optimizer", "SGD", STEP, 0) for i in range(count)),
        parameters=(held,),
        cuts=(replace(LOGGED, depth=0),),
    )


def test_a_number_wrapped_again() -> None:
    (finding,) = judge(wrapped(5), "GS302")
    assert finding.severity == "error"
    assert finding.where.source == LOGGED.source
    assert "no parameter ever gets a gradient" in finding.message


@pytest.mark.parametrize(
    "trace",
    [
        wrapped(2),
        wrapped(5, node_count=30),
        wrapped(5, arrived=True),
        replace(wrapped(5), updates=()),
        replace(wrapped(5), parameters=(parameter(optimizer=""),)),
    ],
)
def test_leaves_may_have_a_backward(trace: Trace) -> None:
    assert judge(trace, "GS302") == []


CALLED = line(4, "torch.set_grad_enabled(False)", "torch.set_grad_enabled(False)")
BLOCK = line(5, "with torch.no_grad():", "with torch.no_grad(): yield x")


@pytest.mark.parametrize(
    ("cut", "said", "fix"),
    [
        (
            Cut("grad_mode", CALLED, depth=0),
            "grad mode is off since `torch.set_grad_enabled(False)` (train.py:4), so that",
            "torch.set_grad_enabled(True)",
        ),
        (
            Cut("grad_mode", BLOCK, depth=0),
            "grad mode is off since `with torch.no_grad():` (train.py:5), so that",
            "no backward and no yield inside",
        ),
        (Cut("grad_mode", None, depth=0), "grad mode is off, so that", "no_grad()"),
        (Cut("inference_mode", None, depth=0), "inference mode is on, so that", "no_grad()"),
    ],
)
def test_grad_mode_that_was_never_switched_on_again(cut: Cut, said: str, fix: str) -> None:
    (finding,) = judge(stopped(DETACHED, cuts=(TARGET, cut)), "GS302")
    assert said in finding.message
    assert finding.where.source == (cut.source or BACKWARD)
    assert fix in finding.fix


def test_what_is_not_known_is_not_claimed() -> None:
    trace = replace(stopped(DETACHED), parameters=(parameter(),))
    (finding,) = judge(trace, "GS302")
    assert finding.message.endswith(
        "no parameter leads to it, or it was computed while grad mode was off"
    )
    assert "grad mode on" in finding.fix
