"""A finished trace keeps nothing of the user's alive, and many traces take no more than one."""

from __future__ import annotations

import contextlib
import gc
import weakref
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import gradscope
from gradscope.session import Session
from tests.capture.programs import PROGRAMS


class _Watch:
    """Weak references to what a program made."""

    def __init__(self) -> None:
        self.references: dict[str, weakref.ref[Any]] = {}

    def __call__(self, **things: Any) -> None:
        self.references |= {name: weakref.ref(thing) for name, thing in things.items()}

    def alive(self) -> list[str]:
        return [name for name, reference in self.references.items() if reference() is not None]


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(4, 8), nn.Linear(8, 1)
        self.extra = [nn.Linear(1, 1)]

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.extra[0](self.second(torch.tanh(self.first(x))))
        return out


class _Square(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return 2 * x * gradient  # type: ignore[no-any-return]


def _train(watch: _Watch) -> None:
    net = Net()
    optimizer = torch.optim.Adam(net.parameters())
    for _ in range(3):
        optimizer.zero_grad()
        out = net(torch.ones(2, 4))
        squared: Any = _Square.apply(out)  # type: ignore[no-untyped-call]
        loss = squared.sum()
        loss.backward(retain_graph=True)
        optimizer.step()
        watch(out=out, loss=loss, squared=squared)
    watch(net=net, weight=net.first.weight, optimizer=optimizer)


def _unused(watch: _Watch) -> None:
    net = Net()
    out = net(torch.ones(2, 4))
    watch(net=net, out=out, weight=net.first.weight)


def _create_graph(watch: _Watch) -> None:
    net = Net()
    x = torch.ones(2, 4, requires_grad=True)
    out = net(x)
    (slope,) = torch.autograd.grad(out.sum(), x, create_graph=True)
    loss = slope.norm()
    loss.backward()
    watch(net=net, x=x, out=out, slope=slope, loss=loss)


def _fails(watch: _Watch) -> None:
    net = Net()
    out = net(torch.ones(2, 4))
    out.register_hook(lambda g: 1 / 0)
    watch(net=net, out=out)
    with contextlib.suppress(ZeroDivisionError):
        out.sum().backward()


def _frames(watch: _Watch) -> None:
    class Holder:
        pass

    def train() -> None:
        holder = Holder()
        w = torch.ones(2, requires_grad=True)
        (w * 2).sum().backward()
        watch(holder=holder, w=w)

    train()
    watch(function=train, cls=Holder)


RUNS = [_train, _unused, _create_graph, _fails, _frames]


@pytest.mark.parametrize("run", RUNS)
def test_nothing_of_the_users_is_kept(run: Callable[[_Watch], None]) -> None:
    watch = _Watch()
    with gradscope.trace() as t:
        run(watch)
    gc.collect()
    assert watch.references
    assert watch.alive() == []
    assert t.trace.environment


@pytest.mark.parametrize("run", RUNS)
def test_nothing_is_kept_while_the_trace_goes_on(run: Callable[[_Watch], None]) -> None:
    """Only what waits to be measured may live a little longer, but never a graph or a module."""
    watch = _Watch()
    with gradscope.trace():
        run(watch)
        gc.collect()
        alive = set(watch.alive())
    assert not alive & {"net", "loss", "optimizer", "out", "slope", "holder", "w", "weight"}


def test_without_the_garbage_collector() -> None:
    """The last result dies with its variable, as it would without us."""
    net = Net()
    gc.collect()
    gc.disable()
    try:
        with gradscope.trace():
            for _ in range(3):
                out = net(torch.ones(2, 4))
                loss = out.sum()
                loss.backward()
                references = [weakref.ref(out), weakref.ref(loss)]
                del out, loss
                assert [r() for r in references] == [None, None]
    finally:
        gc.enable()


def _objects() -> dict[str, int]:
    gc.collect()
    counts: dict[str, int] = {}
    for item in gc.get_objects():
        name = type(item).__name__
        counts[name] = counts.get(name, 0) + 1
    return counts


def test_a_trace_is_plain_data() -> None:
    """Nothing reachable from it belongs to torch, or is code, a frame or a function."""
    with gradscope.trace() as t:
        PROGRAMS["gpt2"]()
        PROGRAMS["two_players"]()
    plain = {"int", "float", "str", "bytes", "bool", "NoneType", "tuple", "list", "dict", "array"}
    seen: set[int] = set()
    found: set[str] = set()
    waiting: list[Any] = [t.trace]
    while waiting:
        item = waiting.pop()
        if id(item) in seen or isinstance(item, type):
            continue
        seen.add(id(item))
        found.add(type(item).__name__)
        assert not isinstance(item, Tensor | nn.Module)
        waiting += gc.get_referents(item) if gc.is_tracked(item) or isinstance(item, tuple) else []
    ours = {n for n in dir(gradscope.model.trace) + dir(gradscope.model.graph) if n[:1].isupper()}  # type: ignore[attr-defined]
    assert found - plain - ours - {"TensorStats"} == set()


def _resident() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096


def _small(session: Session) -> None:
    net = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with session:
        for _ in range(2):
            optimizer.zero_grad()
            net(torch.ones(2, 4)).sum().backward()
            optimizer.step()


def test_two_hundred_traces_take_no_more_than_one() -> None:
    for _ in range(20):
        _small(gradscope.trace())
    before, objects = _resident(), _objects()
    for _ in range(200):
        _small(gradscope.trace())
    after = _objects()
    grown = {n: after[n] - objects.get(n, 0) for n in after if after[n] - objects.get(n, 0) > 50}
    assert grown == {}
    assert _resident() - before < 8 << 20


def test_one_handle_used_many_times() -> None:
    session = gradscope.trace()
    for _ in range(5):
        _small(session)
    objects = _objects()
    for _ in range(50):
        _small(session)
    after = _objects()
    assert {n for n in after if after[n] - objects.get(n, 0) > 50} == set()


def test_a_long_run_does_not_pile_up_leaves() -> None:
    """Every reentrant checkpoint makes a new input that nobody has a name for."""
    net = nn.Linear(4, 4)
    with gradscope.trace() as t:
        for _ in range(50):
            x = torch.ones(2, 4, requires_grad=True)
            h = torch.utils.checkpoint.checkpoint(net, x, use_reentrant=True)
            h.sum().backward()
            torch.func.grad(lambda v: (v * v).sum())(torch.ones(3))
    assert len(t.trace.parameters) < 10
