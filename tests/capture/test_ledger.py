"""What each update consumed: contributions since the last one (fresh) and older ones (carried).

Carried is not zero exactly where a training loop forgot to clear gradients.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import gradscope
from gradscope.session import Session
from tests.capture.reading import ledger, parameter

STEPS = 4
Loss = Callable[[], Tensor]
CLEAN = [(1, 0)] * STEPS
PILING_UP = [(1, i) for i in range(STEPS)]


def _net() -> tuple[nn.Linear, Loss]:
    torch.manual_seed(0)
    net = nn.Linear(3, 2)
    return net, lambda: net(torch.randn(4, 3)).pow(2).mean()


def _run(program: Callable[[nn.Linear, Loss], object], net: nn.Linear, loss_of: Loss) -> Session:
    with gradscope.trace() as session:
        program(net, loss_of)
    assert not session.trace.dropped
    return session


# --- loops that forget to clear ---------------------------------------------------------------


def sgd_without_clearing(net: nn.Linear, loss_of: Loss) -> None:
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
    for _ in range(STEPS):
        loss_of().backward()
        optimizer.step()


def adam_without_clearing(net: nn.Linear, loss_of: Loss) -> None:
    optimizer = torch.optim.Adam(net.parameters())
    for _ in range(STEPS):
        loss_of().backward()
        optimizer.step()


def fused_without_clearing(net: nn.Linear, loss_of: Loss) -> None:
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01, fused=True)
    for _ in range(STEPS):
        loss_of().backward()
        optimizer.step()


def by_hand_without_clearing(net: nn.Linear, loss_of: Loss) -> None:
    for _ in range(STEPS):
        loss_of().backward()
        with torch.no_grad():
            for p in net.parameters():
                p -= 0.01 * p.grad  # type: ignore[misc, operator]


def data_without_clearing(net: nn.Linear, loss_of: Loss) -> None:
    for _ in range(STEPS):
        loss_of().backward()
        for p in net.parameters():
            assert p.grad is not None
            p.data -= 0.01 * p.grad.data


def data_method_without_clearing(net: nn.Linear, loss_of: Loss) -> None:
    for _ in range(STEPS):
        loss_of().backward()
        for p in net.parameters():
            p.data.add_(p.grad, alpha=-0.01)  # type: ignore[arg-type]


def data_assigned_without_clearing(net: nn.Linear, loss_of: Loss) -> None:
    for _ in range(STEPS):
        loss_of().backward()
        for p in net.parameters():
            assert p.grad is not None
            p.data = p.data - 0.01 * p.grad


def clipping_does_not_clear(net: nn.Linear, loss_of: Loss) -> None:
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
    for _ in range(STEPS):
        loss_of().backward()
        nn.utils.clip_grad_norm_(net.parameters(), 0.01)
        optimizer.step()


def clearing_the_wrong_model(net: nn.Linear, loss_of: Loss) -> None:
    other = nn.Linear(3, 2)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
    for _ in range(STEPS):
        other.zero_grad()
        loss_of().backward()
        optimizer.step()


def loading_does_not_clear(net: nn.Linear, loss_of: Loss) -> None:
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
    kept = copy.deepcopy(net.state_dict())
    for _ in range(STEPS):
        loss_of().backward()
        optimizer.step()
        net.load_state_dict(kept)


FORGETFUL = [
    sgd_without_clearing,
    adam_without_clearing,
    fused_without_clearing,
    by_hand_without_clearing,
    data_without_clearing,
    data_method_without_clearing,
    data_assigned_without_clearing,
    clipping_does_not_clear,
    clearing_the_wrong_model,
    loading_does_not_clear,
]


@pytest.mark.parametrize("program", FORGETFUL)
def test_what_was_not_cleared_is_carried(program: Callable[[nn.Linear, Loss], None]) -> None:
    session = _run(program, *_net())
    for name in ("weight", "bias"):
        assert ledger(session, f"net.{name}") == PILING_UP
    by = {u.by for u in session.trace.updates}
    assert by == (
        {"hand"} if "hand" in program.__name__ or "data" in program.__name__ else {"optimizer"}
    )
    assert len(session.trace.updates) == STEPS
    assert [u.after_step for u in session.trace.updates] == list(range(STEPS))
    assert {u.parameters for u in session.trace.updates} == {2}


# --- loops that clear, each in its own way ----------------------------------------------------


def _loop(
    clear: Callable[[nn.Linear, torch.optim.Optimizer], object], when: str = "before"
) -> Callable[[nn.Linear, Loss], None]:
    def program(net: nn.Linear, loss_of: Loss) -> None:
        optimizer = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9)
        for _ in range(STEPS):
            if when == "before":
                clear(net, optimizer)
            loss = loss_of()
            if when == "between":
                clear(net, optimizer)
            loss.backward()
            optimizer.step()
            if when == "after":
                clear(net, optimizer)

    return program


def _set_none(net: nn.Linear, _: torch.optim.Optimizer) -> None:
    for p in net.parameters():
        p.grad = None


def _zero(net: nn.Linear, _: torch.optim.Optimizer) -> None:
    for p in net.parameters():
        if p.grad is not None:
            p.grad.zero_()


def _multiply(net: nn.Linear, _: torch.optim.Optimizer) -> None:
    for p in net.parameters():
        if p.grad is not None:
            p.grad *= 0


def _foreach(net: nn.Linear, _: torch.optim.Optimizer) -> None:
    gradients = [p.grad for p in net.parameters() if p.grad is not None]
    if gradients:
        torch._foreach_zero_(gradients)


CLEARING: dict[str, Callable[[nn.Linear, Loss], None]] = {
    "set to none": _loop(lambda _, o: o.zero_grad()),
    "set to zero": _loop(lambda _, o: o.zero_grad(set_to_none=False)),
    "by the module": _loop(lambda n, _: n.zero_grad()),
    "grad = None": _loop(_set_none),
    "grad.zero_()": _loop(_zero),
    "grad *= 0": _loop(_multiply),
    "foreach": _loop(_foreach),
    "between forward and backward": _loop(lambda _, o: o.zero_grad(), "between"),
    "after the step": _loop(lambda _, o: o.zero_grad(), "after"),
    "after the step, to zero": _loop(_zero, "after"),
}


@pytest.mark.parametrize("name", CLEARING)
def test_what_was_cleared_is_not_carried(name: str) -> None:
    session = _run(CLEARING[name], *_net())
    assert ledger(session, "net.weight") == ledger(session, "net.bias") == CLEAN


# --- more than one backward per update, on purpose ---------------------------------------------


def test_micro_batches() -> None:
    def program(net: nn.Linear, loss_of: Loss) -> None:
        optimizer = torch.optim.AdamW(net.parameters())
        for i in range(STEPS * 3):
            (loss_of() / 3).backward()
            if i % 3 == 2:
                optimizer.step()
                optimizer.zero_grad()

    session = _run(program, *_net())
    assert ledger(session, "net.weight") == [(3, 0)] * STEPS


def test_micro_batches_that_are_never_cleared() -> None:
    def program(net: nn.Linear, loss_of: Loss) -> None:
        optimizer = torch.optim.AdamW(net.parameters())
        for i in range(6):
            (loss_of() / 2).backward()
            if i % 2:
                optimizer.step()

    assert ledger(_run(program, *_net()), "net.weight") == [(2, 0), (2, 2), (2, 4)]


def test_two_losses_of_one_graph() -> None:
    def program(net: nn.Linear, loss_of: Loss) -> None:
        optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
        for _ in range(STEPS):
            optimizer.zero_grad()
            out = net(torch.randn(4, 3))
            out.mean().backward(retain_graph=True)
            out.pow(2).mean().backward()
            optimizer.step()

    assert ledger(_run(program, *_net()), "net.weight") == [(2, 0)] * STEPS


def _lbfgs(clears: bool) -> Callable[[nn.Linear, Loss], list[int]]:
    def program(net: nn.Linear, loss_of: Loss) -> list[int]:
        x, y = torch.randn(8, 3), torch.randn(8, 2)
        optimizer = torch.optim.LBFGS(net.parameters(), max_iter=3)
        calls: list[int] = []

        def closure() -> float:
            if clears:
                optimizer.zero_grad()
            loss = F.mse_loss(net(x), y)
            loss.backward()
            calls.append(1)
            return loss.item()

        for _ in range(3):
            optimizer.step(closure)
        return calls

    return program


def test_lbfgs_closures() -> None:
    session = _run(_lbfgs(clears=True), *_net())
    assert [u.by for u in session.trace.updates] == ["optimizer"] * 3
    assert ledger(session, "net.weight") == [(1, 0)] * 3


def test_lbfgs_closures_that_never_clear() -> None:
    session = _run(_lbfgs(clears=False), *_net())
    rows = ledger(session, "net.weight")
    assert rows[0][1] == 0
    assert all(carried > 0 for _, carried in rows[1:])


# --- several optimizers, several players --------------------------------------------------------


def _gan(clears_judge: bool = True, clamp: bool = False) -> Session:
    torch.manual_seed(0)
    maker, judge = nn.Linear(2, 2), nn.Linear(2, 1)
    for_maker = torch.optim.Adam(maker.parameters())
    for_judge = torch.optim.Adam(judge.parameters())
    with gradscope.trace() as session:
        for _ in range(STEPS):
            if clears_judge:
                for_judge.zero_grad()
            fake = maker(torch.randn(4, 2))
            (judge(fake.detach()).mean() - judge(torch.randn(4, 2)).mean()).backward()
            for_judge.step()
            if clamp:
                for p in judge.parameters():
                    p.data.clamp_(-0.01, 0.01)
            for_maker.zero_grad()
            (-judge(fake).mean()).backward()
            for_maker.step()
    assert not session.trace.dropped
    return session


@pytest.mark.parametrize("clamp", [False, True])
def test_two_players_pollute_each_other_and_clear(clamp: bool) -> None:
    session = _gan(clamp=clamp)
    assert ledger(session, "judge.weight") == ledger(session, "maker.weight") == CLEAN
    assert [u.optimizer for u in session.trace.updates] == ["Adam", "Adam#2"] * STEPS
    assert parameter(session.trace, "maker.weight").optimizers == ("Adam#2",)


def test_a_player_that_never_clears() -> None:
    session = _gan(clears_judge=False)
    assert ledger(session, "maker.weight") == CLEAN
    rows = ledger(session, "judge.weight")
    assert rows[0] == (1, 0)
    assert all(fresh == 2 and carried > 0 for fresh, carried in rows[1:])


def test_a_parameter_of_two_optimizers() -> None:
    """The second update takes the same gradient again: nothing fresh, one that is not new."""

    def program(net: nn.Linear, loss_of: Loss) -> None:
        first = torch.optim.SGD(net.parameters(), lr=0.01)
        second = torch.optim.SGD([net.weight], lr=0.01)
        for _ in range(STEPS):
            first.zero_grad()
            loss_of().backward()
            first.step()
            second.step()

    session = _run(program, *_net())
    assert ledger(session, "net.weight") == [(1, 0), (0, 1)] * STEPS
    assert ledger(session, "net.bias") == CLEAN
    assert parameter(session.trace, "net.weight").optimizers == ("SGD", "SGD#2")


class _Lookahead(torch.optim.Optimizer):
    """An optimizer around another one."""

    def __init__(self, inner: torch.optim.Optimizer) -> None:
        self.inner = inner
        super().__init__(inner.param_groups, {})

    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        self.inner.step()


def test_an_optimizer_around_another_is_one_update() -> None:
    def program(net: nn.Linear, loss_of: Loss) -> None:
        optimizer = _Lookahead(torch.optim.SGD(net.parameters(), lr=0.01))
        for _ in range(STEPS):
            optimizer.zero_grad()
            loss_of().backward()
            optimizer.step()

    session = _run(program, *_net())
    assert ledger(session, "net.weight") == CLEAN
    assert len(session.trace.updates) == STEPS


class _ClearsItself(torch.optim.SGD):
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        super().step()
        self.zero_grad()


def test_an_optimizer_that_clears_inside_its_step() -> None:
    def program(net: nn.Linear, loss_of: Loss) -> None:
        optimizer = _ClearsItself(net.parameters(), lr=0.01)
        for _ in range(STEPS):
            loss_of().backward()
            optimizer.step()

    session = _run(program, *_net())
    assert ledger(session, "net.weight") == CLEAN
    assert not any(
        math.isnan(norm) for norm in parameter(session.trace, "net.weight").updates.grad_norm
    )


def test_sharpness_aware_steps() -> None:
    """Two backwards per step with a change of the weights between them."""

    def program(net: nn.Linear, loss_of: Loss) -> None:
        optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
        for _ in range(STEPS):
            loss_of().backward()
            kept = [p.detach().clone() for p in net.parameters()]
            with torch.no_grad():
                for p in net.parameters():
                    p.add_(p.grad, alpha=0.05)  # type: ignore[arg-type]
            optimizer.zero_grad()
            loss_of().backward()
            with torch.no_grad():
                for p, old in zip(net.parameters(), kept, strict=True):
                    p.copy_(old)
            optimizer.step()
            optimizer.zero_grad()

    rows = ledger(_run(program, *_net()), "net.weight")
    assert {carried for _, carried in rows} == {0}
    assert rows[-3:] == [(1, 0)] * 3


# --- steps that do not happen, parameters that do not take part ---------------------------------


def test_a_step_that_the_scaler_skips() -> None:
    def program(net: nn.Linear, loss_of: Loss) -> None:
        scaler = torch.amp.GradScaler("cpu", init_scale=4.0)
        optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
        for i in range(STEPS):
            optimizer.zero_grad()
            loss = loss_of() * (math.inf if i == 1 else 1.0)
            scaler.scale(loss).backward()
            scaler.step(optimizer)
            scaler.update()

    session = _run(program, *_net())
    assert ledger(session, "net.weight") == [(1, 0)] * (STEPS - 1)
    assert [u.after_step for u in session.trace.updates] == [0, 2, 3]


def test_a_parameter_without_a_gradient_in_some_steps() -> None:
    torch.manual_seed(0)
    nets = nn.ModuleList([nn.Linear(2, 1), nn.Linear(2, 1)])
    optimizer = torch.optim.SGD(nets.parameters(), lr=0.01)
    with gradscope.trace() as session:
        for i in range(STEPS):
            optimizer.zero_grad()
            nets[i % 2](torch.ones(1, 2)).sum().backward()
            optimizer.step()
    for name in ("nets.0.weight", "nets.1.weight"):
        assert ledger(session, name) == [(1, 0)] * 2
    assert list(parameter(session.trace, "nets.1.weight").updates.update) == [1, 3]


def test_frozen_and_averaged_copies_are_not_updates() -> None:
    def program(net: nn.Linear, loss_of: Loss) -> None:
        target = copy.deepcopy(net).requires_grad_(False)
        average = torch.optim.swa_utils.AveragedModel(net)
        optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
        for _ in range(STEPS):
            optimizer.zero_grad()
            x = torch.randn(4, 3)
            (net(x) - target(x) + 1).pow(2).mean().backward()
            optimizer.step()
            average.update_parameters(net)
            with torch.no_grad():
                for p, q in zip(target.parameters(), net.parameters(), strict=True):
                    p.mul_(0.9).add_(q, alpha=0.1)

    session = _run(program, *_net())
    assert ledger(session, "net.weight") == CLEAN
    assert len(session.trace.updates) == STEPS


def test_a_new_leaf_every_step() -> None:
    w = torch.ones(3, requires_grad=True)
    with gradscope.trace() as session:
        for _ in range(STEPS):
            (w * 2).sum().backward()
            assert w.grad is not None
            w = (w - 0.1 * w.grad).detach().requires_grad_()
    assert len(session.trace.parameters) == 1
    history = parameter(session.trace, "w")
    assert list(history.gradients.norm) == [pytest.approx(2 * math.sqrt(3))] * STEPS
    assert all(carried == 0 for carried in history.updates.carried)


def test_a_gradient_set_by_hand() -> None:
    def program(net: nn.Linear, loss_of: Loss) -> None:
        optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
        for _ in range(STEPS):
            gradients = torch.autograd.grad(loss_of(), list(net.parameters()))
            for p, g in zip(net.parameters(), gradients, strict=True):
                p.grad = g
            optimizer.step()

    assert ledger(_run(program, *_net()), "net.weight") == [(0, 0)] * STEPS


def test_a_step_without_any_gradient_is_no_use_of_one() -> None:
    def program(net: nn.Linear, loss_of: Loss) -> None:
        torch.optim.SGD(net.parameters(), lr=0.01).step()

    session = _run(program, *_net())
    assert [u.parameters for u in session.trace.updates] == [0]
    assert all(len(p.updates) == 0 for p in session.trace.parameters)


# --- numbers and lines ---------------------------------------------------------------------------


def test_sizes_of_updates() -> None:
    net, loss_of = _net()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.5)
    before = net.weight.detach().clone()
    with gradscope.trace() as session:
        loss_of().backward()
        optimizer.step()
    assert net.weight.grad is not None
    updates = parameter(session.trace, "net.weight").updates
    assert updates.grad_norm[0] == pytest.approx(float(net.weight.grad.norm()), rel=1e-5)
    assert updates.value_rms[0] == pytest.approx(float(before.square().mean().sqrt()), rel=1e-5)
    change = (net.weight.detach() - before).square().mean().sqrt()
    assert updates.update_rms[0] == pytest.approx(float(change), rel=1e-4)


@pytest.mark.parametrize(
    ("program", "text"),
    [
        (sgd_without_clearing, "optimizer.step()"),
        (by_hand_without_clearing, "p -= 0.01 * p.grad"),
        (data_without_clearing, "p.data -= 0.01 * p.grad.data"),
        (data_method_without_clearing, "p.data.add_(p.grad, alpha=-0.01)"),
        (data_assigned_without_clearing, "p.data = p.data - 0.01 * p.grad"),
    ],
)
def test_the_line_of_an_update(program: Callable[[nn.Linear, Loss], None], text: str) -> None:
    session = _run(program, *_net())
    lines = {u.source.text for u in session.trace.updates if u.source}
    assert {line.partition("  #")[0] for line in lines} == {text}


def test_the_step_of_a_scaler_is_the_users_line() -> None:
    net, loss_of = _net()
    scaler = torch.amp.GradScaler("cpu")
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
    with gradscope.trace() as session:
        scaler.scale(loss_of()).backward()
        scaler.step(optimizer)
    (update,) = session.trace.updates
    assert update.source is not None
    assert update.source.text == "scaler.step(optimizer)"
