"""What a training loop calls besides backward and step, in order and in bounds."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_, clip_grad_value_
from torch.optim import lr_scheduler

import gradscope
from gradscope.model.events import Call
from gradscope.session import Session

STEPS = 3


def _net() -> tuple[nn.Linear, torch.optim.Optimizer]:
    torch.manual_seed(0)
    net = nn.Linear(3, 2)
    return net, torch.optim.SGD(net.parameters(), lr=0.01)


def _loss(net: nn.Linear) -> Tensor:
    return net(torch.ones(1, 3)).pow(2).sum()  # type: ignore[no-any-return]


def _of(session: Session, kind: str) -> list[Call]:
    assert not session.trace.dropped
    return [call for call in session.trace.calls if call.kind == kind]


def test_the_order_of_a_loop() -> None:
    net, optimizer = _net()
    schedule = lr_scheduler.StepLR(optimizer, 10)
    with gradscope.trace() as t:
        for _ in range(STEPS):
            optimizer.zero_grad()
            net.zero_grad()
            _loss(net).backward()
            clip_grad_norm_(net.parameters(), 1.0)
            optimizer.step()
            schedule.step()
    kinds = ["zero_grad", "zero_grad", "clip", "scheduler_step"]
    assert [c.kind for c in t.trace.calls] == kinds * STEPS
    assert [c.after_step for c in t.trace.calls][:8] == [-1, -1, 0, 0, 0, 0, 1, 1]
    assert [c.after_update for c in t.trace.calls][:8] == [-1, -1, -1, 0, 0, 0, 0, 1]
    assert [c.label for c in t.trace.calls][:4] == ["SGD", "Linear", "SGD", "SGD"]
    assert [c.source.text for c in t.trace.calls if c.source][:4] == [
        "optimizer.zero_grad()",
        "net.zero_grad()",
        "clip_grad_norm_(net.parameters(), 1.0)",
        "schedule.step()",
    ]


@pytest.mark.parametrize(
    "clip",
    [
        lambda net: clip_grad_norm_(net.parameters(), 0.5),  # imported before the trace
        lambda net: nn.utils.clip_grad_norm_(list(net.parameters()), max_norm=0.5),
        lambda net: nn.utils.clip_grads_with_norm_(
            net.parameters(), 0.5, nn.utils.get_total_norm([p.grad for p in net.parameters()])
        ),
    ],
)
def test_clipping_by_norm(clip: Callable[[nn.Linear], object]) -> None:
    net, _ = _net()
    with gradscope.trace() as t:
        _loss(net).backward()
        before = math.hypot(*(float(p.grad.norm()) for p in net.parameters() if p.grad is not None))
        clip(net)
    (call,) = _of(t, "clip")
    assert call.value == pytest.approx(before, rel=1e-5)
    assert call.limit == 0.5
    after = math.hypot(*(float(p.grad.norm()) for p in net.parameters() if p.grad is not None))
    assert after == pytest.approx(0.5, rel=1e-4)


def test_clipping_nothing_and_clipping_nan() -> None:
    net, _ = _net()
    with gradscope.trace() as t:
        clip_grad_norm_(net.parameters(), 1.0)
        (_loss(net) * math.nan).backward()
        clip_grad_norm_(net.parameters(), 1.0)
    empty, broken = _of(t, "clip")
    assert empty.value == 0.0
    assert math.isnan(broken.value)


def test_clipping_by_value() -> None:
    net, _ = _net()
    with gradscope.trace() as t:
        _loss(net).backward()
        clip_grad_value_(net.parameters(), 0.25)
        clip_grad_norm_(net.parameters(), 1.0)
    (call,) = _of(t, "clip_value")
    assert (math.isnan(call.value), call.limit) == (True, 0.25)
    assert len(_of(t, "clip")) == 1


def test_a_scaler_that_skips() -> None:
    net, optimizer = _net()
    scaler = torch.amp.GradScaler("cpu", init_scale=4.0)
    with gradscope.trace() as t:
        for i in range(STEPS):
            optimizer.zero_grad()
            scaler.scale(_loss(net) * (math.inf if i == 1 else 1.0)).backward()
            if i == 2:
                scaler.unscale_(optimizer)
            scaler.step(optimizer)
            scaler.update()
    assert [c.value for c in _of(t, "scaler_step")] == [1.0, 0.0, 1.0]
    (unscale,) = _of(t, "unscale")
    assert (unscale.after_step, unscale.label) == (2, "SGD")
    assert [f.steps for f in t.trace.optimizers] == [2]


def test_a_scaler_that_is_off_does_nothing() -> None:
    net, optimizer = _net()
    scaler = torch.amp.GradScaler("cpu", enabled=False)
    with gradscope.trace() as t:
        scaler.scale(_loss(net)).backward()
        scaler.unscale_(optimizer)
        scaler.step(optimizer)
    assert t.trace.calls == ()
    assert len(t.trace.updates) == 1


def test_schedulers_in_all_their_forms() -> None:
    _, optimizer = _net()
    optimizer.step()
    with gradscope.trace() as t:
        plain = lr_scheduler.LambdaLR(optimizer, lambda _: 1.0)
        chain = lr_scheduler.SequentialLR(
            optimizer,
            [lr_scheduler.LinearLR(optimizer), lr_scheduler.StepLR(optimizer, 2)],
            milestones=[1],
        )
        plateau = lr_scheduler.ReduceLROnPlateau(optimizer)
        optimizer.step()
        plain.step()
        chain.step()
        chain.step()
        plateau.step(1.0)
    calls = _of(t, "scheduler_step")
    assert [c.source.text for c in calls if c.source] == [
        "plain.step()",
        "chain.step()",
        "chain.step()",
        "plateau.step(1.0)",
    ]


def test_equal_calls_in_a_row_are_one() -> None:
    net, optimizer = _net()
    with gradscope.trace() as t:
        for _ in range(5):
            optimizer.zero_grad()
        _loss(net).backward()
        for _ in range(2):
            optimizer.zero_grad()
    assert [c.count for c in t.trace.calls] == [5, 2]


def test_a_long_run_keeps_the_first_and_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gradscope.capture.calls.KEPT", 4)
    net, optimizer = _net()
    with gradscope.trace() as t:
        for _ in range(20):
            optimizer.zero_grad()
            _loss(net).backward()
            clip_grad_norm_(net.parameters(), 1.0)
            optimizer.step()
    for kind, first in (("zero_grad", -1), ("clip", 0)):
        steps = [c.after_step for c in _of(t, kind)]
        assert steps == [*range(first, first + 4), *range(first + 16, first + 20)]


def test_lines_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gradscope.capture.calls.MAX_LINES", 1)
    net, optimizer = _net()
    with gradscope.trace() as t:
        optimizer.zero_grad()
        net.zero_grad()
    assert len(t.trace.calls) == 1
    assert t.trace.dropped == {"calls of the training loop beyond the limit": 1}


def test_a_generator_of_parameters_is_not_used_up() -> None:
    net, _ = _net()
    with gradscope.trace() as t:
        _loss(net).backward()
        nn.utils.clip_grads_with_norm_(iter([net.weight]), 1e-3, torch.tensor(1.0))
    assert net.weight.grad is not None
    assert float(net.weight.grad.norm()) < 1e-2
    assert [c.value for c in _of(t, "clip")] == [1.0]
