"""Values inside composite calls, read from what autograd saved."""

from __future__ import annotations

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

import gradscope
from gradscope.model.graph import Graph


def _graph(session: gradscope.Session) -> Graph:
    graph = session.trace.steps[0].graph
    assert graph is not None
    return graph


def test_the_gates_inside_an_lstm_cell_are_known() -> None:
    torch.manual_seed(0)
    cell = nn.LSTMCell(3, 4)
    x, h, c = torch.randn(2, 3), torch.randn(2, 4), torch.randn(2, 4)
    with gradscope.trace() as t:
        out, _ = cell(x, (h, c))
        out.sum().backward()
    graph = _graph(t)
    gates = cell.weight_ih @ x.T + cell.weight_hh @ h.T
    gates = (gates.T + cell.bias_ih + cell.bias_hh).detach()
    expected = sorted(
        float(g.sigmoid().norm()) for g in (gates[:, :4], gates[:, 4:8], gates[:, 12:])
    )
    seen = []
    for node in graph.structure.nodes:
        value = graph.value(node.id)
        if node.op == "SigmoidBackward0":
            assert value is not None
            assert value.l2_norm is not None
            seen.append(value.l2_norm)
    torch.testing.assert_close(sorted(seen), expected)


def test_cross_entropy_shows_its_log_probabilities() -> None:
    torch.manual_seed(0)
    logits = torch.randn(5, 3, requires_grad=True)
    with gradscope.trace() as t:
        nn.functional.cross_entropy(logits, torch.tensor([0, 1, 2, 0, 1])).backward()
    graph = _graph(t)
    (node,) = [n for n in graph.structure.nodes if n.op == "LogSoftmaxBackward0"]
    value = graph.value(node.id)
    assert value is not None
    torch.testing.assert_close(value.l2_norm, float(logits.detach().log_softmax(1).norm()))


def test_the_users_saved_tensor_hooks_do_not_run_for_it() -> None:
    ran = []

    def unpack(packed: torch.Tensor) -> torch.Tensor:
        ran.append(packed.shape)
        return packed

    def step() -> int:
        ran.clear()
        x = torch.randn(4, 3, requires_grad=True)
        with torch.autograd.graph.saved_tensors_hooks(lambda tensor: tensor, unpack):
            loss = nn.functional.cross_entropy(x, torch.zeros(4, dtype=torch.long))
        loss.backward()
        return len(ran)

    plain = step()
    with gradscope.trace():
        traced = step()
    assert plain == traced > 0


def test_a_checkpoint_is_not_computed_once_more() -> None:
    layer, calls = nn.Linear(3, 3), []

    def part(x: torch.Tensor) -> torch.Tensor:
        calls.append(1)
        return nn.functional.cross_entropy(layer(x), torch.zeros(4, dtype=torch.long))

    with gradscope.trace():
        loss: torch.Tensor = checkpoint(part, torch.randn(4, 3), use_reentrant=False)
        loss.backward()
    assert len(calls) == 2


def test_weights_are_measured_as_they_were_in_the_forward() -> None:
    net = nn.Linear(2, 1)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.5)
    before = float(net.weight.detach().norm())
    with gradscope.trace() as t:
        net(torch.ones(3, 2)).sum().backward()
        optimizer.step()
    graph = _graph(t)
    (node,) = [n for n in graph.structure.nodes if n.op == "TBackward0"]
    value = graph.value(node.id)
    assert value is not None
    torch.testing.assert_close(value.l2_norm, before)
    assert not t.trace.dropped
