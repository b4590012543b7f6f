from __future__ import annotations

from dataclasses import replace

import pytest

from gradscope.model.events import Failure
from tests.builders import line
from tests.diagnose.raising import FREED, stopped
from tests.diagnose.traces import BACKWARD, judge

CELL = line(9, "h = cell(x, h)", "cell(x, h)")
CARRIED = Failure("TanhBackward0", 4, CELL, "h", carried=CELL, freed_by=0, rebuilt=True)
OTHER = line(31, "g_loss.backward()", "g_loss.backward()")


def test_a_state_from_the_step_before() -> None:
    (finding,) = judge(stopped(FREED, failure=CARRIED), "GS502")
    assert finding.severity == "error"
    assert finding.message == (
        "`h` (train.py:9) leads the backward of step 1 into the graph of step 0, which "
        "`loss.backward()` (train.py:23) has freed: `TanhBackward0` of `h = cell(x, h)` "
        "(train.py:9) has no values left"
    )
    assert finding.fix.startswith("h = h.detach()")
    assert "retain_graph" not in finding.fix
    assert (finding.where.source, finding.steps) == (CELL, (0, 1))


@pytest.mark.parametrize("variable", ["loss", "loss[0]"])
def test_a_total(variable: str) -> None:
    (finding,) = judge(stopped(FREED, failure=replace(CARRIED, variable=variable)), "GS502")
    assert finding.evidence["kind"] == "total"
    assert ".item()" in finding.fix


def test_what_is_computed_once_before_the_loop() -> None:
    (finding,) = judge(stopped(FREED, failure=replace(CARRIED, rebuilt=False)), "GS502")
    assert finding.evidence["kind"] == "once"
    assert finding.fix == "# inside the loop, for every backward: h = cell(x, h)"


def test_results_in_a_list() -> None:
    failure = replace(CARRIED, variable="log_probs[3]")
    (finding,) = judge(stopped(FREED, failure=failure), "GS502")
    assert finding.evidence["kind"] == "listed"
    assert finding.fix.startswith("log_probs.clear()")


def test_another_loss_ran_through_it() -> None:
    failure = replace(CARRIED, variable="fake")
    (finding,) = judge(stopped(FREED, failure=failure, source=OTHER), "GS502")
    assert finding.evidence["kind"] == "other"
    assert finding.fix.startswith("fake.detach()")
    assert finding.where.source == CELL


def test_two_losses_side_by_side() -> None:
    failure = replace(CARRIED, side_by_side=True)
    trace = stopped(FREED, failure=failure, source=OTHER)
    last = replace(trace.steps[1], roots=("g_loss",), root_made=8)
    (finding,) = judge(replace(trace, steps=(trace.steps[0], last)), "GS502")
    assert finding.evidence["kind"] == "shared"
    assert finding.fix.startswith("(loss + g_loss).backward()")
    assert finding.where.source == OTHER


def test_the_same_loss_again() -> None:
    failure = replace(CARRIED, side_by_side=True, carried=None, variable="")
    (finding,) = judge(stopped(FREED, failure=failure, source=OTHER), "GS502")
    assert finding.evidence["kind"] == "again"
    assert finding.message.startswith("`loss` runs backward a second time (train.py:31)")


def test_an_lstm_carries_a_pair() -> None:
    failure = replace(CARRIED, op="MkldnnRnnLayerBackward0", variable="state")
    (finding,) = judge(stopped(FREED, failure=failure), "GS502")
    assert "tuple(part.detach() for part in state)" in finding.fix


def test_where_nothing_is_known_the_backward_is_named() -> None:
    (finding,) = judge(stopped(FREED), "GS502")
    assert finding.where.source == BACKWARD
    assert "an earlier backward" in finding.message


def test_caught_errors_and_other_errors() -> None:
    (finding,) = judge(stopped(FREED, failure=CARRIED, caught=True), "GS502")
    assert finding.severity == "info"
    assert judge(stopped("out of memory"), "GS502") == []
