"""What only the graphs that are kept are asked, against plain torch."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

import gradscope
from gradscope.capture.options import CaptureOptions
from gradscope.capture.tracer import Tracer
from gradscope.capture.traits import RawTraits
from gradscope.model.graph import Graph, Traits
from tests.capture.reading import labelled, last_graph, named, op


def traced(run: Callable[[], Tensor]) -> Graph:
    with gradscope.trace() as t:
        run().backward()
    return last_graph(t)


def traits(graph: Graph, name: str) -> Traits:
    return graph.traits[op(graph, name).id]


def mask(units: Tensor) -> int:
    """Bit ``i`` for unit ``i``."""
    return sum(1 << i for i, dead in enumerate(units.tolist()) if dead)


@pytest.mark.parametrize(
    ("activation", "name"),
    [
        (torch.relu, "Relu"),
        (lambda x: x.clamp(min=0), "Clamp"),
        (lambda x: x.clamp_min(0), "ClampMin"),
        (F.relu6, "Hardtanh"),
        (lambda x: F.threshold(x, 0.0, 0.0), "Threshold"),
    ],
)
def test_units_that_no_sample_switches_on(activation: Any, name: str) -> None:
    torch.manual_seed(0)
    layer = nn.Linear(6, 70)
    nn.init.uniform_(layer.bias, -3.0, 1.0)
    x = torch.randn(20, 6)
    graph = traced(lambda: activation(layer(x)).sum())
    (node,) = [n for n in graph.traits if graph.structure.nodes[n].op.startswith(name)]
    found = graph.traits[node]
    dead = (layer(x) <= 0).all(0)
    assert 0 < int(dead.sum()) < 70
    assert (found.units, found.samples, found.dead) == (70, 20, mask(dead))


@pytest.mark.parametrize("shape", [(4, 3, 9), (2, 3, 5, 7)])
def test_channels_of_a_convolution_and_features_of_a_linear_layer(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    conv = (nn.Conv1d if len(shape) == 3 else nn.Conv2d)(3, 6, 3)
    norm = (nn.BatchNorm1d if len(shape) == 3 else nn.BatchNorm2d)(6)
    nn.init.uniform_(norm.bias, -6.0, 2.0)
    x = torch.randn(shape)
    graph = traced(lambda: torch.relu(norm(conv(x))).sum())
    out = norm(conv(x))
    found = traits(graph, "Relu")
    assert found.units == 6
    assert found.dead == mask((out <= 0).transpose(0, 1).flatten(1).all(1))
    linear = nn.Linear(shape[-1], 5)
    found = traits(traced(lambda: torch.relu(linear(x)).sum()), "Relu")
    assert found.units == 5
    assert found.dead == mask((linear(x) <= 0).flatten(0, -2).all(0))


def test_flat_parts_of_sigmoid_and_tanh() -> None:
    torch.manual_seed(0)
    x = torch.randn(30, 8, requires_grad=True)
    graph = traced(lambda: (torch.sigmoid(x * 5) + torch.tanh(x * 2)).sum())
    slope = torch.sigmoid(x * 5) * (1 - torch.sigmoid(x * 5))
    expected = float((slope < 0.01).float().mean())
    assert traits(graph, "Sigmoid").saturated_fraction == pytest.approx(expected)
    expected = float((torch.tanh(x * 2).abs() > 0.99).float().mean())
    assert traits(graph, "Tanh").saturated_fraction == pytest.approx(expected)


def test_every_gate_of_a_cell_is_asked() -> None:
    cell = nn.LSTMCell(3, 4)
    state = (torch.zeros(2, 4), torch.zeros(2, 4))
    graph = traced(lambda: cell(torch.randn(2, 3) * 100, state)[0].sum())
    gates = [*named(graph, "Sigmoid"), *named(graph, "Tanh")]
    assert len(gates) == 5
    assert all(graph.traits[gate.id].saturated_fraction is not None for gate in gates)


def test_rows_of_a_gradient() -> None:
    torch.manual_seed(0)
    same, other = nn.Linear(5, 4), nn.Linear(4, 3)
    for p in [*same.parameters(), *other.parameters()]:
        nn.init.constant_(p, 0.1)
    x, y = torch.randn(9, 5), torch.randint(0, 3, (9,))
    graph = traced(lambda: F.cross_entropy(other(torch.tanh(same(x))), y))
    assert graph.traits[labelled(graph, "same.weight").id].equal_rows is True
    assert graph.traits[labelled(graph, "other.weight").id].equal_rows is False
    assert same.weight.grad is not None
    torch.testing.assert_close(same.weight.grad, same.weight.grad[:1].expand(4, 5))
    asked = {graph.structure.nodes[i].label for i, t in graph.traits.items() if t.equal_rows}
    assert asked == {"same.weight"}


def test_a_half_precision_gradient_at_the_smallest_there_is() -> None:
    x = torch.ones(100, requires_grad=True)
    weights = torch.ones(100)
    weights[:20] = 2.0**-24
    weights[20:60] = 0.0
    graph = traced(lambda: (x.half() * weights.half()).sum())
    found = graph.traits[op(graph, "ToCopy").id]
    assert found.tiny_fraction == pytest.approx(20 / 60)


def test_modes_and_reductions() -> None:
    net = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3))
    x, y = torch.randn(8, 4), torch.randint(0, 3, (8,))
    assert traits(traced(lambda: net(x).sum()), "NativeBatchNorm").training is True
    net.eval()
    graph = traced(lambda: F.cross_entropy(net(x), y, reduction="sum"))
    assert traits(graph, "NativeBatchNorm").training is False
    assert traits(graph, "NllLoss").reduction == "sum"
    graph = traced(lambda: F.mse_loss(net(x), torch.zeros(8, 3)))
    assert traits(graph, "MseLoss").reduction == "mean"


def test_means_of_nothing() -> None:
    net = nn.Linear(4, 3)
    x = torch.randn(8, 4)
    graph = traced(lambda: F.cross_entropy(net(x), torch.full((8,), -100)))
    assert traits(graph, "NllLoss").empty is True
    graph = traced(lambda: net(x)[torch.zeros(8, dtype=torch.bool)].mean())
    assert traits(graph, "Mean").empty is True
    graph = traced(lambda: F.cross_entropy(net(x), torch.tensor([0, 1] + [-100] * 6)))
    assert traits(graph, "NllLoss").empty is None


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda p, y: (p - y).sum(), "Sub"),
        (lambda p, y: (y - p).sum(), "Sub"),
        (lambda p, y: (p * y).sum(), "Mul"),
        (lambda p, y: torch.sub(p, y).sum(), "Sub"),
        (lambda p, y: F.mse_loss(p, target=y), "MseLoss"),
        (lambda p, y: F.l1_loss(p, y), "Abs"),
        (lambda p, y: nn.SmoothL1Loss()(p, y), "SmoothL1Loss"),
    ],
)
def test_shapes_that_were_broadcast_against_each_other(
    call: Callable[[Tensor, Tensor], Tensor], name: str
) -> None:
    p, y = torch.randn(6, 1, requires_grad=True), torch.randn(6)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        graph = traced(lambda: call(p, y))
    assert set(op(graph, name).operands) == {(6, 1), (6,)}


def test_other_shapes_are_not_told() -> None:
    w = torch.randn(6, 3, requires_grad=True)
    graph = traced(lambda: ((w + torch.ones(3)) * torch.ones(6, 1) - w * 2 - w.mean()).sum())
    assert all(node.operands == () for node in graph.structure.nodes)


def test_the_users_saved_tensor_hooks_do_not_run_for_it() -> None:
    unpacked = []

    def unpack(packed: Tensor) -> Tensor:
        unpacked.append(packed)
        return packed

    layer = nn.Linear(4, 4)

    def run() -> Tensor:
        with torch.autograd.graph.saved_tensors_hooks(lambda t: t, unpack):
            return torch.relu(layer(torch.randn(5, 4))).sum()

    run().backward()
    expected = len(unpacked)
    graph = traced(run)
    assert len(unpacked) == 2 * expected
    assert named(graph, "Relu")
    assert op(graph, "Relu").id not in graph.traits
    traced(
        lambda: checkpoint(
            lambda x: torch.relu(layer(x)).sum(), torch.randn(5, 4), use_reentrant=False
        )
    )


def test_a_result_that_was_changed_in_place_is_left_out() -> None:
    x = torch.randn(4, 3, requires_grad=True)
    with gradscope.trace() as t:
        h = torch.relu(x)
        h += 1
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            h.sum().backward()
    assert t.trace.steps[0].error is not None
    graph = t.trace.steps[0].graph
    assert graph is not None
    assert op(graph, "Relu").id not in graph.traits


def test_graphs_that_are_not_kept_are_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(
        "gradscope.capture.steps.read_traits", lambda raw, nodes: asked.append(len(nodes))
    )
    layer = nn.Linear(3, 3)
    tracer = Tracer(CaptureOptions(steps=(2,)), target="test")
    tracer.start()
    try:
        for _ in range(5):
            torch.relu(layer(torch.randn(4, 3))).sum().backward()
    finally:
        trace = tracer.stop()
    assert len(asked) == 1
    assert trace.steps[2].graph is not None


def test_nothing_of_the_users_is_kept_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    own: list[torch.UntypedStorage] = []  # held, so that no address is given out again
    theirs: list[torch.UntypedStorage] = []
    ask = RawTraits.ask

    def spy(self: RawTraits, question: Any, nodes: list[int], tensors: list[Tensor]) -> None:
        ask(self, question, nodes, tensors)
        theirs.extend(t.untyped_storage() for t in tensors)
        own.append(self._answers[-1].rows.untyped_storage())

    monkeypatch.setattr(RawTraits, "ask", spy)
    layer = nn.Linear(7, 7)
    nn.init.ones_(layer.weight)
    traced(lambda: torch.sigmoid(torch.relu(layer(torch.ones(7)))).sum())
    traced(lambda: torch.tanh(layer(torch.ones(2, 7)).half()).sum())
    assert len(own) >= 4
    assert not {s.data_ptr() for s in own} & {s.data_ptr() for s in theirs}


def test_numbers_are_plain() -> None:
    graph = traced(lambda: torch.tanh(torch.randn(3, 4, requires_grad=True)).sum())
    share = traits(graph, "Tanh").saturated_fraction
    assert type(share) is float
    assert math.isfinite(share)


class Relu(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.clamp(min=0)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        return grads[0]


def test_a_function_of_the_users_with_a_known_name_is_not_asked() -> None:
    x = torch.randn(3, 4, requires_grad=True)
    graph = traced(lambda: Relu.apply(x).sum())  # type: ignore[no-untyped-call]
    assert op(graph, "Relu").id not in graph.traits
