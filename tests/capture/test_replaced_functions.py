"""Functions that the program puts into torch's place run as often as without a trace."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import handle_torch_function, has_torch_function_unary

import gradscope
from gradscope.capture.originals import FROM_C, original
from gradscope.model.trace import Level


class _Unhashable:
    """Stands for a function, and cannot be looked up in a set."""

    __hash__ = None  # type: ignore[assignment]

    def __init__(self, function: Callable[..., Tensor]) -> None:
        self.function = function
        self.calls = 0

    def __call__(self, *args: Any, **kwargs: Any) -> Tensor:
        self.calls += 1
        return self.function(*args, **kwargs) * 7


def _twice(function: Callable[..., Any], calls: list[str]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapped(tensor: Tensor, *args: Any, **kwargs: Any) -> Any:
        calls.append(function.__name__)
        return function(tensor * 2, *args, **kwargs)

    return wrapped


def _run() -> tuple[list[float], float]:
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    y = F.relu(x * 2)
    loss = y.norm() + F.mse_loss(x, torch.zeros(2)) + F.cross_entropy(x[None], torch.tensor([1]))
    loss.backward()
    assert x.grad is not None
    return x.grad.tolist(), loss.item()


@pytest.mark.parametrize("level", ["params", "ops"])
def test_the_numbers_and_the_calls_are_the_same(
    level: Level, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    for owner, name in ((Tensor, "backward"), (Tensor, "norm"), (F, "relu")):
        monkeypatch.setattr(owner, name, _twice(getattr(owner, name), calls))
    loss = _Unhashable(F.mse_loss)
    monkeypatch.setattr(F, "mse_loss", loss)
    smooth = functools.partial(F.cross_entropy, label_smoothing=0.1)
    monkeypatch.setattr(F, "cross_entropy", smooth)
    plain = _run()
    assert calls == ["relu", "norm", "backward"]
    with gradscope.trace(level=level) as trace:
        assert _run() == plain
    assert calls == ["relu", "norm", "backward"] * 2
    assert loss.calls == 2
    assert [step.kind for step in trace.trace.steps] == ["backward"]


def test_what_was_replaced_is_known_by_its_own_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(F, "relu", _twice(F.relu, []))
    with gradscope.trace() as trace:
        F.relu(torch.ones(2, requires_grad=True)).sum().backward()
    nodes = trace.trace.graphs[0][1].structure.nodes
    assert "relu" in [node.call for node in nodes]


def _mine(x: Tensor) -> Tensor:
    if has_torch_function_unary(x):
        return handle_torch_function(_mine, (x,), x)
    return x * 3


def test_a_function_of_the_programs_own_may_ask_for_modes() -> None:
    x = torch.ones(1, requires_grad=True)
    with gradscope.trace():
        _mine(x).backward()
    assert x.grad is not None
    assert x.grad.item() == 3.0


def test_an_operator_that_is_an_object_asks_for_itself() -> None:
    from torch._prims.rng_prims import run_and_save_rng_state

    with gradscope.trace():
        _, y = run_and_save_rng_state(torch.ops.aten.add.Tensor, torch.ones(4), torch.ones(4))
    assert y.tolist() == [2.0] * 4


def test_torch_knows_what_c_code_calls_the_mode_for() -> None:
    kind: Any = Tensor
    for function in (torch.add, kind.add, kind.__add__, kind.grad.__get__, F.linear):
        assert type(function) in FROM_C
    assert original(F.relu, None) is F.relu
