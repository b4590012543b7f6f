from __future__ import annotations

import math
import time
from dataclasses import replace

import pytest

from gradscope.model.trace import Trace
from tests.diagnose.loop_traces import CLIP, called, loop
from tests.diagnose.traces import judge

N = 6
EARLY = [(i - 1, i - 1) for i in range(N)]  # behind the step before, in front of the backward
RIGHT = [(i, i - 1) for i in range(N)]


def clipped(places: list[tuple[int, int]], value: float = 0.0, limit: float = 1.0) -> Trace:
    return called(loop(N), "clip", places, value=value, limit=limit)


def test_clipping_in_front_of_backward() -> None:
    (finding,) = judge(clipped(EARLY), "GS407")
    assert (finding.severity, finding.where.source) == ("warning", CLIP)
    assert (finding.seen, finding.of) == (6, 6)
    assert "gradients that are still empty" in finding.message


def test_clipping_behind_the_step() -> None:
    (finding,) = judge(clipped(EARLY, value=3.0), "GS407")
    assert "gradients of the past" in finding.message


@pytest.mark.parametrize(
    ("places", "expected"),
    [
        (RIGHT, 0),
        ([*EARLY, *RIGHT], 0),  # twice: the second one counts
        (EARLY[:2], 0),
        (EARLY[:3], 1),
        ([*EARLY[:3], *RIGHT[3:]], 1),
        ([*EARLY[:2], *RIGHT[2:]], 0),
        ([(N - 1, N - 1)] * 3, 0),  # no backward and no step follows
    ],
)
def test_which_order_speaks(places: list[tuple[int, int]], expected: int) -> None:
    assert len(judge(clipped(places), "GS407")) == expected


def test_only_looking_at_the_norm_is_healthy() -> None:
    assert judge(clipped(EARLY, value=3.0, limit=math.inf), "GS407") == []


def test_gradients_that_are_zero_are_not_missing() -> None:
    """A task that is solved exactly has a norm of 0 at the right place, too."""
    assert judge(called(loop(N, norm=0.0), "clip", EARLY, value=0.0, limit=1.0), "GS407") == []


def test_every_micro_batch_may_be_clipped() -> None:
    trace = called(loop(N, per_update=2), "clip", [(i, (i - 1) // 2) for i in range(2 * N)])
    assert judge(trace, "GS407") == []


@pytest.mark.parametrize(
    ("order", "expected"), [("clip unscale", 1), ("unscale clip", 0), ("clip", 1), ("", 0)]
)
def test_clipping_scaled_gradients(order: str, expected: int) -> None:
    trace = loop(N)
    for kind in order.split():
        trace = called(trace, kind, RIGHT, limit=1.0)  # type: ignore[arg-type]
    trace = called(trace, "scaler_step", [(i, i) for i in range(N)], value=1.0)
    found = judge(trace, "GS407")
    assert [f.evidence["order"] for f in found] == ["before unscale_"] * expected


def scheduled(places: list[tuple[int, int]], lines: int = 1) -> Trace:
    trace = called(loop(N), "scheduler_step", places)
    calls = [
        replace(call, source=replace(CLIP, line=40 + i)) if i < lines - 1 else call
        for i, call in enumerate(trace.calls)
    ]
    return replace(trace, calls=tuple(calls))


@pytest.mark.parametrize(
    ("places", "lines", "expected"),
    [
        ([(-1, -1), (1, 1), (3, 3)], 1, 1),  # at the beginning of every epoch
        ([(1, 1), (3, 3), (5, 5)], 1, 0),
        ([(-1, -1), (1, 1), (3, 3)], 2, 0),  # wound forward on a line of its own
        ([(-1, -1)], 1, 0),
    ],
)
def test_the_schedule_first(places: list[tuple[int, int]], lines: int, expected: int) -> None:
    found = judge(scheduled(places, lines), "GS407")
    assert [f.evidence["order"] for f in found] == ["schedule before step"] * expected


def test_a_first_step_that_the_scaler_skips_is_healthy() -> None:
    trace = called(scheduled([(0, -1), (1, 1), (3, 3)]), "scaler_step", [(0, -1)], value=0.0)
    trace = replace(trace, calls=tuple(sorted(trace.calls, key=lambda c: c.kind)))
    assert judge(trace, "GS407") == []


def test_an_optimizer_made_anew_for_every_step_costs_no_more_than_its_own_calls() -> None:
    """Looking through all optimizers for every call and optimizer takes seconds here."""
    n = 500
    trace = called(
        called(loop(n), "clip", [(i, i - 1) for i in range(n)], limit=1.0), "zero_grad", RIGHT
    )
    (facts,) = trace.optimizers
    labels = [f"SGD#{i}" for i in range(n)]
    trace = replace(
        trace,
        optimizers=tuple(replace(facts, label=label) for label in labels),
        updates=tuple(replace(u, optimizer=labels[u.index]) for u in trace.updates),
        calls=tuple(replace(call, label=labels[-1 - i % n]) for i, call in enumerate(trace.calls)),
    )
    started = time.process_time()
    assert judge(trace, "GS407") == []
    assert time.process_time() - started < 1


def test_what_no_call_tells_belongs_to_the_only_optimizer() -> None:
    trace = clipped(EARLY)
    trace = replace(trace, calls=tuple(replace(call, label="") for call in trace.calls))
    assert len(judge(trace, "GS407")) == 1
    (facts,) = trace.optimizers
    second = replace(facts, label="SGD#2")
    assert judge(replace(trace, optimizers=(facts, second)), "GS407") == []
