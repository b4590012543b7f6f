from __future__ import annotations

from array import array
from dataclasses import replace

import pytest

from gradscope.diagnose.inplace import instead
from gradscope.model.events import Failure, Mutation
from gradscope.model.trace import ScriptError, Trace, Update, UpdateHistory
from tests.builders import line
from tests.diagnose.raising import CHANGED, FORWARD, stopped
from tests.diagnose.traces import STEP, judge, parameter

ADDED = line(9, "h += 1", "h += 1")
CHANGE = Mutation("add_", ADDED, (8, 4), 1, "h", 0)
FAILURE = Failure("SigmoidBackward0", 3, FORWARD, "h", change=CHANGE, expected=0, found=1)


def test_both_lines_and_both_versions_are_named() -> None:
    (finding,) = judge(stopped(CHANGED, failure=FAILURE), "GS501")
    assert finding.severity == "error"
    assert finding.message == (
        "`h += 1` (train.py:9) changes `h` [8, 4] in place, but `SigmoidBackward0` of "
        "`h = torch.sigmoid(fc(x))` (train.py:8) has saved it and needs the old values (saved at "
        "version 0, found at version 1)"
    )
    assert finding.where.source == ADDED
    assert finding.fix == "h = h + 1"
    assert finding.evidence["raised"] == "RuntimeError"
    assert finding.evidence["saved_at"] == "train.py:8"


def test_an_error_that_the_script_caught_is_only_told() -> None:
    (finding,) = judge(stopped(CHANGED, failure=FAILURE, caught=True), "GS501")
    assert finding.severity == "info"
    assert "raised" not in finding.evidence


def test_the_optimizer_that_stepped_in_between() -> None:
    failure = replace(FAILURE, change=None, parameter=0, variable="")
    trace = stopped(CHANGED, failure=failure, steps=3)
    held = parameter(name="net.weight", update=UpdateHistory(array("i", [0, 1, 2])))
    updates = tuple(Update(i, i, "optimizer", "SGD", replace(STEP, line=30 + i)) for i in range(3))
    (finding,) = judge(replace(trace, parameters=(held,), updates=updates), "GS501")
    assert finding.message.startswith(
        "`optimizer.step()` (train.py:31) changes `net.weight` [8, 4] in place"
    )
    assert finding.where.parameter == "net.weight"
    assert "all backwards first" in finding.fix


def test_a_state_that_retain_graph_keeps_alive() -> None:
    carried = line(12, "h = cell(x, h)")
    failure = replace(FAILURE, change=None, parameter=0, variable="h", carried=carried)
    trace = stopped(CHANGED, failure=failure, steps=3)
    held = parameter(name="net.weight", update=UpdateHistory(array("i", [0])))
    updates = (Update(0, 0, "optimizer", "SGD", STEP),)
    (finding,) = judge(replace(trace, parameters=(held,), updates=updates), "GS501")
    assert finding.where.source == carried
    assert "changes `net.weight` [8, 4]" in finding.message
    assert finding.message.endswith("; `h` (train.py:12) leads there from a later iteration")
    assert finding.fix.startswith("h = h.detach()")


@pytest.mark.parametrize("failure", [None, replace(FAILURE, change=None, source=None)])
def test_where_little_is_known_the_backward_is_named(failure: Failure | None) -> None:
    (finding,) = judge(stopped(CHANGED, failure=failure), "GS501")
    assert finding.where.source is not None
    assert finding.where.source.line == 23
    assert finding.message.startswith("something changes ")


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (
            "a leaf Variable that requires grad is being used in an in-place operation.",
            "changes `w`, a leaf that requires a gradient, in place",
        ),
        (
            "a view of a leaf Variable that requires grad is being used in an in-place operation.",
            "changes `w`, a part of a leaf that requires a gradient, in place",
        ),
        (
            "Output 0 of UnbindBackward0 is a view and is being modified inplace. This view is the "
            "output of a function that returns multiple views.",
            "one of several views",
        ),
    ],
)
def test_changes_that_autograd_refuses(message: str, words: str) -> None:
    source = line(17, "w -= lr * w.grad", "w -= lr * w.grad")
    (finding,) = judge(
        Trace(
            script_error=ScriptError("RuntimeError", message, source),
            mutations=(Mutation("sub_", source, (3,), 1, "w"),),
        ),
        "GS501",
    )
    assert finding.severity == "error"
    assert words in finding.message
    assert finding.where.source == source


@pytest.mark.parametrize(
    ("op", "text", "expected"),
    [
        ("add_", "h += x", "h = h + x"),
        ("mul_", "self.h *= a - b", "self.h = self.h * (a - b)"),
        ("div_", "h /= h.sum()", "h = h / h.sum()"),
        ("add_", "h.add_(1)", "h = h.add(1)"),
        ("relu_", "y = h.relu_()", "y = h.relu()"),
        ("relu_", "y = torch.relu_(h)  # fast", "y = torch.relu(h)"),
        ("relu", "h = F.relu(h, inplace=True)", "h = F.relu(h, inplace=False)"),
    ],
)
def test_the_same_without_overwriting(op: str, text: str, expected: str) -> None:
    assert instead(op, line(3, text, text), "h") == expected


def test_other_remedies() -> None:
    assert instead("setitem", line(3, "h[0] = 1"), "h").startswith("h = h.clone()")
    assert instead("relu_", line(3, "h[mask] *= 2"), "h").startswith("h = h.clone()")
    assert instead("relu", line(3, "y = self.act(h)"), "h").startswith("inplace=False")
    assert instead("", line(3, "touch(h)"), "h").startswith("h = h.clone()")


def test_other_errors_are_other_findings() -> None:
    assert judge(stopped("out of memory"), "GS501") == []
