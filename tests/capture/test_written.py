"""Values and updates of parameters that somebody writes to between the steps of an optimizer."""

from __future__ import annotations

import ctypes
import gc
import weakref
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from gradscope.capture.options import CaptureOptions
from gradscope.capture.tracer import Tracer
from gradscope.model.trace import Trace
from tests.capture.reading import labelled, parameter

STEPS = 5
Write = Callable[[nn.Linear, Any], object]


def _rms(values: Tensor) -> float:
    return values.double().pow(2).mean().sqrt().item()


def _train(write: Write, take: Callable[[nn.Linear], Any], *, before_step: bool) -> None:
    """Trains and writes to the weight between steps; all numbers must be those of the moment."""
    torch.manual_seed(0)
    net = nn.Linear(3, 4)
    at_backward, at_step, moved = [], [], []
    tracer = Tracer(CaptureOptions(every=1), target="test")
    tracer.start()
    try:
        alias = take(net)
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
        for i in range(STEPS):
            optimizer.zero_grad()
            if not before_step and i == 2:
                write(net, alias)
            loss = net(torch.randn(5, 3)).pow(2).mean()
            at_backward.append(_rms(net.weight.detach()))
            loss.backward()
            if before_step and i == 2:
                write(net, alias)
            values = net.weight.detach().clone()
            at_step.append(_rms(values))
            optimizer.step()
            moved.append(_rms(net.weight.detach() - values))
    finally:
        trace = tracer.stop()
    _compare(trace, at_backward, at_step, moved)


def _compare(
    trace: Trace, at_backward: list[float], at_step: list[float], moved: list[float]
) -> None:
    assert not trace.dropped, dict(trace.dropped)
    updates = parameter(trace, "net.weight").updates
    rows = [i for i, u in enumerate(updates.update) if trace.updates[u].by != "hand"]
    assert [updates.value_rms[i] for i in rows] == pytest.approx(at_step, rel=1e-5)
    assert [updates.update_rms[i] for i in rows] == pytest.approx(moved, rel=1e-4)
    seen = []
    for _, graph in trace.graphs:
        value = graph.value(labelled(graph, "net.weight").id)
        assert value is not None
        seen.append(value.rms)
    assert seen == pytest.approx(at_backward, rel=1e-5)


def _nothing(_: nn.Linear) -> None:
    return None


def _in_place(net: nn.Linear, _: Any) -> None:
    with torch.no_grad():
        net.weight.mul_(3)


def _through_data(net: nn.Linear, _: Any) -> None:
    net.weight.data.mul_(3)


def _other_memory(net: nn.Linear, _: Any) -> None:
    net.weight.data = net.weight.data * 3


def _assigned(net: nn.Linear, _: Any) -> None:
    net.weight.data = torch.full((4, 3), 7.0)


def _flattened(net: nn.Linear) -> Tensor:
    """All parameters become views of one buffer, as some optimizers make them."""
    buffer = torch.cat([p.detach().reshape(-1) for p in net.parameters()])
    net.weight.data = buffer[: net.weight.numel()].view(net.weight.shape)
    net.bias.data = buffer[net.weight.numel() :].view(net.bias.shape)
    return buffer


def _array_behind(net: nn.Linear) -> Any:
    array = net.weight.detach().clone().numpy()
    net.weight = nn.Parameter(torch.from_numpy(array))
    return array


def _loaded(net: nn.Linear, _: Any) -> None:
    net.load_state_dict({k: v * 3 for k, v in net.state_dict().items()})


def _multiplied(_: nn.Linear, alias: Any) -> None:
    alias *= 3


def _foreach(_: nn.Linear, alias: Any) -> None:
    torch._foreach_mul_([alias], 3.0)


def _at_address(net: nn.Linear, address: int) -> None:
    values = (ctypes.c_float * net.weight.numel()).from_address(address)
    for i, value in enumerate(values):
        values[i] = 3 * value


WRITES: list[tuple[Write, Callable[[nn.Linear], Any]]] = [
    (_in_place, _nothing),
    (_through_data, _nothing),
    (_other_memory, _nothing),
    (_assigned, _nothing),
    (_loaded, _nothing),
    (_multiplied, _flattened),
    (_multiplied, _array_behind),
    (_multiplied, lambda net: net.weight.data),
    (_foreach, lambda net: net.weight.data),
    (_multiplied, lambda net: net.weight.detach().numpy()),
    (_multiplied, lambda net: net.weight.detach()),
    (_at_address, lambda net: net.weight.data_ptr()),
]


@pytest.mark.parametrize("before_step", [False, True])
@pytest.mark.parametrize(("write", "take"), WRITES)
def test_values_that_somebody_wrote(
    write: Write, take: Callable[[nn.Linear], Any], before_step: bool
) -> None:
    _train(write, take, before_step=before_step)


def test_a_parameter_that_is_replaced() -> None:
    """Another tensor at, perhaps, the same address, as new as the one before."""
    torch.manual_seed(0)
    expected = []
    tracer = Tracer(CaptureOptions(every=1), target="test")
    tracer.start()
    for i in range(STEPS):
        w = torch.full((4,), float(i + 1), requires_grad=True)
        optimizer = torch.optim.SGD([w], lr=0.1)
        (w * w).sum().backward()
        expected.append(float(i + 1))
        optimizer.step()
        del w, optimizer
    trace = tracer.stop()
    values = [rms for p in trace.parameters for rms in p.updates.value_rms]
    assert values == pytest.approx(expected)


def test_two_optimizers_of_the_same_parameters() -> None:
    net = nn.Linear(2, 2)
    optimizers = [torch.optim.SGD(net.parameters(), lr=lr) for lr in (0.1, 0.5)]
    expected = []
    tracer = Tracer(CaptureOptions(every=1), target="test")
    tracer.start()
    for _ in range(STEPS):
        for optimizer in optimizers:
            net.zero_grad()
            net(torch.ones(1, 2)).sum().backward()
            expected.append(_rms(net.weight.detach()))
            optimizer.step()
    trace = tracer.stop()
    weight = parameter(trace, "net.weight")
    assert list(weight.updates.value_rms) == pytest.approx(expected, rel=1e-5)


def test_the_parameters_are_not_kept_alive() -> None:
    tracer = Tracer(CaptureOptions(every=1), target="test")
    tracer.start()
    try:
        net = nn.Linear(3, 3)
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
        for _ in range(3):
            optimizer.zero_grad()
            net(torch.ones(1, 3)).sum().backward()
            optimizer.step()
        gone = weakref.ref(net.weight)
        del net, optimizer
        gc.collect()
        assert gone() is None
    finally:
        tracer.stop()
