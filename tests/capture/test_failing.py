"""What the trace says of a backward that raised: the node, its line, who changed or freed what."""

from __future__ import annotations

from contextlib import nullcontext

import pytest
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

import gradscope
from gradscope.model.events import Failure
from gradscope.session import Session

LEVELS = ["ops", "modules", "params"]


def failure_of(session: Session) -> Failure:
    trace = session.trace
    assert not trace.dropped, dict(trace.dropped)
    failed = [step for step in trace.steps if step.error]
    assert len(failed) == 1
    assert failed[0].failure is not None
    return failed[0].failure


def line_text(failure: Failure) -> str:
    assert failure.source is not None
    return failure.source.text


def test_the_op_that_saved_and_the_line_that_changed() -> None:
    x = torch.randn(3, requires_grad=True)
    with gradscope.trace() as t:
        before = torch.exp(x)
        h = torch.sigmoid(before)
        other = h * 1.0
        other.add_(1)
        h.mul_(2)
        h.add_(1)
        with pytest.raises(RuntimeError, match="inplace"):
            (h + other).sum().backward()
    failure = failure_of(t)
    assert failure.op == "SigmoidBackward0"
    assert line_text(failure) == "h = torch.sigmoid(before)"
    assert failure.change is not None
    assert failure.change.source is not None
    assert failure.change.source.text == "h.mul_(2)"
    assert (failure.change.version, failure.expected, failure.found) == (1, 0, 2)
    assert (failure.variable, failure.change.variable) == ("h", "h")
    (step,) = t.trace.steps
    assert step.graph is not None
    assert step.graph.structure.nodes[failure.node].op == failure.op


def test_a_change_of_a_part_counts_for_the_whole() -> None:
    w = torch.randn(4, requires_grad=True)
    with gradscope.trace() as t:
        h = w.exp()
        h[1:3] = 0.0
        with pytest.raises(RuntimeError, match="inplace"):
            h.sum().backward()
    change = failure_of(t).change
    assert change is not None
    assert (change.op, change.variable, change.shape) == ("setitem", "h", (4,))


def test_a_saved_tensor_that_needs_no_gradient() -> None:
    w = torch.randn(4, requires_grad=True)
    mask = torch.ones(4)
    with gradscope.trace() as t:
        loss = (w * mask).sum()
        mask.zero_()
        with pytest.raises(RuntimeError, match="inplace"):
            loss.backward()
    failure = failure_of(t)
    assert failure.op == "MulBackward0"
    assert failure.change is not None
    assert failure.change.variable == "mask"


@pytest.mark.parametrize("level", LEVELS)
def test_an_update_between_forward_and_backward(level: str) -> None:
    layer = nn.Linear(3, 3)
    head = nn.Linear(3, 1)
    sgd = torch.optim.SGD([*layer.parameters(), *head.parameters()], lr=0.1)
    with gradscope.trace(level=level) as t:
        loss = head(layer(torch.randn(2, 3))).sum()
        loss.backward(retain_graph=True)
        sgd.step()
        with pytest.raises(RuntimeError, match="inplace"):
            loss.backward()
    failure = failure_of(t)
    assert failure.op == "AddmmBackward0"
    assert failure.change is None
    assert failure.parameter is not None
    assert t.trace.parameters[failure.parameter].name == "head.weight"


class Double(torch.autograd.Function):
    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x * 2

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, *grads: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors  # type: ignore[attr-defined]
        result: Tensor = grads[0] * x
        return result


def test_what_a_custom_function_has_saved() -> None:
    x = torch.randn(3, requires_grad=True)
    with gradscope.trace() as t:
        h = x.cos()
        y = Double.apply(h)  # type: ignore[no-untyped-call]
        h.neg_()
        with pytest.raises(RuntimeError, match="inplace"):
            y.sum().backward()
    failure = failure_of(t)
    assert failure.op == "DoubleBackward"
    assert failure.change is not None
    assert failure.change.op == "neg_"


def test_hooks_of_saved_tensors_do_not_run_for_it() -> None:
    unpacked = []

    def unpack(packed: Tensor) -> Tensor:
        unpacked.append(1)
        return packed

    x = torch.randn(3, requires_grad=True)
    with gradscope.trace() as t:
        with torch.autograd.graph.saved_tensors_hooks(lambda s: s, unpack):
            y = x.sin()
        z = torch.sigmoid(x) + y
        z.sum().backward(retain_graph=True)
        runs = len(unpacked)
        kept = torch.exp(z)
        kept.add_(1)
        with pytest.raises(RuntimeError, match="inplace"):
            kept.sum().backward()
    assert len(unpacked) == runs
    assert failure_of(t).op == "ExpBackward0"


@pytest.mark.parametrize("level", LEVELS)
def test_a_state_carried_over(level: str) -> None:
    cell, head = nn.RNNCell(2, 3), nn.Linear(3, 1)
    with gradscope.trace(level=level) as t:
        h = torch.zeros(1, 3)
        for step in range(2):
            h = cell(torch.randn(1, 2), h)
            with pytest.raises(RuntimeError, match="second time") if step else nullcontext():
                head(h).sum().backward()
    failure = failure_of(t)
    assert (failure.freed_by, failure.side_by_side, failure.op) == (0, False, "TanhBackward0")
    if level != "params":
        assert (failure.variable, line_text(failure)) == (
            "h",
            "h = cell(torch.randn(1, 2), h)",
        )
        assert failure.carried is not None
        assert failure.rebuilt


@pytest.mark.parametrize("pair", [False, True])
def test_of_several_results_the_one_that_goes_in_again_is_carried(pair: bool) -> None:
    rnn = nn.LSTM(2, 3) if pair else nn.GRU(2, 3)
    with gradscope.trace() as t:
        zeros = torch.zeros(1, 1, 3)
        state = (zeros, zeros) if pair else zeros
        for step in range(2):
            out, state = rnn(torch.randn(4, 1, 2), state)
            with pytest.raises(RuntimeError, match="second time") if step else nullcontext():
                out.sum().backward()
    assert failure_of(t).variable == "state"


def carry(detached: bool) -> Failure:
    """An update between two backwards, the first of which keeps its graph."""
    cell, head = nn.RNNCell(2, 3), nn.Linear(3, 1)
    sgd = torch.optim.SGD([*cell.parameters(), *head.parameters()], lr=0.1)
    with gradscope.trace() as t:
        h = torch.zeros(1, 3)
        for last in (False, False, True):
            h = cell(torch.randn(1, 2), h.detach() if detached else h)
            loss = head(h).sum()
            if last and detached:
                loss.backward(retain_graph=True)
                sgd.step()
            with pytest.raises(RuntimeError, match="inplace") if last else nullcontext():
                loss.backward(retain_graph=True)
            sgd.step()
    return failure_of(t)


def test_a_state_that_leads_behind_an_update() -> None:
    failure = carry(detached=False)
    assert failure.variable == "h"
    assert failure.carried is not None
    assert failure.carried.text == "h = cell(torch.randn(1, 2), h.detach() if detached else h)"


def test_a_loss_that_is_run_backward_again_behind_an_update() -> None:
    assert carry(detached=True).carried is None


def test_the_graph_of_the_failed_step_knows_the_lines_of_freed_nodes() -> None:
    x = torch.randn(3, requires_grad=True)
    with gradscope.trace() as t:
        h = x.exp()
        h.sum().backward()
        with pytest.raises(RuntimeError, match="second time"):
            (h * 2).sum().backward()
    graph = t.trace.steps[1].graph
    assert graph is not None
    lines = {node.op: node.source.text for node in graph.structure.nodes if node.source}
    assert lines["ExpBackward0"] == "h = x.exp()"


def test_two_losses_of_one_forward_are_side_by_side() -> None:
    w = torch.randn(3, requires_grad=True)
    with gradscope.trace() as t:
        h = w.exp()
        one, two = h.sum(), (h * w).sum()
        one.backward()
        with pytest.raises(RuntimeError, match="second time"):
            two.backward()
    failure = failure_of(t)
    assert (failure.side_by_side, failure.freed_by, failure.variable) == (True, 0, "h")


def test_one_loss_twice() -> None:
    w = torch.randn(3, requires_grad=True)
    with gradscope.trace() as t:
        loss = (w * w).sum()
        loss.backward()
        with pytest.raises(RuntimeError, match="second time"):
            loss.backward()
    failure = failure_of(t)
    assert (failure.side_by_side, failure.carried, failure.op) == (True, None, "MulBackward0")


def test_other_errors_have_no_such_explanation() -> None:
    x = torch.randn(3, requires_grad=True)
    y = x * 2
    y.register_hook(lambda g: g[:1])
    with gradscope.trace() as t, pytest.raises(RuntimeError):
        y.sum().backward()
    assert t.trace.steps[0].error
    assert t.trace.steps[0].failure is None


def test_when_a_graph_was_made() -> None:
    x = torch.randn(3, requires_grad=True)
    with gradscope.trace() as t:
        first = (x * 2).sum()
        second = (x * 3).sum()
        second.backward()
        first.backward(retain_graph=True)
        (first + 1).backward()
        leaf = torch.zeros((), requires_grad=True)
        leaf.backward()
    second_step, first_step, both, alone = t.trace.steps
    assert first_step.made is not None
    assert second_step.made is not None
    assert both.made is not None
    assert first_step.made[1] < second_step.made[0]
    assert (first_step.root_made, both.made[0]) == (first_step.made[1], first_step.made[0])
    assert both.root_made == both.made[1]
    assert (alone.made, alone.root_made) == (None, None)


def test_reads_of_grad_where_none_will_be() -> None:
    x = torch.randn(3, requires_grad=True)
    with gradscope.trace() as t:
        h = x * 2
        kept = x * 3
        kept.retain_grad()
        (h + kept).sum().backward()
        with pytest.warns(UserWarning, match="not a leaf"):
            assert h.grad is None
        assert kept.grad is not None
        assert x.grad is not None
    (call,) = (c for c in t.trace.calls if c.kind == "nonleaf_grad")
    assert (call.label, call.after_step) == ("h", 0)
    assert call.source is not None
    assert call.source.text == "assert h.grad is None"


def test_a_reentrant_checkpoint_that_loses_its_parameters() -> None:
    layer, x = nn.Linear(3, 3), torch.randn(2, 3)
    with gradscope.trace() as t:
        with pytest.warns(UserWarning, match="requires_grad=True"):
            checkpoint(layer, x, use_reentrant=True)
        checkpoint(layer, x.clone().requires_grad_(), use_reentrant=True)
        checkpoint(layer, x, use_reentrant=False)
        with torch.no_grad(), pytest.warns(UserWarning, match="requires_grad=True"):
            checkpoint(layer, x, use_reentrant=True)
    (call,) = (c for c in t.trace.calls if c.kind == "checkpoint_without_grad")
    assert call.source is not None
    assert call.source.text == "checkpoint(layer, x, use_reentrant=True)"
