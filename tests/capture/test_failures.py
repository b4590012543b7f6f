"""Whatever breaks inside the capture, the user's run goes on and the report says so.

Every function of the capture is made to raise, one at a time, while a program runs that goes
through nearly all of them.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterator
from types import FunctionType
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import gradscope
from gradscope import capture

# What only runs before or after the program, or is nothing but the way through to torch.
OUTSIDE = {
    "BackwardRun._after",
    "BackwardRun._ask",
    "BackwardRun._at_kept_node",
    "BackwardRun._at_leaf",
    "BackwardRun._at_node",
    "BackwardRun._at_single",
    "BackwardRun._before_node",
    "Cuts.checkpointed",
    "Cuts.saw",
    "Cuts.switches",
    "Cuts.tell",
    "Cuts.wants",
    "EngineWatch._begin",
    "EngineWatch._raise_inside",
    "Failing.explain",
    "ForwardMode.__exit__",
    "ForwardMode.__init__",
    "ForwardMode.__torch_function__",
    "ForwardRecorder.got_data",
    "Functions._sees",
    "LoopCalls._after",
    "LoopCalls._around",
    "LoopCalls._before",
    "LoopCalls._guarded",
    "LoopCalls._is_inside",
    "LoopCalls.retire",
    "Mutations.before",
    "Optimizers._made",
    "Optimizers.retire",
    "InsideEngine.__init__",
    "InsideEngine.__enter__",
    "InsideEngine.__exit__",
    "InsideEngine._is_on",
    "StepRecorder.begin",
    "StepRecorder.end",
    "ForwardRecorder.called",
    "ForwardRecorder.note",
    "ForwardRecorder.before_change",
    "ForwardMode._settle",
    "ModuleTracker._enter",
    "ModuleTracker._leave",
    "ModuleTracker.around",
    "ModuleTracker.attach",
    "ModuleTracker.detach",
    "Pause._guarded",
    "PrintedTracebacks._cleaned",
    "Warnings._guarded",
    "CompiledCalls._put_on",
    "CompiledCalls._take_off",
    "Tracer._attempt",
    "StepRecorder._forget",
    "Tracer._dropped",
    "Tracer._finish",
    "Tracer._missing",
    "Tracer._own_ns",
    "Tracer.retire",
    "Tracer.start",
    "Tracer.stop",
    "forget",
    "message_of",
    "_cell_name",  # is not called where IPython is not loaded
    "outside_transforms.__enter__",
    "outside_transforms.__exit__",
    "quiet.__enter__",
    "uncollected.__enter__",
    "uncollected.__exit__",
    "quiet.__exit__",
    "quiet._restore",
    "quiet._restore_unusual",
    "recover",
    "let_pass",
    "retire_in_children",
    "_retire_all",
    "_warn_at",  # raises what the user's filters make of a warning
}


class Broken(Exception):
    pass


def _modules() -> Iterator[Any]:
    for info in pkgutil.iter_modules(capture.__path__, "gradscope.capture."):
        yield importlib.import_module(info.name)


def _functions() -> dict[str, tuple[Any, str]]:
    """Qualified name → owner and attribute of every function and method of the capture."""
    found: dict[str, tuple[Any, str]] = {}
    for module in _modules():
        for name, value in vars(module).items():
            if isinstance(value, FunctionType) and value.__module__ == module.__name__:
                found[value.__qualname__] = (module, name)
            elif inspect.isclass(value) and value.__module__ == module.__name__:
                for method, function in vars(value).items():
                    plain = function.fget if isinstance(function, property) else function
                    if isinstance(plain, FunctionType) and plain.__module__ == module.__name__:
                        found[plain.__qualname__] = (value, method)
    return {name: place for name, place in sorted(found.items()) if _may_break(name)}


def _may_break(name: str) -> bool:
    generated = name.endswith((".__init__", ".__repr__", ".__eq__", ".__hash__", ".__new__"))
    installs = any(part in name for part in ("install", "_wrap", "_put_back", "_put_inner_back"))
    return not generated and not installs and name not in OUTSIDE


# As if it stood in the capture: what the user's own code raises inside it is let through.
_SOURCE = """
def make(calls, name):
    def broken(*_args, **_kwargs):
        calls.append(name)
        raise Broken(name)
    return broken
"""
_scope: dict[str, Any] = {"Broken": Broken}
exec(compile(_SOURCE, capture.__file__, "exec"), _scope)
_BROKEN = _scope["make"]


def _break(owner: Any, name: str, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Makes a function raise wherever it was imported to; returns its calls."""
    calls: list[str] = []
    broken = _BROKEN(calls, name)
    original = vars(owner)[name]
    if inspect.isclass(owner):
        replaced: Any = property(broken) if isinstance(original, property) else broken
        monkeypatch.setattr(owner, name, replaced)
        return calls
    for module in _modules():
        for key, value in list(vars(module).items()):
            if value is original:
                monkeypatch.setattr(module, key, broken)
    return calls


class _Square(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return 2 * x * gradient  # type: ignore[no-any-return]


_square_bound_early: Any = _Square.apply


def _program() -> list[Tensor]:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Embedding(5, 4, sparse=True), nn.LSTM(4, 4))
    head = nn.Linear(4, 2)
    wide = torch.randn(200, 100, requires_grad=True)
    by_hand = torch.ones(2, requires_grad=True)
    optimizer = torch.optim.SGD([*net.parameters(), *head.parameters()], lr=0.1)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, 1)
    scaler = torch.amp.GradScaler("cpu", init_scale=1.0)
    losses = []
    for _ in range(1):
        optimizer.zero_grad()
        h, _ = net(torch.tensor([[1, 2]]))
        h = torch.utils.checkpoint.checkpoint(head, h, use_reentrant=True)
        h = _square_bound_early(h) * by_hand + _Square.apply(h)  # type: ignore[no-untyped-call]
        h += 1
        (slope,) = torch.autograd.grad((by_hand**3).sum(), by_hand, create_graph=True)
        loss = F.mse_loss(h, torch.zeros_like(h)) + slope.sum() + (wide.T * 1e30).mean()
        loss = loss + torch.func.grad(lambda x: (x * x).sum())(torch.ones(2)).sum()
        scaler.scale(loss).backward()
        scaler.unscale_(optimizer)
        torch.nn.utils.clip_grad_norm_(head.parameters(), 1.0)
        torch.nn.utils.clip_grad_value_(head.parameters(), 1.0)
        scaler.step(optimizer)
        schedule.step()
        by_hand.data -= 0.1 * by_hand.grad  # type: ignore[operator]
        losses.append(loss.detach())
    spoilers: tuple[Callable[[torch.Tensor], torch.Tensor | None], ...] = (
        lambda y: y.add_(1),
        lambda y: y.sum().backward(),
        lambda y: y.detach(),
    )
    for spoil in spoilers:
        y = torch.exp(by_hand)
        other = spoil(y)
        with contextlib.suppress(RuntimeError):
            (y if other is None else other).sum().backward()
        assert y.grad is None
    checkpointed = torch.utils.checkpoint.checkpoint(head, torch.ones(1, 4), use_reentrant=True)
    unused = head(torch.ones(1, 4)) * 2
    results = [*(p.detach().clone() for p in head.parameters()), by_hand.detach()]
    return [*losses, *results, unused, checkpointed]


_EXPECTED = ("ignore:The .grad attribute of a Tensor", "ignore:None of the inputs")
pytestmark = [pytest.mark.filterwarnings(text) for text in _EXPECTED]


@functools.cache
def _plain() -> list[Tensor]:
    return _program()


FUNCTIONS = _functions()


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_run_goes_on(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = _plain()
    session = gradscope.trace()
    with session:
        calls = _break(*FUNCTIONS[name], monkeypatch)
        traced = _program()
    monkeypatch.undo()
    assert all(torch.equal(a, b) for a, b in zip(plain, traced, strict=True))
    trace = session.trace
    assert bool(calls) <= bool(trace.dropped or trace.notes), "broken, and not told"


def test_everything_broken_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = _plain()
    session = gradscope.trace()
    with session:
        for owner, name in FUNCTIONS.values():
            if not inspect.isclass(owner):
                _break(owner, name, monkeypatch)
        traced = _program()
    monkeypatch.undo()
    assert all(torch.equal(a, b) for a, b in zip(plain, traced, strict=True))
    assert sum(session.trace.dropped.values()) > 5


def test_the_list_is_not_empty() -> None:
    assert len(FUNCTIONS) > 100
