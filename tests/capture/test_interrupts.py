"""Ctrl-C and what signal handlers raise come through, wherever in the capture they strike."""

from __future__ import annotations

import gc
import linecache
import random
import signal
import sys
import traceback
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn
from torch.overrides import _get_current_function_mode_stack

import gradscope
from gradscope.capture import steps
from gradscope.capture.cells import shown_file
from gradscope.capture.steps import StepRecorder
from tests.capture.reading import ops
from tests.capture.test_undo import assert_same, state

TRIES = 250


class TimeoutOfTheUsers(Exception):
    """As raised by the handlers of common timeout decorators."""


class _Alarm:
    """Raises from a signal handler after a random while."""

    def __init__(self, error: type[BaseException]) -> None:
        self.error = error
        self.fired = 0

    def __call__(self, _signal: int, _frame: object) -> None:
        self.fired += 1
        raise self.error

    @contextmanager
    def within(self, longest: float) -> Iterator[None]:
        signal.setitimer(signal.ITIMER_REAL, random.uniform(1e-5, longest))
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)


def _is_disturbed() -> bool:
    """Puts right what an interrupt broke, as it may without us; says whether there was anything."""
    disturbed = not torch.is_grad_enabled() or not gc.isenabled()
    disturbed |= torch._C._get_torch_function_state() != torch._C._TorchFunctionState.ENABLED  # type: ignore[attr-defined]
    torch._C._set_torch_function_state(torch._C._TorchFunctionState.ENABLED)  # type: ignore[attr-defined]
    torch.set_grad_enabled(True)
    gc.enable()
    return bool(disturbed)


@pytest.mark.parametrize("error", [TimeoutOfTheUsers, KeyboardInterrupt])
def test_they_all_come_through(error: type[BaseException]) -> None:
    random.seed(1)
    net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01)

    def step() -> None:
        optimizer.zero_grad()
        net(torch.ones(2, 4)).pow(2).mean().backward()
        optimizer.step()

    step()
    # Python itself swallows an interrupt in a weak reference's callback, and leaves a file open
    # that it was about to read a line from.
    gc.collect()
    linecache.getlines(__file__)
    alarm = _Alarm(error)
    before, handler = state(), signal.signal(signal.SIGALRM, alarm)
    caught = disturbed = 0
    try:
        with gradscope.trace() as t:
            for _ in range(TRIES):
                try:
                    with alarm.within(2e-3):
                        step()
                        step()
                except error:
                    caught += 1
                disturbed += _is_disturbed()
            step()
    finally:
        signal.signal(signal.SIGALRM, handler)
    assert caught == alarm.fired > 20
    assert disturbed <= 3
    assert_same(before)
    assert _get_current_function_mode_stack() == []
    assert not {reason for reason in t.trace.dropped if "still running" not in reason}
    last = t.trace.graphs[-1][1]
    assert [n.call for n in ops(last)] == [*["linear"] * 2, "relu", *["linear"] * 2, "pow", "mean"]


def _struck(*_: object) -> None:
    raise TimeoutOfTheUsers


def _strike_at(monkeypatch: pytest.MonkeyPatch, part: str, when: str) -> None:
    """Has the signal come while gradscope works, before or after the engine runs."""
    lines = [f"def {part}(self, *given):", "    done = original(self, *given)", "    return done"]
    lines.insert({"early": 1, "late": 2}[when], "    while coming: strike(coming.pop())")
    scope: dict[str, Any] = {"strike": signal.raise_signal, "coming": [signal.SIGALRM]}
    scope["original"] = getattr(StepRecorder, part)
    exec(compile("\n".join(lines), steps.__file__, "exec"), scope)
    monkeypatch.setattr(StepRecorder, part, scope[part])


@pytest.mark.parametrize(
    ("handler", "error", "innermost"),
    [
        (_struck, TimeoutOfTheUsers, ["_struck"]),
        (signal.default_int_handler, KeyboardInterrupt, []),
    ],
)
@pytest.mark.parametrize("when", ["early", "late"])
@pytest.mark.parametrize("part", ["begin", "_begin", "_end", "end"])
@pytest.mark.parametrize("traces", [1, 2])
def test_their_traceback_has_torchs_entry_to_the_engine(
    traces: int,
    part: str,
    when: str,
    handler: Any,
    error: type[BaseException],
    innermost: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It ended in the frame that calls the engine's entry, where Python alone never ends."""
    weight = torch.ones(2, requires_grad=True)
    _strike_at(monkeypatch, part, when)
    before = signal.signal(signal.SIGALRM, handler)
    try:
        with pytest.raises(error) as caught, ExitStack() as stack:  # noqa: PT012
            for _ in range(traces):
                stack.enter_context(gradscope.trace())
            weight.sum().backward()
    finally:
        signal.signal(signal.SIGALRM, before)
    names = [entry.name for entry in traceback.extract_tb(caught.value.__traceback__)]
    inside = names[names.index("backward") :]
    assert inside == ["backward", "backward", "_engine_run_backward", *innermost]
    assert caught.value.__context__ is None


def test_what_fails_in_the_engine_is_not_raised_twice() -> None:
    weight = torch.ones(2, requires_grad=True)
    weight.register_hook(lambda grad: 1 / 0)
    with pytest.raises(ZeroDivisionError) as caught, gradscope.trace():
        weight.sum().backward()
    names = [entry.name for entry in traceback.extract_tb(caught.value.__traceback__)]
    assert names.count("_engine_run_backward") == 1


def test_telling_a_cells_name_lets_them_through(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted() -> None:
        raise TimeoutOfTheUsers

    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=interrupted))
    with pytest.raises(TimeoutOfTheUsers):
        shown_file("<cell>")


@pytest.mark.parametrize(
    "ipython",
    [
        SimpleNamespace(),
        SimpleNamespace(get_ipython=lambda: None),
        SimpleNamespace(get_ipython=lambda: SimpleNamespace(compile=compile)),
    ],
)
def test_other_shells_have_no_names_for_cells(
    ipython: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    assert shown_file("<cell>") == "<cell>"
