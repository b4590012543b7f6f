from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from gradscope.model.trace import Step, Trace
from tests.builders import line
from tests.diagnose.traces import judge

KEEP = line(12, "loss.backward(retain_graph=True)", "loss.backward(retain_graph=True)")


def kept(spans: Sequence[tuple[int, int] | None], *, keep: bool = True) -> Trace:
    return Trace(
        steps=tuple(
            Step(index=i, loss=1.0, source=KEEP, roots=("loss",), keep_graph=keep, made=made)
            for i, made in enumerate(spans)
        )
    )


APART = [(0, 9), (10, 19), (20, 29), (30, 39)]


def test_graphs_that_are_kept_for_nothing() -> None:
    (finding,) = judge(kept(APART), "GS504")
    assert finding.severity == "info"
    assert finding.message == (
        "`loss.backward(retain_graph=True)` (train.py:12) keeps its graph in 3 backwards, and none "
        "of them is ever used again"
    )
    assert finding.where.source == KEEP


@pytest.mark.parametrize(
    "needed",
    [
        kept(APART, keep=False),
        kept(APART[:3]),
        kept([(0, 9), (5, 19), (20, 29), (30, 39), (40, 49)]),  # used by the next one
        kept([(0, 9), (10, 19), (20, 29), (0, 39)]),  # much later
        kept([(0, 9), None, (20, 29), None, (30, 39)]),  # not known
        replace(kept(APART), steps=tuple(replace(s, create_graph=True) for s in kept(APART).steps)),
        replace(kept(APART), steps=tuple(replace(s, kind="grad") for s in kept(APART).steps)),
    ],
)
def test_graphs_that_are_needed(needed: Trace) -> None:
    assert judge(needed, "GS504") == []


def test_numbers_of_other_threads_count_for_themselves() -> None:
    steps = kept(APART).steps
    other = tuple(
        replace(s, index=4 + s.index, thread="worker", made=(0, 9), keep_graph=False) for s in steps
    )
    assert len(judge(Trace(steps=(*steps, *other)), "GS504")) == 1
