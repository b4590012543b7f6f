"""The gradient that each leaf received, whatever happens to ``.grad`` in the meantime."""

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

from gradscope.capture.options import CaptureOptions
from gradscope.capture.schedule import Gallery
from gradscope.capture.tracer import Tracer
from gradscope.model.trace import Trace

STEPS = 8


class _Training:
    """A small net, its loss, and the norms of what plain autograd gives in each step."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.net = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
        self.leaves = list(self.net.parameters())
        self.expected: list[list[float]] = []

    def loss(self) -> Tensor:
        value: Tensor = self.net(torch.randn(5, 3)).pow(2).mean()
        self.expected.append(_norms_of(value, self))
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


def _norms_of(value: Tensor, training: _Training) -> list[float]:
    gradients = torch.autograd.grad(value, training.leaves, retain_graph=True)
    return [gradient.norm().item() for gradient in gradients]


@contextmanager
def _traced(finished: list[Trace]) -> Iterator[None]:
    tracer = Tracer(CaptureOptions(every=1), target="test")
    tracer.start()
    try:
        yield
    finally:
        finished.append(tracer.stop())


def _norms(trace: Trace, backwards: list[int] | None = None) -> list[list[float]]:
    """Per backward that fills ``.grad``: the gradient's norm at every leaf."""
    if backwards is None:
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
    found = _norms(trace)
    assert len(found) == len(training.expected)
    for norms, expected in zip(found, training.expected, strict=True):
        assert norms == pytest.approx(expected, rel=1e-5)


def _run(step: Callable[[_Training, int], object]) -> None:
    """Runs the steps under trace; the numbers of all must be those of plain autograd."""
    training, finished = _Training(), list[Trace]()
    with _traced(finished):
        for i in range(STEPS):
            step(training, i)
    assert not finished[0].dropped, dict(finished[0].dropped)
    _agree(finished[0], training)


def test_a_loop_that_clears() -> None:
    def step(training: _Training, _: int) -> None:
        training.clear()
        training.loss().backward()

    _run(step)


def test_gradients_that_pile_up() -> None:
    _run(lambda training, _: training.loss().backward())


@pytest.mark.parametrize("since", [0, 4])
def test_a_hook_of_the_users_that_changes_what_is_left(since: int) -> None:
    def halve(leaf: Tensor, *_: object) -> None:
        leaf.grad = leaf.grad * 0.5 if leaf.grad is not None else None

    def step(training: _Training, i: int) -> None:
        training.clear()
        loss = training.loss()
        if i == since:
            for leaf in training.leaves:
                node = torch.autograd.graph.get_gradient_edge(leaf).node
                node.register_hook(functools.partial(halve, leaf))
                kept.append(node)
        loss.backward()

    kept: list[Any] = []
    _run(step)


@pytest.mark.parametrize("since", [0, 4])
def test_an_optimizer_that_steps_in_the_backward(since: int) -> None:
    def clear(leaf: Tensor) -> None:
        leaf.grad = None

    def step(training: _Training, i: int) -> None:
        training.clear()
        if i == since:
            for leaf in training.leaves:
                leaf.register_post_accumulate_grad_hook(clear)
        training.loss().backward()

    _run(step)


def test_only_the_inputs_that_were_asked_for() -> None:
    training, finished = _Training(), list[Trace]()
    with _traced(finished):
        for i in range(STEPS):
            training.clear()
            inputs = training.leaves[:2] if i >= 4 else None
            training.loss().backward(inputs=inputs)
    last = next(p for p in finished[0].parameters if p.name.endswith("2.weight")).gradients
    backwards = [step.index for step in finished[0].steps if step.kind == "backward"]
    assert [index for index in last.step if index in backwards] == backwards[:4]


def test_a_backward_inside_another_that_adds_to_the_same_leaves() -> None:
    training, finished = _Training(), list[Trace]()

    def inside(_: Tensor) -> None:
        with torch.enable_grad():
            training.net(torch.ones(1, 3)).sum().backward()

    with _traced(finished):
        for i in range(STEPS):
            training.clear()
            h = training.net(torch.randn(5, 3))
            loss = h.pow(2).mean()
            training.expected.append(_norms_of(loss, training))
            if i == 4:
                h.register_hook(inside)
            loss.backward()
    assert not finished[0].dropped
    outer = [s.index for s in finished[0].steps if s.kind == "backward" and s.nested_in is None]
    assert _norms(finished[0], outer) == [pytest.approx(row, rel=1e-5) for row in training.expected]


def test_backwards_in_four_threads() -> None:
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
    assert not trace.dropped, dict(trace.dropped)
    found = sorted(map(tuple, _norms(trace)[4:]))
    expected = sorted(map(tuple, training.expected[4:]))
    assert found == [pytest.approx(row, rel=1e-5) for row in expected]


def test_a_backward_that_fails() -> None:
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
    steps = {p.name: list(p.gradients.step) for p in finished[0].parameters}
    reached = {name for name, seen in steps.items() if STEPS - 1 in seen}
    assert len(reached) == 2
    assert all("2." in name for name in reached), steps


def test_nothing_arrives_where_the_engine_delivers_none() -> None:
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
def test_gradients_that_are_not_finite(bad: float) -> None:
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


@pytest.mark.parametrize("trunk", [False, True])
def test_a_run_that_begins_before_another_and_reaches_its_nodes_later(trunk: bool) -> None:
    """At nodes that both share the hooks of both are called by each."""
    training, finished = _Training(), list[Trace]()
    begun, over = threading.Event(), threading.Event()

    def wait(_: Tensor) -> None:
        begun.set()
        assert over.wait(timeout=60)

    with _traced(finished):
        first, second = training.loss(), training.loss()
        if trunk:
            h = training.net(torch.randn(5, 3))
            first, second = h.pow(2).mean(), h.sum()
            training.expected = [_norms_of(first, training), _norms_of(second, training)]
        first.register_hook(wait)
        thread = threading.Thread(target=first.backward)
        thread.start()
        assert begun.wait(timeout=60)
        second.backward(retain_graph=True)
        over.set()
        thread.join()
    _agree(finished[0], training)
