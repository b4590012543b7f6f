from __future__ import annotations

import math
from array import array
from dataclasses import replace

import pytest

from gradscope.diagnose import diagnose
from gradscope.diagnose.history import Row, find_growth
from gradscope.model.events import Call
from gradscope.model.trace import Trace
from tests.builders import GraphBuilder, stats
from tests.diagnose.test_gs101 import layered, recurrent
from tests.diagnose.traces import (
    INF,
    NAN,
    findings_of,
    history_trace,
    judge,
    run_of,
    scaled,
    updates,
)


@pytest.mark.parametrize("factor", [1e-30, 1e-4, 1.0, 1e5, 1e30])
def test_growth_along_the_depth_whatever_the_scale_of_the_loss(factor: float) -> None:
    bad, good = layered([8.0] * 7), layered([1.2] * 7)
    (finding,) = judge(run_of(scaled(bad, factor)), "GS102")
    assert finding.severity == "error"
    assert finding.message.startswith("gradient grows 2.1e6-fold from ")
    assert finding.where.op == "SigmoidBackward0"
    assert finding.where.parameter == "w0"
    assert judge(run_of(scaled(good, factor)), "GS102") == []


@pytest.mark.parametrize(
    ("gains", "severity"),
    [
        ([10.0] * 7, "error"),
        ([4.0] * 7, "warning"),  # 4.2 decades, steep
        ([1.3] * 30, "info"),  # 3.4 decades, as batch norm makes them
        ([1.3] * 45, "warning"),  # 5.1 decades
        ([2.0] * 7, None),  # 2.1 decades
        ([1e5] + [1.05] * 6, None),  # one op
        ([100.0, 0.1] * 4, None),  # no trend
        ([0.1] * 7, None),
    ],
)
def test_both_sides_of_the_bars(gains: list[float], severity: str | None) -> None:
    found = judge(run_of(layered(gains)), "GS102")
    assert [f.severity for f in found] == ([severity] if severity else [])


def test_growth_through_time_is_told_by_its_own_rule() -> None:
    assert judge(run_of(recurrent(30, 2.0)), "GS102") == []


def test_few_backwards_weigh_less_unless_the_run_broke_down() -> None:
    graph = layered([4.0] * 7)
    (once,) = judge(run_of(graph, 1), "GS102")
    assert once.severity == "info"
    assert once.message.endswith("judged on 1 backward only")


def test_growth_over_the_steps_names_where_it_began() -> None:
    norms = [1.0] * 20 + [1.0 * 3**i for i in range(1, 13)]
    losses = [2.0] * 20 + [2.0 * 3**i for i in range(1, 13)]
    (finding,) = judge(history_trace(norms, losses), "GS102")
    assert finding.severity == "warning"
    assert finding.steps == (20, 31)
    assert "from step 20 on (1 → 5.3e5)" in finding.message
    assert finding.where.parameter == "net.0.weight"
    assert finding.where.source is not None
    assert finding.where.source.line == 23


@pytest.mark.parametrize("factor", [1e-8, 1e-4, 1.0, 1e5])
def test_growth_does_not_depend_on_the_scale(factor: float) -> None:
    norms = [1.0] * 15 + [10.0**i for i in range(1, 8)]
    trace = history_trace([n * factor for n in norms], [n * factor for n in norms])
    assert len(judge(trace, "GS102")) == 1


def with_updates(trace: Trace, changes: list[float], size: float = 10.0) -> Trace:
    """Each update changes the weights, all of that size, by so much."""
    n = len(changes)
    (owned,) = trace.parameters
    history = replace(
        updates([1] * n, [0] * n),
        value_rms=array("d", [size] * n),
        update_rms=array("d", changes),
    )
    return replace(trace, parameters=(replace(owned, updates=history),))


@pytest.mark.parametrize("factor", [1e-4, 1.0, 1e5])
def test_data_that_become_harder_are_no_divergence(factor: float) -> None:
    norms = [n * factor for n in [1.0] * 15 + [30.0] * 15 + [900.0] * 15]
    trace = history_trace(norms, norms)
    assert len(judge(trace, "GS102")) == 1  # nobody knows what the updates were
    assert judge(with_updates(trace, [0.1] * 45), "GS102") == []


@pytest.mark.parametrize(
    "changes",
    [
        [0.1] * 14 + [0.3] + [0.1] * 15,  # the update before the jump was larger than usual
        [2.0] * 30,  # or all were huge
    ],
)
def test_a_jump_that_an_update_made_is_a_divergence(changes: list[float]) -> None:
    norms = [1.0] * 15 + [3e4] * 15
    assert len(judge(with_updates(history_trace(norms, norms), changes), "GS102")) == 1


def test_a_climb_with_updates_like_all_others_is_a_divergence() -> None:
    norms = [1.0] * 15 + [2.0**i for i in range(1, 16)]
    assert len(judge(with_updates(history_trace(norms, norms), [0.1] * 30), "GS102")) == 1


def test_what_overflows_is_a_divergence() -> None:
    norms = [1.0] * 15 + [30.0] * 14 + [INF]
    assert len(judge(with_updates(history_trace(norms, norms), [0.1] * 30), "GS102")) == 1


def test_the_climb_begins_where_the_loss_leaves_its_history() -> None:
    norms = [1.0, 5.0, 2e3, 1e4, 5e3, 1e6, 1e5, 1e8, 1e7, 1e9, 1e8, 1e11, 1e12, INF]
    losses = [10.0**i for i in range(14)]
    (finding,) = judge(history_trace(norms, losses), "GS102")
    assert finding.steps[0] == 1
    assert finding.evidence["norm_before"] == 1.0


def test_who_clips_already_is_not_told_to() -> None:
    norms = [1.0] * 15 + [10.0**i for i in range(1, 8)]
    trace = history_trace(norms, norms)
    assert "clip_grad_norm_" in judge(trace, "GS102")[0].fix
    clips = replace(trace, calls=(Call("clip", 0, -1),))
    assert "clip_grad_norm_" not in judge(clips, "GS102")[0].fix


def rows(norms: list[float], losses: list[float] | None = None) -> list[Row]:
    return [
        Row(i, norm, loss)
        for i, (norm, loss) in enumerate(zip(norms, losses or norms, strict=True))
    ]


@pytest.mark.parametrize(
    ("norms", "losses"),
    [
        ([1.0] * 30, None),
        ([1.0] * 20 + [50.0] + [1.0] * 20, None),  # a spike
        ([10.0 * 0.5**i for i in range(60)], None),  # convergence
        ([1.0] * 20 + [100.0] * 10, [1.0] * 20 + [0.5] * 10),  # the loss falls
        ([1.0] * 20 + [100.0] * 10, [5.0] + [1.0] * 19 + [2.0] * 10),  # still below its start
        ([1.0] * 20 + [5.0] * 20, None),  # five times
        ([10.0] + [1e-9] * 30 + [1e-6] * 10, [10.0] + [1e-12] * 30 + [1e-9] * 10),  # noise at 0
        ([0.01, 0.1, 1.0], None),  # too short to tell
        ([], None),
        ([0.0] * 40, None),
    ],
)
def test_histories_that_are_no_explosion(norms: list[float], losses: list[float] | None) -> None:
    assert find_growth(rows(norms, losses)) is None


@pytest.mark.parametrize(
    ("norms", "first"),
    [
        ([1.0] * 20 + [100.0] * 10, 20),
        ([1.05**i for i in range(200)], 1),  # slow, from the beginning
        ([10.0 ** (2 * i) for i in range(6)], 1),  # fast, and soon over
        ([1.0, 1e6, INF], 1),  # at once
        ([1.0] * 20 + [30.0, 1e9, NAN, NAN], 20),
    ],
)
def test_histories_that_are(norms: list[float], first: int) -> None:
    growth = find_growth(rows(norms))
    assert growth is not None
    assert growth.first == first
    assert growth.overflowed == (not all(map(math.isfinite, norms)))


def test_moderate_growth_is_only_told() -> None:
    norms = [1.0] * 20 + [100.0] * 10
    (finding,) = judge(history_trace(norms, norms), "GS102")
    assert finding.severity == "info"


def test_an_overflow_is_an_error_and_the_cause_of_the_nan() -> None:
    norms = [1.0] * 12 + [1e3, 1e9, INF, NAN, NAN]
    losses = [1.0] * 12 + [1e3, 1e9, 1e30, NAN, NAN]
    report = diagnose(history_trace(norms, losses))
    (top,) = report.findings
    assert (top.code, top.severity) == ("GS102", "error")
    assert [f.code for f in top.consequences] == ["GS201"]


def overflow_at_once(largest: float) -> Trace:
    """Two backwards: the second forward pass overflows at a square of ``largest``."""
    b = GraphBuilder()
    out = b.op("Mm", b.leaf("w", (4,)), shape=(4,), gradient=1.0, value=largest)
    b.op("Pow", out, shape=(4,), gradient=1.0)
    graph = b.graph()
    root = graph.structure.roots[0]
    graph = replace(
        graph, values={**graph.values, (root, 0): replace(stats(INF, (4,)), inf_count=4)}
    )
    trace = history_trace([1e9, NAN], [1e6, INF])
    return replace(trace, steps=(trace.steps[0], replace(trace.steps[1], graph=graph)))


def test_one_update_that_throws_everything_away() -> None:
    report = diagnose(overflow_at_once(1e21))
    (top,) = report.findings
    assert (top.code, top.severity, top.steps) == ("GS102", "error", (0, 1))
    assert "norm of 1e9 in step 0 throws the weights" in top.message
    assert [f.code for f in top.consequences] == ["GS202"]


def test_an_overflow_of_small_values_is_none() -> None:
    assert [f.code for f in diagnose(overflow_at_once(3.0)).findings] == ["GS202"]


def test_a_gradient_that_was_not_measured_is_no_explosion() -> None:
    trace = history_trace([1.0] * 30, lambda i: 1.0)
    history = trace.parameters[0].gradients
    history.norm[12] = history.zero_fraction[12] = NAN
    report = diagnose(trace)
    assert findings_of(report, "GS102") == []
    assert findings_of(report, "GS201") == []


def test_depth_and_history_give_one_finding() -> None:
    bad = run_of(layered([8.0] * 7), 14)
    assert len(judge(bad, "GS102")) == 1
