"""The user's exceptions pass as they are: same object, same message, none of our frames."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import Any, NoReturn

import pytest
import torch
from torch import Tensor, nn

import gradscope
from gradscope.capture.source import is_own
from tests.capture.reading import last_graph, named, only_step


class _Odd(Exception):
    """Cannot even be turned into a string."""

    def __str__(self) -> NoReturn:
        raise RuntimeError("no string")


def _in_forward(error: BaseException) -> None:
    class Fails(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            raise error

    nn.Sequential(nn.Linear(2, 2), Fails())(torch.ones(1, 2))


def _in_backward(error: BaseException) -> None:
    def hook(_: Tensor) -> None:
        raise error

    x = torch.ones(2, requires_grad=True)
    y = x * 2
    y.register_hook(hook)
    y.sum().backward()


def _in_function(error: BaseException) -> None:
    class Fails(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor) -> Tensor:
            return x * 2

        @staticmethod
        def backward(ctx: Any, gradient: Tensor) -> Tensor:
            raise error

    result: Any = Fails.apply(torch.ones(2, requires_grad=True))  # type: ignore[no-untyped-call]
    result.sum().backward()


def _in_step(error: BaseException) -> None:
    net = nn.Linear(2, 1)

    def closure() -> float:
        raise error

    torch.optim.SGD(net.parameters(), lr=0.1).step(closure)


def _plainly(error: BaseException) -> None:
    raise error


PLACES = [_in_forward, _in_backward, _in_function, _in_step, _plainly]
ERRORS = [ValueError("oops"), KeyboardInterrupt(), SystemExit(3), _Odd(), StopIteration(1)]


def _files(error: BaseException) -> list[str]:
    return [frame.filename for frame in traceback.extract_tb(error.__traceback__)]


def _calls(error: BaseException) -> list[tuple[str, str]]:
    """Files and functions, without the test's own."""
    frames = [(f.filename, f.name) for f in traceback.extract_tb(error.__traceback__)]
    return frames[1:]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("error", ERRORS, ids=lambda e: type(e).__name__)
def test_the_same_exception_without_our_frames(
    place: Callable[[BaseException], None], error: BaseException
) -> None:
    with pytest.raises(type(error)) as caught, gradscope.trace() as t:
        place(error)
    assert caught.value is error
    files = _files(error)
    assert [f for f in files if is_own(f)] == []
    assert files[0] == __file__
    assert t.trace.script_error is not None
    assert t.trace.script_error.type == type(error).__name__
    assert t.trace.script_error.source is not None
    assert t.trace.script_error.source.text == "raise error"
    assert "gradscope/capture" not in t.trace.script_error.traceback
    assert not t.trace.dropped
    assert not t.trace.notes


def test_the_frames_of_plain_python_are_all_there() -> None:
    plain, traced = RuntimeError("plain"), RuntimeError("traced")
    with pytest.raises(RuntimeError):
        _in_forward(plain)
    with pytest.raises(RuntimeError), gradscope.trace():
        _in_forward(traced)
    assert _calls(traced) == _calls(plain)


def test_a_backward_shows_the_frames_of_plain_python() -> None:
    plain, traced = RuntimeError("plain"), RuntimeError("traced")
    with pytest.raises(RuntimeError):
        _in_backward(plain)
    with pytest.raises(RuntimeError), gradscope.trace():
        _in_backward(traced)
    assert _calls(traced) == _calls(plain)


def test_causes_and_groups_are_cleaned_as_well() -> None:
    def fail() -> None:
        try:
            _in_backward(KeyError("inner"))
        except KeyError as error:
            raise ExceptionGroup("both", [ValueError("outer"), error]) from error

    with pytest.raises(ExceptionGroup) as caught, gradscope.trace():
        fail()
    cause = caught.value.__cause__
    assert cause is not None
    assert [f for e in (caught.value, cause) for f in _files(e) if is_own(f)] == []


def test_autograds_own_errors_keep_their_message() -> None:
    def fail() -> None:
        x = torch.ones(2, requires_grad=True)
        y = x.exp()
        y += 1
        y.sum().backward()

    with pytest.raises(RuntimeError) as plain:
        fail()
    with pytest.raises(RuntimeError) as traced, gradscope.trace() as t:
        fail()
    assert str(plain.value) == str(traced.value)
    step = only_step(t)
    assert step.error == f"RuntimeError: {plain.value}"
    (graph,) = [graph for _, graph in t.trace.graphs]
    assert graph.gradients[named(graph, "Add")[0].id, 0] is not None, "what arrived is kept"
    assert (named(graph, "Exp")[0].id, 0) in graph.gradients


def test_backward_twice_is_the_users_error_and_both_are_seen() -> None:
    x = torch.ones(2, requires_grad=True)
    with gradscope.trace() as t:
        loss = x.exp().sum()
        loss.backward()
        with pytest.raises(RuntimeError, match="second time"):
            loss.backward()
    assert [s.error is None for s in t.trace.steps] == [True, False]


def test_an_exception_caught_inside_the_block_changes_nothing() -> None:
    with gradscope.trace() as t:
        with pytest.raises(ValueError, match="oops"):
            _in_backward(ValueError("oops"))
        x = torch.ones(2, requires_grad=True)
        (x * 3).sum().backward()
    assert t.trace.script_error is None
    assert [s.error for s in t.trace.steps] == ["ValueError: oops", None]
    assert named(last_graph(t), "Mul")[0].label == ""


def test_anomaly_mode_still_prints_the_forward_call() -> None:
    x = torch.tensor(-1.0, requires_grad=True)
    with (
        torch.autograd.set_detect_anomaly(True),
        pytest.warns(UserWarning, match="SqrtBackward0") as caught,
        pytest.raises(RuntimeError, match="nan"),
        gradscope.trace(),
    ):
        (x.sqrt() * 0).backward()
    assert any("test_exceptions.py" in str(w.message) for w in caught)
