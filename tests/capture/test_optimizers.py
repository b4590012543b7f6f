"""Optimizers as facts of the run, whoever made them, and what their updates tell."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import gradscope
from gradscope.session import Session
from tests.capture.reading import parameter


class _Own(torch.optim.Optimizer):
    """As third parties write them: derived from the base class."""

    def __init__(self, params: Any, lr: float) -> None:
        super().__init__(params, {"lr": lr})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        for p in self.param_groups[0]["params"]:
            p.sub_(p.grad, alpha=self.param_groups[0]["lr"])


class _OwnSGD(torch.optim.SGD):
    def __init__(self, params: Any) -> None:
        super().__init__(params, lr=0.25)


def test_every_optimizer_made_is_known_at_its_line() -> None:
    net = nn.Linear(2, 1)
    loose = torch.ones(3, requires_grad=True)
    with gradscope.trace() as t:
        net(torch.ones(1, 2)).sum().backward()
        optimizers = [
            torch.optim.SGD(net.parameters(), lr=0.1),
            torch.optim.LBFGS([loose]),
            _Own([net.weight], 0.1),
            _OwnSGD([net.bias]),
            torch.optim.SGD([loose], lr=0.1),
        ]
    facts = t.trace.optimizers
    assert [f.label for f in facts] == ["SGD", "LBFGS", "_Own", "_OwnSGD", "SGD#2"]
    assert len(optimizers) == len(facts)
    assert [f.source.expression.partition("(")[0] for f in facts if f.source] == [
        "torch.optim.SGD",
        "torch.optim.LBFGS",
        "_Own",
        "_OwnSGD",
        "torch.optim.SGD",
    ]
    assert {f.after_step for f in facts} == {0}
    names = [[t.trace.parameters[i].name for i in f.parameters] for f in facts]
    assert names == [
        ["net.weight", "net.bias"],
        ["loose"],
        ["net.weight"],
        ["net.bias"],
        ["loose"],
    ]
    assert {f.steps for f in facts} == {0}


def test_one_that_was_made_before_is_known_by_its_steps() -> None:
    net = nn.Linear(2, 1)
    optimizer = _Own(net.parameters(), 0.5)
    with gradscope.trace() as t:
        for _ in range(3):
            net(torch.ones(1, 2)).sum().backward()
            optimizer.step()
    (facts,) = t.trace.optimizers
    assert (facts.label, facts.source, facts.after_step, facts.steps) == ("_Own", None, -1, 3)
    assert [u.lr for u in t.trace.updates] == [0.5] * 3


def test_parameters_that_never_got_a_gradient_and_are_gone_at_the_end() -> None:
    def train() -> None:
        old = nn.Linear(2, 1)
        optimizer = torch.optim.SGD(old.parameters(), lr=0.1)
        new = nn.Linear(2, 1)
        for _ in range(2):
            new(torch.ones(1, 2)).sum().backward()
        optimizer.zero_grad()

    with gradscope.trace() as t:
        train()
    (facts,) = t.trace.optimizers
    held = [t.trace.parameters[i] for i in facts.parameters]
    assert [p.shape for p in held] == [(1, 2), (1,)]
    assert not any(len(p.gradients) for p in held)
    assert [p.name for p in t.trace.parameters if len(p.gradients)] == ["new.bias", "new.weight"]


@pytest.mark.parametrize("rate", [0.25, torch.tensor(0.25)])
def test_learning_rate_and_direction(rate: float | Tensor) -> None:
    net = nn.Linear(2, 1)
    up = torch.optim.Adam([net.weight], lr=rate, maximize=True, foreach=False)
    down = torch.optim.SGD([net.bias], lr=0.5)
    with gradscope.trace() as t:
        net(torch.ones(1, 2)).sum().backward()
        up.step()
        down.step()
    assert [(u.lr, u.maximize) for u in t.trace.updates] == [(0.25, True), (0.5, False)]


def _starved(clear: str, steps: int = 3) -> Session:
    net = nn.Linear(2, 1)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    with gradscope.trace() as t:
        for _ in range(steps):
            net(torch.ones(1, 2)).sum().backward()
            if clear == "hand":
                net.weight.grad = None
                net.bias.grad.zero_()  # type: ignore[union-attr]
            elif clear == "module":
                net.zero_grad()
            elif clear:
                optimizer.zero_grad(set_to_none=clear == "none")
            optimizer.step()
            optimizer.zero_grad()
    return t


@pytest.mark.parametrize("clear", ["none", "zero", "module", "hand"])
def test_contributions_that_are_cleared_before_the_step_starve_it(clear: str) -> None:
    t = _starved(clear)
    assert [u.starved for u in t.trace.updates] == [2, 2, 2]
    history = parameter(t.trace, "net.bias").updates
    if clear in ("zero", "hand"):
        assert (list(history.fresh), list(history.lost)) == ([0] * 3, [1] * 3)


def test_a_step_that_gets_its_gradients_is_not_starved() -> None:
    t = _starved("")
    assert [u.starved for u in t.trace.updates] == [0, 0, 0]
    assert list(parameter(t.trace, "net.bias").updates.lost) == [0] * 3


def test_what_was_cleared_before_another_backward_is_lost_but_starves_nothing() -> None:
    net = nn.Linear(2, 1)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with gradscope.trace() as t:
        for _ in range(3):
            net(torch.ones(1, 2)).sum().backward()  # a probe
            optimizer.zero_grad()
            net(torch.ones(1, 2)).sum().backward()
            optimizer.step()
            optimizer.zero_grad()
    assert [u.starved for u in t.trace.updates] == [0, 0, 0]
    assert list(parameter(t.trace, "net.bias").updates.lost) == [1] * 3


def test_sizes_of_updates_by_hand() -> None:
    w = torch.tensor([3.0, -4.0], requires_grad=True)
    with gradscope.trace() as t:
        for _ in range(2):
            (w * torch.tensor([1.0, 2.0])).sum().backward()
            with torch.no_grad():
                w -= 0.5 * w.grad  # type: ignore[operator]
            w.grad = None
    history = parameter(t.trace, "w").updates
    assert history.value_rms[0] == pytest.approx(math.sqrt((9 + 16) / 2))
    assert history.update_rms[0] == pytest.approx(math.sqrt((0.25 + 1) / 2))
    assert history.value_rms[1] == pytest.approx(math.sqrt((2.5**2 + 25) / 2))
    assert len(history.update_rms) == 2


def test_writes_to_data_are_measured_too() -> None:
    w = torch.ones(200, requires_grad=True)
    with gradscope.trace() as t:
        (w * 2).sum().backward()
        w.data = w.data - 0.25 * w.grad  # type: ignore[operator]
    history = parameter(t.trace, "w").updates
    assert (history.value_rms[0], history.update_rms[0]) == (1.0, 0.5)


def test_so_many_optimizers_are_kept_and_the_rest_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gradscope.capture.optimizers.MAX_OPTIMIZERS", 3)
    w = torch.ones(1, requires_grad=True)
    with gradscope.trace() as t:
        for _ in range(5):
            torch.optim.SGD([w], lr=0.1).zero_grad()
    assert [f.label for f in t.trace.optimizers] == ["SGD", "SGD#2", "SGD#3"]
    assert t.trace.dropped == {"optimizers beyond the limit": 2}


def test_a_constructor_that_raises_raises_the_same() -> None:
    with gradscope.trace() as t, pytest.raises(ValueError, match="empty parameter list"):
        torch.optim.SGD([], lr=0.1)
    assert t.trace.optimizers == ()


def test_groups_that_join_later() -> None:
    first, second, third = (nn.Linear(2, 2) for _ in range(3))
    with gradscope.trace() as t:
        sgd = torch.optim.SGD([{"params": first.parameters()}], lr=0.1)
        sgd.add_param_group({"params": second.parameters()})
        for step in range(3):
            if step == 2:
                sgd.add_param_group({"params": [third.weight]})
            sgd.zero_grad()
            third(second(first(torch.ones(1, 2)))).sum().backward()
            sgd.step()
    assert not t.trace.dropped
    (facts,) = t.trace.optimizers
    (added,) = facts.additions
    assert (added.after_step, facts.steps, len(facts.parameters)) == (1, 3, 5)
    assert [t.trace.parameters[i].name for i in added.parameters] == ["third.weight"]
    assert added.source is not None
    assert added.source.text.startswith("sgd.add_param_group")
