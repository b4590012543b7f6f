from __future__ import annotations

import math
from array import array
from dataclasses import replace

import pytest

from gradscope.diagnose import diagnose
from gradscope.model.finding import Finding
from gradscope.model.trace import Trace
from tests.diagnose.loop_traces import CLIP, called, loop
from tests.diagnose.traces import INF, NAN, findings_of, judge

N = 6


def broken(value: float, step: int = 4, *, arrived: float = 1.0, used: float = NAN) -> Trace:
    """A clip by ``value`` in one step; what arrived there, and what the update used."""
    trace = loop(N)
    for i in range(N):
        trace = called(trace, "clip", [(i, i - 1)], value=value if i == step else 1.0, limit=1.0)
    (owned,) = trace.parameters
    norms = array("d", [used if i == step else 1.0 for i in range(N)])
    came = array("d", [arrived if i == step else 1.0 for i in range(N)])
    changed = replace(
        owned,
        updates=replace(owned.updates, grad_norm=norms),
        gradients=replace(owned.gradients, norm=came),
    )
    return replace(trace, parameters=(changed,))


@pytest.mark.parametrize("value", [NAN, INF])
def test_a_step_after_such_a_clip(value: float) -> None:
    (finding,) = judge(broken(value), "GS204")
    assert (finding.severity, finding.where.source) == ("error", CLIP)
    assert (finding.seen, finding.of, finding.steps) == (1, 6, (4, 4))
    assert "though every gradient was finite when it arrived" in finding.message


def test_the_parameter_is_named() -> None:
    (finding,) = judge(broken(INF, arrived=INF), "GS204")
    assert finding.where.parameter == "net.0.weight"
    assert "since the gradient of `net.0.weight` is not finite" in finding.message


def test_a_norm_that_could_not_be_read_is_none() -> None:
    assert judge(broken(NAN, used=0.5), "GS204") == []


def test_a_step_that_was_skipped() -> None:
    trace = broken(NAN)
    updates = tuple(u for u in trace.updates if u.index != 4)
    assert judge(replace(trace, updates=updates), "GS204") == []


def test_it_follows_from_the_gradient_and_the_next_forward_from_it() -> None:
    def codes(found: Finding) -> list[str]:
        return [found.code, *(code for f in found.consequences for code in codes(f))]

    later = broken(NAN)
    losses = tuple(replace(s, loss=math.nan if s.index > 4 else 1.0) for s in later.steps)
    report = diagnose(replace(later, steps=losses))
    assert codes(findings_of(report, "GS204")[0])[0] == "GS204"
    assert report.findings[0].code == "GS204"
    same = diagnose(broken(INF, arrived=INF))
    assert [codes(f)[:2] for f in same.findings if f.code == "GS201"] == [["GS201", "GS204"]]
