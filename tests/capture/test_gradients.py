"""Recorded gradients are the ones plain autograd gives, on random graphs and on special tensors."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import gradscope
from gradscope.model.graph import Graph
from tests.capture.random_graphs import Values, grow, make_leaves
from tests.capture.reading import (
    assert_measures,
    graphs,
    labelled,
    last_graph,
    named,
    op,
    ops,
    parameter,
)


def _slots(graph: Graph) -> dict[str, tuple[int, int]]:
    """Where the graph has each named tensor; ``v[3], v[4]`` are outputs of one node."""
    found = {}
    for node in graph.structure.nodes:
        for output_nr, name in enumerate(node.label.split(", ")):
            found[name] = (node.id, output_nr)
    return found


def _expected(seed: int) -> tuple[dict[str, Tensor | None], Tensor]:
    """Gradients of all leaves and intermediates without us, by the names of the traced run."""
    w = make_leaves(seed)
    v: Values = []
    loss = grow(seed, w, v)
    asked = {f"w[{i}]": t for i, t in enumerate(w)} | {f"v[{i}]": t for i, t in enumerate(v)}
    asked = {name: t for name, t in asked.items() if t.requires_grad}
    found = torch.autograd.grad(loss, list(asked.values()), allow_unused=True)
    return dict(zip(asked, found, strict=True)), loss


@pytest.mark.parametrize("block", range(10))
def test_random_graphs(block: int) -> None:
    compared = 0
    for seed in range(block * 10, block * 10 + 10):
        expected, plain_loss = _expected(seed)
        w = make_leaves(seed)
        v: Values = []
        with gradscope.trace() as t:
            loss = grow(seed, w, v)
            loss.backward()
        assert torch.equal(plain_loss, loss)
        graph = last_graph(t)
        slots = _slots(graph)
        for name, gradient in expected.items():
            if gradient is None:
                assert graph.gradient(*slots[name]) is None if name in slots else True
            else:
                assert_measures(graph.gradients[slots[name]], gradient)
                compared += 1
        for i, leaf in enumerate(w):
            if leaf.grad is not None:
                assert torch.equal(leaf.grad, expected[f"w[{i}]"])  # type: ignore[arg-type]
    assert compared > 60


@pytest.mark.parametrize("block", range(4))
def test_values_of_random_graphs(block: int) -> None:
    for seed in range(block * 5, block * 5 + 5):
        w = make_leaves(seed)
        v: Values = []
        with gradscope.trace() as t:
            loss = grow(seed, w, v)
            loss.backward()
        graph = last_graph(t)
        slots = _slots(graph)
        named_values = {f"v[{i}]": x for i, x in enumerate(v)}
        assert_measures(graph.value(graph.structure.roots[0]), loss)
        seen = 0
        for name, value in named_values.items():
            stats = graph.value(*slots[name]) if name in slots else None
            if stats is not None:
                assert_measures(stats, value)
                seen += 1
        assert seen >= 0.9 * sum(name in slots for name in named_values)


@pytest.mark.parametrize("seed", range(20))
def test_contributions_sum_up(seed: int) -> None:
    """On scalars the parts that arrive along several edges are numbers that can be added."""
    w = make_leaves(seed, scalars=True)
    v: Values = []
    with gradscope.trace() as t:
        loss = grow(seed, w, v, scalars=True)
        loss.backward()
    graph = last_graph(t)
    for node, edges in enumerate(graph.structure.incoming):
        received = graph.gradient(node)
        if len(edges) < 2 or received is None:
            continue
        parts = [graph.contributions[edge] for edge in edges]
        total = math.fsum(p.value for p in parts if p is not None and p.value is not None)
        assert total == pytest.approx(received.value, rel=1e-5, abs=1e-6)


def test_each_use_of_a_shared_parameter() -> None:
    w = torch.tensor(2.0, requires_grad=True)
    with gradscope.trace() as t:
        a, b, c = w * 3, w * w, w.exp()
        loss = a + b + c
        loss.backward()
    graph = last_graph(t)
    leaf = labelled(graph, "w")
    parts = [graph.contributions[e] for e in graph.structure.incoming[leaf.id]]
    assert sorted(p.value for p in parts if p and p.value) == pytest.approx([2, 2, 3, math.exp(2)])
    assert parameter(t.trace, "w").fan_in == 4
    assert w.grad is not None
    assert_measures(graph.gradient(leaf.id), w.grad)


def test_none_is_not_zero() -> None:
    x = torch.ones(3, requires_grad=True)
    unused = torch.ones(3, requires_grad=True)
    with gradscope.trace() as t:
        first, second = torch.stack([x, unused]).split(1)
        lstm_out, _ = torch.var_mean(x)
        loss = first.sum() + lstm_out + (x * 0).sum()
        loss.backward()
    graph = last_graph(t)
    zero = op(graph, "VarMean")
    assert graph.gradients[zero.id, 0] is not None
    assert graph.gradients[zero.id, 1] is None, "the engine delivered nothing for the mean"
    multiplied = named(graph, "Mul")[0]
    arrived = graph.gradient(multiplied.id)
    assert arrived is not None
    assert arrived.zero_fraction == 0.0
    history = parameter(t.trace, "unused").gradients
    assert list(history.arrived) == [1], "split sends zeros where an output was not used"
    assert list(history.zero_fraction) == [1.0]
    del second


def test_a_function_that_returns_none() -> None:
    class Stops(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor, y: Tensor) -> Tensor:
            return x + y

        @staticmethod
        def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
            return gradient, None

    x, y = torch.ones(2, requires_grad=True), torch.ones(2, requires_grad=True)
    with gradscope.trace() as t:
        out: Any = Stops.apply(x, y)  # type: ignore[no-untyped-call]
        out.sum().backward()
    assert list(parameter(t.trace, "y").gradients.arrived) == [0]
    graph = last_graph(t)
    assert graph.gradients[labelled(graph, "y").id, 0] is None
    assert y.grad is None


def test_lstm_and_its_unused_states() -> None:
    net = nn.LSTM(3, 4, 2)
    with gradscope.trace() as t:
        out, _ = net(torch.randn(5, 2, 3))
        out.sum().backward()
    graph = last_graph(t)
    for name, p in net.named_parameters():
        assert p.grad is not None
        assert_measures(graph.gradient(labelled(graph, f"net.{name}").id), p.grad)
    top = named(graph, "MkldnnRnnLayer")[-1]
    assert graph.gradients[top.id, 1] is None


def test_a_sparse_gradient_counts_what_is_not_stored() -> None:
    net = nn.Embedding(10, 3, sparse=True)
    with gradscope.trace() as t:
        net(torch.tensor([1, 1, 2])).sum().backward()
    assert net.weight.grad is not None
    assert net.weight.grad.is_sparse
    found = last_graph(t).gradient(labelled(last_graph(t), "net.weight").id)
    assert_measures(found, net.weight.grad)
    assert found is not None
    assert found.zero_fraction == pytest.approx(0.8)


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16, torch.float64, torch.complex64])
def test_other_kinds_of_numbers(kind: torch.dtype) -> None:
    x = torch.randn(7, dtype=kind, requires_grad=True)
    with gradscope.trace() as t:
        (x * x).abs().sum().backward()
    assert x.grad is not None
    assert_measures(last_graph(t).gradient(labelled(last_graph(t), "x").id), x.grad)


def test_half_precision_norms_do_not_overflow() -> None:
    x = torch.full((100,), 300.0, dtype=torch.float16, requires_grad=True)
    with gradscope.trace() as t:
        (x * x).float().mul(1e-3).sum().backward()
    graph = last_graph(t)
    assert x.grad is not None
    assert_measures(graph.gradient(labelled(graph, "x").id), x.grad)


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_norms_out_of_float32s_range(scale: float) -> None:
    x = torch.ones(5, requires_grad=True)
    with gradscope.trace() as t:
        (x * scale).sum().backward()
    found = last_graph(t).gradient(labelled(last_graph(t), "x").id)
    assert found is not None
    assert found.l2_norm == pytest.approx(scale * math.sqrt(5), rel=1e-6)
    assert found.is_finite


def test_nan_and_inf_are_counted() -> None:
    x = torch.tensor([0.0, 1.0, 4.0], requires_grad=True)
    with gradscope.trace() as t:
        ((x - 1).sqrt() * torch.tensor([1.0, 0.0, 1.0])).sum().backward()
    graph = last_graph(t)
    assert x.grad is not None
    found = graph.gradient(labelled(graph, "x").id)
    assert found is not None
    assert found.nan_count == int(x.grad.isnan().sum())
    assert found.inf_count == int(x.grad.isinf().sum())
    assert not found.is_finite


def test_tensors_with_nothing_in_them() -> None:
    x = torch.zeros(0, 3, requires_grad=True)
    with gradscope.trace() as t:
        (x * 2).sum().backward()
    assert x.grad is not None
    assert_measures(last_graph(t).gradient(labelled(last_graph(t), "x").id), x.grad)


def test_large_and_expanded_gradients() -> None:
    x = torch.randn(300, 400, requires_grad=True)
    with gradscope.trace() as t:
        h = x.T * 2
        h.sum().backward()
    graph = last_graph(t)
    assert x.grad is not None
    assert_measures(graph.gradient(labelled(graph, "x").id), x.grad)
    assert_measures(graph.gradient(labelled(graph, "h").id), torch.ones(400, 300))
    assert_measures(graph.value(labelled(graph, "x").id), x)


def test_views_and_in_place_changes() -> None:
    x = torch.tensor([1.0, 2.0, 3.0, 4.0], requires_grad=True)
    with gradscope.trace() as t:
        y = x * 2
        y[1] = 5.0
        y[2:].mul_(3)
        y += 1
        loss = (y * y).sum()
        loss.backward()
    graph = last_graph(t)
    assert x.grad is not None
    assert_measures(graph.gradient(labelled(graph, "x").id), x.grad)
    assert_measures(graph.value(op(graph, "Add").id), y)
    first = named(graph, "Mul")[0]
    assert_measures(graph.value(first.id), torch.tensor([2.0, 4.0, 6.0, 8.0]))


def test_autocast() -> None:
    net = nn.Linear(3, 2)
    with gradscope.trace() as t:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            out = net(torch.randn(4, 3))
        out.float().pow(2).mean().backward()
    graph = last_graph(t)
    received = graph.gradient(op(graph, "Addmm").id)
    assert received is not None
    assert received.dtype == "bfloat16"
    assert net.weight.grad is not None
    assert_measures(graph.gradient(labelled(graph, "net.weight").id), net.weight.grad)


@pytest.mark.parametrize("reentrant", [False, True])
def test_checkpoint(reentrant: bool) -> None:
    net = nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 4))
    x = torch.randn(3, 4, requires_grad=True)
    with gradscope.trace() as t:
        out = torch.utils.checkpoint.checkpoint(net, x, use_reentrant=reentrant)
        out.sum().backward()
    assert [step.nested_in for step in t.trace.steps] == [None, 0][: 1 + reentrant]
    inner = graphs(t)[-1]
    for name, p in net.named_parameters():
        assert p.grad is not None
        node = labelled(inner, f"net.{name}")
        assert_measures(inner.gradient(node.id), p.grad)
        assert list(parameter(t.trace, f"net.{name}").gradients.step) == [int(reentrant)]
    assert {n.module for n in ops(inner)} >= {"net.0", "net.1", "net.2"}
    assert t.trace.unused_forwards == 0, "recomputation is no forward that nobody used"


def test_a_forward_in_another_thread() -> None:
    import threading

    net = nn.Linear(3, 1)
    found: list[Tensor] = []

    def work() -> None:
        found.append(F.relu(net(torch.ones(2, 3)) + 1))

    with gradscope.trace() as t:
        unused = net(torch.ones(2, 3)) * 2  # the same numbers, in this thread
        worker = threading.Thread(target=work)
        worker.start()
        worker.join()
        found[0].sum().backward()
    graph = last_graph(t)
    assert [n.call for n in ops(graph)] == ["linear", "linear", "add", "relu", "sum"]
    assert named(graph, "Relu")[0].source is not None
    assert net.weight.grad is not None
    assert_measures(graph.gradient(labelled(graph, "net.weight").id), net.weight.grad)
    assert t.trace.unused_forwards == 2
    del unused


def test_a_call_that_was_used_in_part_counts_as_used() -> None:
    lstm = nn.LSTM(3, 4)
    with gradscope.trace() as t:
        out, state = lstm(torch.randn(5, 1, 3))
        out[0].sum().backward()  # the nodes of the later steps are left
    assert t.trace.unused_forwards == 0
    del state


def test_backwards_in_threads_at_the_same_time() -> None:
    import threading

    nets = [nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 1)) for _ in range(4)]
    barrier = threading.Barrier(4)

    def work(i: int) -> None:
        for _ in range(5):
            loss = nets[i](torch.full((2, 4), float(i))).sum()
            barrier.wait()
            loss.backward()

    with gradscope.trace() as t:
        workers = [threading.Thread(target=work, args=(i,), name=f"w{i}") for i in range(4)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    assert not t.trace.dropped
    assert len(t.trace.steps) == 20
    assert {s.thread for s in t.trace.steps} == {"w0", "w1", "w2", "w3"}
    assert {s.nested_in for s in t.trace.steps} == {None}
    for i, net in enumerate(nets):
        for name, p in net.named_parameters():
            history = parameter(t.trace, f"nets[{i}].{name}").gradients
            assert p.grad is not None
            assert sum(history.norm) == pytest.approx(float(p.grad.norm()), rel=1e-4)
