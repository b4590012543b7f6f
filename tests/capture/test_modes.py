"""Modes, devices and contexts of the user's see what they would see without us."""

from __future__ import annotations

import re
import warnings
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

import gradscope
from gradscope.capture.forward import ForwardMode
from tests.capture.programs import STEPS, train
from tests.capture.reading import (
    assert_measures,
    labelled,
    last_graph,
    named,
    only_step,
    ops,
    parameter,
    unattributed,
)


class Functions(TorchFunctionMode):
    """Notes every torch function."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.names.append(getattr(func, "__name__", str(func)))
        return func(*args, **(kwargs or {}))


class Operators(TorchDispatchMode):
    """Notes every operator."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.names: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.names.append(str(func))
        return func(*args, **(kwargs or {}))


def _program() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(inplace=True), nn.LSTM(8, 3))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    for _ in range(2):
        optimizer.zero_grad()
        out = net(torch.randn(2, 4))[0]
        out = torch.utils.checkpoint.checkpoint(torch.tanh, out, use_reentrant=False)
        out[0] = 1.0
        loss = F.mse_loss(out, torch.zeros_like(out)) + out.T.norm()
        loss.backward()
        optimizer.step()


@pytest.mark.parametrize("kind", [Functions, Operators])
@pytest.mark.parametrize("order", ["mode outside", "mode inside"])
def test_a_mode_of_the_users_sees_the_same(kind: Any, order: str) -> None:
    with kind() as plain:
        _program()
    mode = kind()
    if order == "mode outside":
        with mode, gradscope.trace() as t:
            _program()
    else:
        with gradscope.trace() as t, mode:
            _program()
    assert mode.names == plain.names
    assert unattributed(last_graph(t)) == []


def test_ranges_marked_for_profilers_cost_no_dispatch(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = Functions()
    dispatch = ForwardMode.__torch_function__

    def count(self: Any, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        seen.names.append(str(func))
        return dispatch(self, func, types, args, kwargs)

    monkeypatch.setattr(ForwardMode, "__torch_function__", count)
    net = nn.Linear(2, 1)
    with gradscope.trace():
        train(net, lambda: net(torch.ones(3, 2)).sum())
        with torch.profiler.record_function("mine"):
            torch.ones(2).sum()
    assert len(seen.names) > STEPS
    assert not [name for name in seen.names if "record_function" in name]


def test_flops_are_counted_the_same() -> None:
    net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))

    def count() -> int:
        with FlopCounterMode(display=False) as counter:
            net(torch.ones(3, 4)).sum().backward()
        return int(counter.get_total_flops())

    plain = count()
    with gradscope.trace():
        traced = count()
    assert traced == plain > 0


def test_a_default_device() -> None:
    with gradscope.trace() as t:
        torch.set_default_device("cpu")
        try:
            w = torch.ones(2, requires_grad=True)
            h = w
            for _ in range(3):
                h = h * 2
            h.sum().backward()
        finally:
            torch.set_default_device(None)
    graph = last_graph(t)
    assert labelled(graph, "w").parameter is not None
    assert [n.iteration for n in named(graph, "Mul")] == [1, 2, 3]
    with torch.device("cpu"), gradscope.trace() as t:
        (torch.ones(2, requires_grad=True) * 2).sum().backward()
    assert unattributed(last_graph(t)) == []


def test_no_grad_and_inference_mode_are_no_forwards() -> None:
    net = nn.Linear(3, 1)
    with gradscope.trace() as t:
        with torch.no_grad():
            plain = net(torch.ones(2, 3)) * 2
        with torch.inference_mode():
            inferred = net(torch.ones(2, 3)) * 2
            assert inferred.is_inference()
    assert not plain.requires_grad
    assert t.trace.unused_forwards == 0
    assert t.trace.steps == t.trace.forward_graphs == ()  # type: ignore[comparison-overlap]
    assert not t.trace.dropped


def test_a_trace_inside_inference_mode() -> None:
    net = nn.Linear(3, 1)
    with torch.inference_mode(), gradscope.trace() as t:
        net(torch.ones(2, 3))
    assert t.trace.steps == ()


def test_evaluation_between_steps() -> None:
    net = nn.Linear(3, 1)

    def loss_of() -> Tensor:
        net.eval()
        with torch.no_grad():
            net(torch.ones(5, 3)).sum().item()
        net.train()
        result: Tensor = net(torch.ones(2, 3)).sum()
        return result

    with gradscope.trace() as t:
        train(net, loss_of)
    assert len(t.trace.steps) == STEPS
    assert t.trace.unused_forwards == 0
    assert {n.module_call for n in ops(last_graph(t)) if n.module} == {1}


def test_evaluation_with_a_graph_is_counted() -> None:
    net = nn.Linear(3, 1)
    with gradscope.trace() as t:
        for _ in range(3):
            net(torch.ones(2, 3)).sum().backward()
            net(torch.ones(5, 3)).sum().item()
    assert t.trace.unused_forwards == 6


def test_saved_tensor_hooks_of_the_users() -> None:
    packed: list[int] = []

    def pack(x: Tensor) -> Tensor:
        packed.append(x.numel())
        return x

    x = torch.ones(3, requires_grad=True)

    def run() -> list[int]:
        packed.clear()
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda saved: saved):
            y = (x.exp() * x).sum()
        y.backward()
        return list(packed)

    plain = run()
    with gradscope.trace():
        assert run() == plain


def test_unpack_hooks_are_not_called_by_us() -> None:
    unpacked: list[int] = []

    def unpack(x: Tensor) -> Tensor:
        unpacked.append(1)
        return x

    def run() -> int:
        unpacked.clear()
        x = torch.ones(3, requires_grad=True)
        with torch.autograd.graph.saved_tensors_hooks(lambda saved: saved, unpack):
            y = F.cross_entropy(x.exp()[None] * x, torch.tensor([1]))
        y.backward()
        return len(unpacked)

    plain = run()
    with gradscope.trace():
        assert run() == plain


class Logged(Tensor):
    """A subclass that runs code of its own at every function."""

    calls: list[str] = []  # noqa: RUF012

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        cls.calls.append(getattr(func, "__name__", ""))
        return super().__torch_function__(func, types, args, kwargs or {})  # type: ignore[no-untyped-call]


def test_a_tensor_subclass_is_called_the_same() -> None:
    def run() -> list[str]:
        Logged.calls = []
        x = torch.ones(3).as_subclass(Logged).requires_grad_()
        y = x * 2
        for _ in range(2):
            y = y + x
        y.sum().backward()
        return Logged.calls

    plain = run()
    with gradscope.trace() as t:
        assert run() == plain
    graph = last_graph(t)
    assert [n.source.expression for n in named(graph, "Add") if n.source] == ["y + x"] * 2
    assert [n.iteration for n in named(graph, "Add")] == [1, 2]


class Wrapped(Tensor):
    """A subclass around another tensor, whose every operator runs the user's code."""

    inner: Tensor  # type: ignore[assignment]
    operators: list[str] = []  # noqa: RUF012

    @staticmethod
    def __new__(cls, inner: Tensor, requires_grad: bool = False) -> Wrapped:
        made: Wrapped = Tensor._make_wrapper_subclass(
            cls, inner.shape, dtype=inner.dtype, requires_grad=requires_grad
        )
        made.inner = inner
        return made

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:  # type: ignore[override]
        cls.operators.append(str(func))
        plain = [a.inner if isinstance(a, Wrapped) else a for a in args]
        out = func(*plain, **(kwargs or {}))
        return Wrapped(out) if isinstance(out, Tensor) else out


def test_a_wrapper_subclass_is_not_read() -> None:
    def run() -> list[str]:
        Wrapped.operators = []
        x = Wrapped(torch.ones(3), requires_grad=True)
        y = x * 2
        y.sum().backward()
        return Wrapped.operators

    plain = run()
    with gradscope.trace() as t:
        assert run() == plain
    assert set(t.trace.dropped) <= {
        "tensors without readable numbers (fake, freed or function-transform wrapped)"
    }
    assert only_step(t).error is None


def test_a_parameter_subclass_is_measured() -> None:
    class Special(nn.Parameter):
        pass

    net = nn.Linear(3, 1, bias=False)
    net.weight = Special(net.weight.detach().clone())
    with gradscope.trace() as t:
        net(torch.ones(2, 3)).sum().backward()
    graph = last_graph(t)
    assert net.weight.grad is not None
    assert_measures(graph.gradient(labelled(graph, "net.weight").id), net.weight.grad)
    assert parameter(t.trace, "net.weight").kind == "parameter"


def test_meta_tensors() -> None:
    with gradscope.trace() as t:
        x = torch.ones(3, device="meta", requires_grad=True)
        (x * 2).sum().backward()
    assert [n.call for n in ops(t.trace.graphs[0][1])] == ["mul", "sum"]
    assert not t.trace.notes


def test_nested_tensors() -> None:
    with gradscope.trace() as t:
        a, b = torch.ones(2, 3, requires_grad=True), torch.ones(4, 3, requires_grad=True)
        nested = torch.nested.as_nested_tensor([a, b], layout=torch.jagged)
        (nested * 2).sin().values().sum().backward()
    assert a.grad is not None
    graph = t.trace.graphs[0][1]
    assert_measures(graph.gradient(labelled(graph, "a").id), a.grad)
    assert not t.trace.notes


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
@pytest.mark.parametrize("layout", [torch.jagged, torch.strided])
def test_a_nested_tensor_as_a_leaf(layout: torch.layout) -> None:
    rows = [torch.ones(2, 3), torch.ones(4, 3)]
    leaf = torch.nested.nested_tensor(rows, layout=layout, requires_grad=True)
    net = nn.Linear(3, 5)
    with gradscope.trace() as t:
        for _ in range(2):
            out = net(leaf)
            leaf.grad = None
            net.zero_grad()
            out.to_padded_tensor(0.0).sum().backward()
    assert len(t.trace.steps) == 2
    graph = t.trace.graphs[-1][1]
    assert net.weight.grad is not None
    assert_measures(graph.gradient(labelled(graph, "net.weight").id), net.weight.grad)
    assert not t.trace.notes
    assert not [reason for reason in t.trace.dropped if "tensors" not in reason]


def test_profiler_and_anomaly_mode() -> None:
    net = nn.Linear(3, 1)
    with (
        torch.profiler.profile(),
        torch.autograd.set_detect_anomaly(True),
        gradscope.trace() as t,
    ):
        net(torch.ones(2, 3)).sum().backward()
    assert unattributed(last_graph(t)) == []


def test_a_mode_of_the_users_is_off_while_it_runs_torchs_own() -> None:
    """Torch's functions in Python ask the modes from the top down, each without itself."""
    inner, outer = Functions(), Functions()
    with gradscope.trace() as t, outer, inner:
        x = torch.ones(2, requires_grad=True)
        with pytest.raises(ValueError, match="probability"):
            F.dropout(F.relu(x), 2.0)
        F.relu(x).sum().backward()
        assert torch.overrides._get_current_function_mode_stack()[-2:] == [outer, inner]
    assert inner.names == outer.names
    assert inner.names.count("relu") == 2
    assert [node.op for node in ops(last_graph(t))] == ["ReluBackward0", "SumBackward0"]


def _traced_by_jit() -> tuple[list[str], str]:
    def function(t: Tensor) -> Tensor:
        w = t.detach().requires_grad_()
        (w * w).sum().backward()
        return t * 2

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        module = torch.jit.trace(function, torch.ones(3), check_trace=False)
    return [str(w.message) for w in caught], re.sub(r"%\d+|#.*", "", str(module.graph))


def test_a_backward_inside_jit_trace_is_seen_and_not_added_to() -> None:
    plain = _traced_by_jit()
    with gradscope.trace() as t:
        assert _traced_by_jit() == plain
    assert only_step(t).loss == 3.0
    assert [(m.op, m.shape) for m in t.trace.mutations] == [("requires_grad_", (3,))]
    assert all(type(size) is int for m in t.trace.mutations for size in m.shape)
