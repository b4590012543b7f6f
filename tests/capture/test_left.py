"""Gradients of leaves read from ``.grad`` after the run: only where that is what they received."""

from __future__ import annotations

import functools
import math
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from gradscope.capture.hearing import Hearing
from gradscope.capture.left import AGREEING
from gradscope.capture.options import CaptureOptions
from gradscope.capture.schedule import Gallery
from gradscope.capture.tracer import Tracer
from gradscope.model.trace import Trace

STEPS = 8


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many leaves were read, at each time that any were."""
    found: list[int] = []
    left = Hearing.left

    def counted(self: Hearing, gradients: Any) -> None:
        found.append(len(gradients))
        left(self, gradients)

    monkeypatch.setattr(Hearing, "left", counted)
    return found


class _Training:
    """A small net, its loss, and the norms of what plain autograd gives in each step."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.net = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
        self.leaves = list(self.net.parameters())
        self.expected: list[list[float]] = []

    def loss(self) -> Tensor:
        value: Tensor = self.net(torch.randn(5, 3)).pow(2).mean()
        gradients = torch.autograd.grad(value, self.leaves, retain_graph=True)
        self.expected.append([gradient.norm().item() for gradient in gradients])
        return value

    def clear(self) -> None:
        for leaf in self.leaves:
            leaf.grad = None


@pytest.fixture(autouse=True)
def chosen(monkeypatch: pytest.MonkeyPatch) -> set[int]:
    """Steps whose graphs are kept; usually all of the first ones are."""
    steps = {0}
    monkeypatch.setattr(Gallery, "choose", lambda _self, index, _kind, _nodes: index in steps)
    return steps


@contextmanager
def _traced(finished: list[Trace]) -> Iterator[None]:
    tracer = Tracer(CaptureOptions(every=1), target="test")
    tracer.start()
    try:
        yield
    finally:
        finished.append(tracer.stop())


def _norms(trace: Trace, training: _Training) -> list[list[float]]:
    """Per backward that fills ``.grad``: the gradient's norm at every leaf."""
    backwards = [step.index for step in trace.steps if step.kind == "backward"]
    found = []
    for index in backwards:
        rows = []
        for name in ("0.weight", "0.bias", "2.weight", "2.bias"):
            (parameter,) = (p for p in trace.parameters if p.name.endswith(name))
            history = parameter.gradients
            rows.append(history.norm[list(history.step).index(index)])
        found.append(rows)
    return found


def _agree(trace: Trace, training: _Training) -> None:
    found = _norms(trace, training)
    assert len(found) == len(training.expected)
    for norms, expected in zip(found, training.expected, strict=True):
        assert norms == pytest.approx(expected, rel=1e-5)


def _run(step: Callable[[_Training, int], object]) -> _Training:
    """Runs the steps under trace; the numbers of all must be those of plain autograd."""
    training, finished = _Training(), list[Trace]()
    with _traced(finished):
        for i in range(STEPS):
            step(training, i)
    assert not finished[0].dropped, dict(finished[0].dropped)
    _agree(finished[0], training)
    return training


def test_leaves_are_read_once_what_is_left_has_been_what_was_heard(read: list[int]) -> None:
    def step(training: _Training, _: int) -> None:
        training.clear()
        training.loss().backward()

    _run(step)
    assert read == [4] * (STEPS - AGREEING)


def test_the_history_is_the_same_either_way(monkeypatch: pytest.MonkeyPatch) -> None:
    def history() -> list[Any]:
        training, finished = _Training(), list[Trace]()
        training.leaves[1].requires_grad_(False)
        with _traced(finished):
            for _ in range(STEPS):
                training.clear()
                training.net(torch.randn(5, 3)).pow(2).mean().backward()
        return [(p.name, p.gradients) for p in finished[0].parameters]

    usual = history()
    monkeypatch.setattr("gradscope.capture.left.AGREEING", STEPS + 1)
    assert history() == usual
    assert any(row > 0 for _, gradients in usual for row in gradients.norm)


def test_kept_graphs_are_heard_at_hooks(read: list[int], chosen: set[int]) -> None:
    chosen.update(range(2 * STEPS))

    def step(training: _Training, _: int) -> None:
        training.clear()
        training.loss().backward()

    _run(step)
    assert read == []


def test_gradients_that_pile_up_are_heard(read: list[int]) -> None:
    _run(lambda training, _: training.loss().backward())
    assert read == []


def test_a_hook_of_the_users_that_changes_what_is_left(read: list[int]) -> None:
    def halve(leaf: Tensor, *_: object) -> None:
        leaf.grad = leaf.grad * 0.5 if leaf.grad is not None else None

    def step(training: _Training, i: int) -> None:
        training.clear()
        loss = training.loss()
        if i == 0:
            for leaf in training.leaves:
                node = torch.autograd.graph.get_gradient_edge(leaf).node
                node.register_hook(functools.partial(halve, leaf))
                kept.append(node)
        loss.backward()

    kept: list[Any] = []
    _run(step)
    assert read == []


@pytest.mark.parametrize("since", [0, 4])
def test_an_optimizer_that_steps_in_the_backward(read: list[int], since: int) -> None:
    def clear(leaf: Tensor) -> None:
        leaf.grad = None

    def step(training: _Training, i: int) -> None:
        training.clear()
        if i == since:
            for leaf in training.leaves:
                leaf.register_post_accumulate_grad_hook(clear)
        training.loss().backward()

    _run(step)
    assert read == [4] * max(0, since - AGREEING)


def test_only_the_inputs_that_were_asked_for(read: list[int]) -> None:
    training, finished = _Training(), list[Trace]()
    with _traced(finished):
        for i in range(STEPS):
            training.clear()
            inputs = training.leaves[:2] if i >= 4 else None
            training.loss().backward(inputs=inputs)
    last = next(p for p in finished[0].parameters if p.name.endswith("2.weight")).gradients
    backwards = [step.index for step in finished[0].steps if step.kind == "backward"]
    assert [index for index in last.step if index in backwards] == backwards[:4]
    assert read == [4] * (4 - AGREEING)


def test_other_processes_may_write(read: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    def step(training: _Training, _: int) -> None:
        training.clear()
        training.loss().backward()

    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    _run(step)
    assert read == []


def test_a_backward_inside_another_that_adds_to_the_same_leaves(read: list[int]) -> None:
    """What was left cannot be told apart: said, not guessed; from then on hooks hear."""
    training, finished = _Training(), list[Trace]()

    def inside(_: Tensor) -> None:
        with torch.enable_grad():
            training.net(torch.ones(1, 3)).sum().backward()

    with _traced(finished):
        for i in range(STEPS):
            training.clear()
            h = training.net(torch.randn(5, 3))
            loss = h.pow(2).mean()
            gradients = torch.autograd.grad(loss, training.leaves, retain_graph=True)
            training.expected.append([gradient.norm().item() for gradient in gradients])
            if i == 4:
                h.register_hook(inside)
            loss.backward()
    (trace,) = finished
    assert dict(trace.dropped) == {"gradients to which several backwards added at once": 4}
    outer = [s.index for s in trace.steps if s.kind == "backward" and s.nested_in is None]
    weight = trace.parameters[0].gradients
    at = [list(weight.step).index(index) for index in outer]
    norms = [weight.norm[i] for i in at]
    assert math.isnan(norms[4])
    del norms[4], training.expected[4]
    names = ["0.weight", "0.bias", "2.weight", "2.bias"]
    column = next(i for i, name in enumerate(names) if trace.parameters[0].name.endswith(name))
    assert norms == pytest.approx([row[column] for row in training.expected], rel=1e-5)


def test_backwards_in_two_threads(read: list[int]) -> None:
    """Each sees what it added, whoever else was at work."""
    training, finished = _Training(), list[Trace]()
    with _traced(finished):
        for _ in range(4):
            training.clear()
            training.loss().backward()
        training.clear()
        losses = [training.loss() for _ in range(4)]
        barrier = threading.Barrier(4)

        def wait(_: Tensor) -> None:
            barrier.wait(timeout=60)

        def work(loss: Tensor) -> None:
            loss.register_hook(wait)
            loss.backward()

        threads = [threading.Thread(target=work, args=(loss,)) for loss in losses]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    (trace,) = finished
    norms = _norms(trace, training)[4:]
    finite = [row for row in norms if not any(map(math.isnan, row))]
    lost = 4 * (len(norms) - len(finite))
    assert trace.dropped.get("gradients to which several backwards added at once", 0) == lost
    for row in finite:
        assert any(row == pytest.approx(expected, rel=1e-5) for expected in training.expected[4:])


def test_a_backward_that_fails(read: list[int]) -> None:
    """What arrived before the error is told, the rest is not."""
    training, finished = _Training(), list[Trace]()

    def fail(_: Tensor) -> None:
        raise ValueError("here")

    with _traced(finished):
        for i in range(STEPS):
            training.clear()
            h = training.net[0](torch.randn(5, 3))
            if i == STEPS - 1:
                h.register_hook(fail)
            loss = training.net[2](torch.tanh(h)).pow(2).mean()
            if i < STEPS - 1:
                loss.backward()
            else:
                with pytest.raises(ValueError, match="here"):
                    loss.backward()
    assert read[-1] == 2
    steps = {p.name: list(p.gradients.step) for p in finished[0].parameters}
    reached = {name for name, seen in steps.items() if STEPS - 1 in seen}
    assert len(reached) == 2
    assert all("2." in name for name in reached), steps


def test_nothing_arrives_where_the_engine_delivers_none(read: list[int]) -> None:
    class Drop(torch.autograd.Function):
        @staticmethod
        def forward(_ctx: Any, x: Tensor) -> Tensor:
            return x.clone()

        @staticmethod
        def backward(_ctx: Any, *_: Tensor) -> None:
            return None

    a, b = torch.ones(3, requires_grad=True), torch.ones(3, requires_grad=True)
    finished: list[Trace] = []
    with _traced(finished):
        for _ in range(STEPS):
            a.grad = b.grad = None
            dropped: Tensor = Drop.apply(a)  # type: ignore[no-untyped-call]
            (dropped + 2 * b).sum().backward()
    first, second = sorted(finished[0].parameters, key=lambda p: p.name)
    assert list(first.gradients.arrived) == [0] * STEPS
    assert list(second.gradients.arrived) == [1] * STEPS
    assert list(second.gradients.norm) == pytest.approx([math.sqrt(12)] * STEPS)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_gradients_that_are_not_finite(read: list[int], bad: float) -> None:
    w = torch.ones(4, requires_grad=True)
    finished: list[Trace] = []
    with _traced(finished):
        for i in range(STEPS):
            w.grad = None
            (w * torch.tensor([1.0, 2.0, bad if i in (1, 6) else 0.0, 0.0])).sum().backward()
    (parameter,) = finished[0].parameters
    norms = list(parameter.gradients.norm)
    assert [i for i, n in enumerate(norms) if not math.isfinite(n)] == [1, 6]
    assert norms[0] == pytest.approx(math.sqrt(5))
    assert list(parameter.gradients.zero_fraction)[:1] == [0.5]
    assert [step.index for step, _ in finished[0].graphs] == [0, 1, 6, 7]
    assert len(read) == STEPS - AGREEING - math.isnan(bad)


def test_a_run_that_begins_before_another_and_reaches_its_nodes_later() -> None:
    """At leaves that both share the hooks of both are called by each."""
    training, finished = _Training(), list[Trace]()
    begun, over = threading.Event(), threading.Event()

    def wait(_: Tensor) -> None:
        begun.set()
        assert over.wait(timeout=60)

    with _traced(finished):
        training.leaves[0].grad = torch.zeros(4, 3)
        first, second = training.loss(), training.loss()
        first.register_hook(wait)
        thread = threading.Thread(target=first.backward)
        thread.start()
        assert begun.wait(timeout=60)
        second.backward()
        over.set()
        thread.join()
    _agree(finished[0], training)
