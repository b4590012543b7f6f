"""Judging a long recording of a large model takes about a second."""

from __future__ import annotations

from time import process_time

from benchmarks.rules import long_recording
from gradscope.diagnose import diagnose
from gradscope.diagnose.registry import registered_rules

BOUND_S = 4.0  # of CPU time; benchmarks/README.md has the figure, some 0.7


def test_two_thousand_steps_of_gpt2() -> None:
    registered_rules()
    trace = long_recording(2000)
    assert (len(trace.steps), len(trace.graphs)) == (2000, 31)
    assert len(trace.parameters) == 148
    started = process_time()
    report = diagnose(trace)
    assert process_time() - started < BOUND_S
    assert not any(skipped.failed for skipped in report.skipped)
    assert not report.has_warnings
