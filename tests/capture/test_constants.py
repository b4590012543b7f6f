"""Numbers that ops keep for their backward: read where they are single, and never from a tensor."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import gradscope
from gradscope.model.graph import Graph


def constants(graph: Graph) -> dict[str, dict[str, float]]:
    nodes = graph.structure.nodes
    return {nodes[i].op: dict(found) for i, found in graph.constants.items()}


def test_the_numbers_of_a_scalar_script_are_known() -> None:
    x = torch.tensor(2.0, requires_grad=True)
    c = torch.tensor(5.0)
    with gradscope.trace() as t:
        y = x**3 * 4 / c
        y.backward()
    found = constants(t.trace.graphs[0][1])
    assert found["PowBackward0"] == {"exponent": 3}
    assert found["MulBackward0"] == {"other": 4}
    assert found["DivBackward0"]["other"] == 5


def test_the_input_of_a_layer_with_one_weight() -> None:
    layer = nn.Linear(1, 1)
    with gradscope.trace() as t:
        F.mse_loss(layer(torch.tensor([[2.0]])), torch.tensor([[7.0]])).backward()
    found = constants(t.trace.graphs[0][1])
    assert found["AddmmBackward0"]["mat1"] == 2
    assert found["MseLossBackward0"]["target"] == 7


def test_of_tensors_only_plain_numbers_are_read() -> None:
    x = torch.ones(3, requires_grad=True)
    with gradscope.trace() as t:
        (x**2 * torch.tensor(5.0)).sum().backward()
    found = constants(t.trace.graphs[0][1])
    assert found == {"PowBackward0": {"exponent": 2}}


def test_saved_tensor_hooks_of_the_user_are_not_run() -> None:
    seen: list[str] = []

    def pack(tensor: Tensor) -> Tensor:
        return tensor

    def unpack(tensor: Tensor) -> Tensor:
        seen.append("unpack")
        return tensor

    def backward(x: Tensor) -> None:
        with torch.autograd.graph.saved_tensors_hooks(pack, unpack):
            y = x * torch.tensor(5.0)
        y.backward()

    x = torch.tensor(2.0, requires_grad=True)
    backward(x)
    alone = len(seen)
    with gradscope.trace():
        backward(x)
    assert len(seen) == 2 * alone
