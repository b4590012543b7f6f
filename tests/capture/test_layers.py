"""Torch's own layers on their short way: what is recorded is the same as on the usual one."""

from __future__ import annotations

import contextlib
import signal
import traceback
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn

import gradscope
from gradscope.capture.layers import LAYERS, Layers
from gradscope.model.trace import Trace
from tests.capture.programs import PROGRAMS, Program
from tests.capture.reading import labels, last_graph, ops

NETS: dict[str, Callable[[], nn.Module]] = {
    "linear": lambda: nn.Linear(4, 4),
    "no_bias": lambda: nn.Linear(4, 4, bias=False),
    "relu": nn.ReLU,
    "in_place": lambda: nn.Sequential(nn.Linear(4, 4), nn.ReLU(inplace=True)),
    "leaky": lambda: nn.LeakyReLU(0.3),
    "elu": nn.ELU,
    "silu": nn.SiLU,
    "gelu": lambda: nn.GELU(approximate="tanh"),
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "dropout": nn.Dropout,
    "dropout_off": lambda: nn.Dropout().eval(),
    "norm": lambda: nn.LayerNorm(4),
    "plain_norm": lambda: nn.LayerNorm(4, elementwise_affine=False),
    "frozen": lambda: nn.Sequential(nn.Linear(4, 4).requires_grad_(False), nn.Linear(4, 4)),
    "in_a_block": lambda: nn.TransformerEncoderLayer(4, 2, 8),
    "deep": lambda: nn.Sequential(nn.Sequential(nn.Linear(4, 4), nn.Tanh()), nn.Linear(4, 4)),
}


def _facts(trace: Trace) -> dict[str, Any]:
    """What must not depend on the way: all but times."""
    steps = [replace(s, backward_ns=0, made=None, root_made=None) for s in trace.steps]
    names = "updates parameters forward_graphs unused_forwards dropped calls cuts mutations notes"
    return {"steps": _told(steps)} | {n: _told(getattr(trace, n)) for n in names.split()}


def _told(value: Any) -> Any:
    """The same as text, in which NaN equals NaN, and no matter in which order gradients arrived."""
    if is_dataclass(value):
        return [_told(getattr(value, field.name)) for field in fields(value)]
    if isinstance(value, Mapping):
        return sorted((repr(key), _told(each)) for key, each in value.items())
    return [_told(each) for each in value] if isinstance(value, list | tuple) else repr(value)


def _traced(program: Callable[[], object]) -> Trace:
    torch.manual_seed(7)
    with gradscope.trace() as session:
        program()
    return session.trace


def _same_both_ways(program: Callable[[], object], monkeypatch: pytest.MonkeyPatch) -> None:
    program()  # what is made only once is made
    short = _facts(_traced(program))
    monkeypatch.setattr(Layers, "put_on", lambda _: None)
    usual = _facts(_traced(program))
    for fact, value in usual.items():
        assert short[fact] == value, fact


def _train(net: nn.Module, x: Tensor) -> None:
    for _ in range(3):
        net(x).square().sum().backward()
    with torch.no_grad():
        net(x)


@pytest.mark.parametrize("name", NETS)
def test_the_same_is_recorded_on_both_ways(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def program() -> None:
        torch.manual_seed(0)
        net, x = NETS[name](), torch.randn(3, 4, requires_grad=True)
        _train(net, x)
        _train(nn.Sequential(nn.Linear(4, 4), net), x)

    _same_both_ways(program, monkeypatch)


def test_the_same_is_recorded_of_embeddings(monkeypatch: pytest.MonkeyPatch) -> None:
    def program() -> None:
        torch.manual_seed(0)
        _train(nn.Embedding(5, 3, padding_idx=0), torch.tensor([0, 1, 3]))
        _train(nn.Embedding(5, 3, sparse=True), torch.tensor([1, 3]))
        _train(nn.Embedding(5, 3, max_norm=0.0), torch.tensor([1, 3]))

    _same_both_ways(program, monkeypatch)


def test_the_same_is_recorded_with_other_parameters(monkeypatch: pytest.MonkeyPatch) -> None:
    def program() -> None:
        torch.manual_seed(0)
        net, x = nn.Linear(4, 4), torch.randn(3, 4)
        weight = (torch.randn(4, 4, requires_grad=True) * 2).tanh()
        for given in ({"weight": weight, "bias": x[0]}, {"weight": x.repeat(2, 1)[:4]}):
            torch.func.functional_call(net, given, (x,)).sum().backward(retain_graph=True)

    _same_both_ways(program, monkeypatch)


@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:DeprecationWarning")
@pytest.mark.parametrize("name", sorted(PROGRAMS.keys() - {"threads"}))  # in any order
def test_the_same_is_recorded_of_whole_programs(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    program: Program = PROGRAMS[name]
    _same_both_ways(program, monkeypatch)


def test_every_layer_takes_the_short_way(noted: list[str]) -> None:
    x = torch.randn(3, 4, requires_grad=True)
    for layer in LAYERS:
        if layer.kind is nn.Embedding:
            net, given = cast("nn.Module", nn.Embedding(5, 4)), torch.tensor([1])
        else:
            net, given = layer.kind(*_SIZES.get(layer.kind, ())), x
        with gradscope.trace():
            net(given).sum().backward()
    assert noted == [layer.kind.__name__ for layer in LAYERS]


_SIZES: dict[type[nn.Module], tuple[int, ...]] = {nn.Linear: (4, 4), nn.LayerNorm: (4,)}


def _frames(error: BaseException) -> list[str]:
    return [frame.name for frame in traceback.extract_tb(error.__traceback__)][1:]


@pytest.mark.parametrize("deep", [False, True])
def test_an_error_in_a_layer_has_the_usual_traceback(deep: bool, noted: list[str]) -> None:
    net: nn.Module = nn.Linear(3, 3)
    if deep:
        net = nn.Sequential(nn.Sequential(nn.Dropout(), net))
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied") as plain:
        net(torch.ones(1, 2))
    with gradscope.trace() as session:
        with pytest.raises(RuntimeError, match="shapes cannot be multiplied") as traced:
            net(torch.ones(1, 2))
        found = _frames(traced.value)
        nn.Linear(2, 2)(torch.ones(1, 2)).sum().backward()
    assert found == _frames(plain.value)
    assert traced.value.__context__ is None
    assert {n.call for n in ops(last_graph(session))} == {"linear", "sum"}


class _Stop(BaseException):
    pass


def test_an_interrupt_in_a_layer_leaves_all_as_it_was() -> None:
    """The signal comes in the middle of ``forward``, which allocates as much as it takes."""

    def stop(*_: object) -> None:
        raise _Stop

    before = signal.signal(signal.SIGALRM, stop)
    net, x = nn.Linear(1500, 1500), torch.ones(1500, 1500)
    try:
        with gradscope.trace() as session:
            signal.setitimer(signal.ITIMER_REAL, 0.002)
            with contextlib.suppress(_Stop):
                for _ in range(2000):
                    net(x)
            y = nn.Linear(2, 2)(torch.ones(1, 2)).sum()
            y.backward()
    finally:
        signal.signal(signal.SIGALRM, before)
    assert "y" in labels(last_graph(session))
    assert not session.trace.dropped
