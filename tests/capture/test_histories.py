"""What several backwards brought to the leaves is booked together, and in its order."""

from __future__ import annotations

import contextlib
import math
import sys
from array import array
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from types import FrameType, SimpleNamespace
from typing import Any, cast

import pytest
import torch
from torch import nn

import gradscope
from gradscope.capture import accounts, booking
from gradscope.capture.booking import SETTLE_STEPS
from gradscope.capture.histories import Arrivals, arrivals, book
from gradscope.capture.leaves import Leaf
from gradscope.capture.reduce import Row, are_finite, kind_of, row_of

KIND = kind_of(torch.zeros(4))


def _row(norm: float, nonzero: int = 3) -> Row:
    return row_of(KIND, norm, -norm, norm, nonzero)


def _run(leaves: dict[int, Leaf], heard: dict[int, Row | None], arrived: set[int]) -> Any:
    gradients = {(node, 0): row for node, row in heard.items()}
    return SimpleNamespace(leaves=leaves, gradients=gradients, arrived=arrived)


def _leaf(index: int) -> Leaf:
    return Leaf(index, torch.zeros(4, requires_grad=True))


def _of_steps(leaf: Leaf) -> list[tuple[int, float]]:
    return list(zip(leaf.gradients.step, leaf.gradients.norm, strict=True))


def test_every_column_of_every_leaf_gets_its_numbers() -> None:
    a, b = _leaf(0), _leaf(1)
    leaves = {3: a, 7: b}
    runs = [_run(leaves, {3: _row(n), 7: _row(10 * n, 1)}, {3, 7}) for n in (1.0, 2.0)]
    list(book([arrivals(step, run) for step, run in enumerate(runs, 5)]))
    assert _of_steps(a) == [(5, 1.0), (6, 2.0)]
    assert _of_steps(b) == [(5, 10.0), (6, 20.0)]
    assert b.gradients.min == array("d", [-10.0, -20.0])
    assert b.gradients.max == array("d", [10.0, 20.0])
    assert b.gradients.zero_fraction == array("f", [0.75, 0.75])
    assert b.gradients.arrived == array("b", [1, 1])


def test_what_came_is_told_from_what_was_not_reached_and_what_was_not_measured() -> None:
    leaves = {i: _leaf(i) for i in range(4)}
    found = arrivals(2, _run(leaves, {0: _row(1.0), 1: None}, {0, 3}))
    list(book([found]))
    assert are_finite(found.rows)
    assert [leaf.index for leaf in found.leaves] == [0, 1, 3]
    assert [list(leaf.gradients.arrived) for leaf in leaves.values()] == [[1], [0], [], [1]]
    assert math.isnan(leaves[1].gradients.norm[0])
    assert math.isnan(leaves[3].gradients.zero_fraction[0])


def test_one_that_is_not_finite_is_seen_beside_one_that_was_not_measured() -> None:
    leaves = {0: _leaf(0), 1: _leaf(1)}
    for norm in (math.nan, math.inf):
        assert not are_finite(arrivals(0, _run(leaves, {1: _row(norm)}, {0, 1})).rows)


def test_a_leaf_with_two_nodes_keeps_the_order_of_the_steps() -> None:
    leaf = _leaf(0)
    both = {0: leaf, 1: leaf}
    runs = [_run(both, {0: _row(n), 1: _row(-n)}, {0, 1}) for n in (1.0, 2.0)]
    list(book([arrivals(step, run) for step, run in enumerate(runs)]))
    assert _of_steps(leaf) == [(0, 1.0), (0, -1.0), (1, 2.0), (1, -2.0)]


def test_backwards_that_take_turns_keep_the_order_of_the_steps() -> None:
    shared, first, second = (_leaf(i) for i in range(3))
    found: list[Arrivals] = []
    for step in range(6):
        leaves = {0: (first, second)[step % 2], 1: shared}
        found.append(arrivals(step, _run(leaves, {0: _row(1.0), 1: _row(step)}, {0, 1})))
    list(book(found))
    assert _of_steps(shared) == [(step, float(step)) for step in range(6)]
    assert list(first.gradients.step) == [0, 2, 4]
    assert list(second.gradients.step) == [1, 3, 5]


def test_histories_are_those_of_autograd() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1))
    parameters = dict(net.named_parameters())
    expected: dict[str, list[list[float]]] = {name: [] for name in parameters}
    with gradscope.trace() as t:
        for _ in range(2 * SETTLE_STEPS + 3):
            net.zero_grad()
            net(torch.randn(5, 3)).pow(2).mean().backward()
            for name, parameter in parameters.items():
                gradient = cast("torch.Tensor", parameter.grad)
                zeros = (gradient == 0).double().mean()
                numbers = (gradient.norm(), gradient.min(), gradient.max(), zeros)
                expected[name].append([float(number) for number in numbers])
    for found in t.trace.parameters:
        h = found.gradients
        assert list(h.step) == list(range(2 * SETTLE_STEPS + 3))
        rows = [list(row) for row in zip(h.norm, h.min, h.max, h.zero_fraction, strict=True)]
        torch.testing.assert_close(rows, expected[found.name.removeprefix("net.")])


def test_what_cannot_be_booked_is_counted_and_an_interrupt_loses_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Ctrl-C while rows are made: they are added with those of the next steps."""
    wrong: list[Any] = [None]
    batches: list[Any] = []

    def failing(found: Any) -> Any:
        batches.append(found)
        if len(batches) == 1:
            raise KeyboardInterrupt
        return book(wrong if len(batches) == 2 else found)

    monkeypatch.setattr(booking, "book", failing)
    w = torch.ones(2, requires_grad=True)

    def step() -> None:
        with contextlib.suppress(KeyboardInterrupt):
            (w * w).sum().backward()

    with gradscope.trace() as t:
        for _ in range(3 * SETTLE_STEPS):
            step()
    (leaf,) = t.trace.parameters
    kept = list(range(2 * SETTLE_STEPS, 3 * SETTLE_STEPS))
    assert list(leaf.gradients.step) == kept, (
        "the first two batches went with what cannot be booked"
    )
    assert t.trace.dropped["steps whose numbers could not be read"] == 2 * SETTLE_STEPS


def _interrupted_after(count: int, part: Callable[[], object]) -> bool:
    """Whether Ctrl-C after so many bytecodes still met the part."""
    left = [count]

    def trace(frame: FrameType, event: str, _arg: object) -> Any:
        frame.f_trace_opcodes = True
        if event == "opcode" and frame.f_code.co_filename == accounts.__file__:
            left[0] -= 1
            if left[0] < 0:
                raise KeyboardInterrupt
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        part()
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(before)
    return False


def test_an_interrupt_leaves_the_columns_of_updates_equally_long() -> None:
    for count in range(1000):
        leaves = [Leaf(i, torch.ones(2)) for i in range(2)]
        rows: accounts._Rows = defaultdict(
            list, {leaf: [(1, 1, 0, 0.5, 1.0, 0.1, 0)] * 3 for leaf in leaves}
        )
        met = _interrupted_after(count, partial(accounts._write, rows))
        columns = [column for leaf in leaves for column in accounts._COLUMNS(leaf.updates)]
        assert len({len(column) for column in columns}) == 1
        if not met:
            break
    assert len(columns[0]) == 3
    assert count > 10
