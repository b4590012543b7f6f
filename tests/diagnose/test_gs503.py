from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from gradscope.model.trace import Step, Trace, Update
from tests.builders import GraphBuilder, line
from tests.diagnose.traces import STEP, judge

KEEP = line(12, "total.backward(retain_graph=True)", "total.backward(retain_graph=True)")


def growing(
    counts: Sequence[int | None],
    *,
    keep: bool = True,
    create: bool = False,
    kind: str = "backward",
    updated: bool = True,
) -> Trace:
    steps = tuple(
        Step(
            index=i,
            kind="grad" if kind == "grad" else "backward",
            loss=1.0,
            source=KEEP,
            node_count=count,
            roots=("total",),
            keep_graph=keep,
            create_graph=create,
        )
        for i, count in enumerate(counts)
    )
    made = [Update(i, i, "optimizer", "SGD", STEP, 1) for i in range(len(counts))]
    return Trace(steps=steps, updates=tuple(made if updated else []))


def test_a_total_that_keeps_all_graphs_is_told() -> None:
    (finding,) = judge(growing([10 + 6 * i for i in range(12)]), "GS503")
    assert finding.severity == "warning"
    assert finding.message == (
        "the graph of `total.backward(retain_graph=True)` (train.py:12) grows by about 6 nodes "
        "with every backward, from 10 to 76 in 12 backwards: it still holds the graphs of all "
        "steps before"
    )
    assert finding.evidence["nodes_per_step"] == 6.0
    assert (finding.where.variable, finding.steps) == ("total", (0, 11))
    assert finding.where.source == KEEP


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ([10, 16, 22, 28], 1),
        ([10, 16, 21, 28, 33], 1),  # not exactly, but about
        ([100, 101, 102, 103], 0),  # hardly
        ([10, 20, 30], 0),  # too short to tell
        ([10, 20, 20, 30, 40], 0),
        ([10, 20, 30, 40, 10, 20, 30, 40], 0),  # steps of one sequence, again and again
        ([10, 20, 40, 80, 160], 0),  # deeper and deeper models
        ([40, 30, 20, 10], 0),
        ([50] * 20, 0),
        ([], 0),
    ],
)
def test_what_grows_and_what_does_not(counts: list[int], expected: int) -> None:
    assert len(judge(growing(counts), "GS503")) == expected


STEADY = [10 + 6 * i for i in range(12)]


@pytest.mark.parametrize(
    "trace",
    [
        growing(STEADY, keep=False),  # a curriculum of longer and longer sequences
        growing(STEADY, create=True),  # derivatives of derivatives
        growing(STEADY, kind="grad"),
        growing(STEADY, updated=False),  # one sequence, a backward at each of its steps
        growing([None] * 12),
    ],
)
def test_growth_on_purpose(trace: Trace) -> None:
    assert judge(trace, "GS503") == []


def test_an_error_in_the_last_backward_changes_nothing() -> None:
    trace = growing(STEADY)
    broken = replace(trace.steps[-1], error="RuntimeError: out of memory")
    (finding,) = judge(replace(trace, steps=(*trace.steps[:-1], broken)), "GS503")
    assert finding.seen == 11


def test_what_carries_the_graphs_along_is_named() -> None:
    b = GraphBuilder()
    total = b.leaf("w", (), gradient=1.0)
    source = line(11, "total = total + loss")
    for _ in range(4):
        total = b.op("Add", total, shape=(), gradient=1.0, label="total", source=source)
    trace = growing([10, 16, 22, 28])
    last = replace(trace.steps[-1], graph=b.graph())
    (finding,) = judge(replace(trace, steps=(*trace.steps[:-1], last)), "GS503")
    assert finding.message.endswith("of all steps before, carried along by `total` (train.py:11)")
    assert finding.fix.startswith("total += loss.item()")
    assert (finding.where.variable, finding.evidence["carrier"]) == ("total", "total")
