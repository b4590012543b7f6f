"""Which graphs are kept: a bounded, even choice that leaves no kind of backward out."""

from __future__ import annotations

from itertools import pairwise
from typing import cast

import pytest

from gradscope.capture.build import Builder
from gradscope.capture.options import CaptureOptions
from gradscope.capture.raw import RawGraph
from gradscope.capture.schedule import LARGE, Gallery, Schedule
from gradscope.errors import UsageError
from gradscope.model.graph import Graph


class _NoBuilder(Builder):
    """Hands back what it is given: these tests are about the choice."""

    def build(self, raw: RawGraph) -> Graph:
        return cast(Graph, raw)


def _raw() -> RawGraph:
    return cast(RawGraph, object())


def _kept(
    steps: int,
    kinds: int = 1,
    late: int = 1,
    flagged: tuple[int, ...] = (),
    nodes: int = LARGE - 1,
) -> list[int]:
    """Step indices kept of a run whose steps are offered ``late`` at a time."""
    gallery = Gallery(CaptureOptions(), _NoBuilder())
    waiting = []
    for index in range(steps):
        waiting.append((index, gallery.choose(index, index % kinds, nodes)))
        if len(waiting) == late or index == steps - 1:
            for i, chosen in waiting:
                gallery.offer(i, _raw(), i % kinds, chosen=chosen, flagged=i in flagged)
            waiting = []
    return list(gallery.graphs(steps))


@pytest.mark.parametrize("late", [1, 32])
@pytest.mark.parametrize("steps", [40, 1000, 10_001])
def test_first_last_and_an_even_spread_are_kept(steps: int, late: int) -> None:
    kept = _kept(steps, late=late)
    assert kept[0] == 0
    assert kept[-1] == steps - 1
    assert 7 <= len(kept) <= 16
    assert len({b - a for a, b in pairwise(kept[:-1])}) == 1


@pytest.mark.parametrize("late", [1, 5])
def test_of_large_graphs_fewer_of_the_first_are_kept(late: int) -> None:
    assert _kept(3, late=late, nodes=LARGE) == [0, 1, 2]
    assert _kept(10, late=late, nodes=LARGE) == [0, 1, 2, 4, 8, 9]
    assert _kept(12, late=late) == list(range(12))
    many = _kept(1000, late=late, nodes=LARGE)
    assert {0, 999} < set(many)
    assert 6 <= len(many) <= CaptureOptions().max_graphs


@pytest.mark.parametrize("late", [1, 32])
def test_two_players_are_both_kept(late: int) -> None:
    kept = _kept(1000, kinds=2, late=late)
    assert {index % 2 for index in kept} == {0, 1}
    assert {998, 999} <= set(kept)
    assert len(kept) <= 16


def test_flagged_steps_are_kept_with_the_one_before() -> None:
    assert {500, 501} <= set(_kept(1000, flagged=(501,)))


def test_very_many_kinds_stay_bounded() -> None:
    assert len(_kept(500, kinds=50)) <= 24


def test_exact_steps_and_steps_from_the_end() -> None:
    gallery = Gallery(CaptureOptions(steps=(3, -2)), _NoBuilder())
    for index in range(10):
        chosen = gallery.choose(index, None, 1)
        gallery.offer(index, _raw(), None, chosen=chosen, flagged=False)
    assert list(gallery.graphs(10)) == [3, 8]


def test_every_nth_step_is_seen_whole() -> None:
    schedule = Schedule(CaptureOptions(every=3))
    levels = []
    for index in range(6):
        levels.append(schedule.level)
        schedule.advance(index, own_ns=1, total_ns=1, flagged=False)
    assert levels == ["ops", "params", "params"] * 2


def test_the_budget_holds_after_the_first_steps() -> None:
    schedule = Schedule(CaptureOptions(budget=0.1, always_seen=10))
    whole = 0
    for index in range(1000):
        seen = schedule.level == "ops"
        whole += seen
        schedule.advance(
            index, own_ns=50 if seen else 0, total_ns=150 if seen else 100, flagged=False
        )
    assert 10 + 0.8 * 200 < whole < 10 + 1.2 * 200  # 10 % of 100 ns a step pays a fifth of them


def test_a_flagged_step_has_the_next_ones_seen() -> None:
    schedule = Schedule(CaptureOptions(every=None, budget=0.001, always_seen=1))
    for index in range(20):
        schedule.advance(index, own_ns=100, total_ns=110, flagged=False)
    before = schedule.level
    schedule.advance(20, own_ns=0, total_ns=10, flagged=True)
    assert (before, schedule.level) == ("params", "ops")


@pytest.mark.parametrize("bad", [{"every": 0}, {"budget": 0.0}, {"budget": 1.5}, {"max_graphs": 1}])
def test_options_out_of_range_are_refused(bad: dict[str, int]) -> None:
    with pytest.raises(UsageError):
        CaptureOptions(**bad)  # type: ignore[arg-type]


def test_exact_steps_alone_keep_nothing_else() -> None:
    gallery = Gallery(CaptureOptions(steps=(2, 5)), _NoBuilder())
    for index in range(10):
        chosen = gallery.choose(index, None, 1)
        gallery.offer(index, _raw(), None, chosen=chosen, flagged=False)
    assert list(gallery.graphs(10)) == [2, 5]
