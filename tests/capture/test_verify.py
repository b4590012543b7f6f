"""``verify_functions``: a backward against the finite difference of its forward, on copies."""

from __future__ import annotations

import random
from typing import Any

import numpy
import pytest
import torch
from torch import Tensor
from torch.autograd import Function

import gradscope
from gradscope.model.finding import Finding, Report
from gradscope.model.trace import Trace

Run = Any  # a custom Function's ``apply``, which torch leaves untyped


class Cube(Function):
    """Right."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x**3

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        (x,) = ctx.saved_tensors
        return grad * 3 * x**2


class WrongCube(Cube):
    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        (x,) = ctx.saved_tensors
        return grad * 3 * x


class HalfCube(Cube):
    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        (x,) = ctx.saved_tensors
        return grad * 1.5 * x**2


class Reversal(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, strength: float) -> Tensor:
        ctx.strength = strength
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        return -ctx.strength * grad, None


class ClipGradient(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        return grad.clamp(-0.1, 0.1)


class Round(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return torch.round(x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        return grad


class Spike(Function):
    """A threshold with a surrogate derivative, as spiking networks have it."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return (x > 0).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        (x,) = ctx.saved_tensors
        return grad / (1 + x.abs()) ** 2


class Relu(Function):
    """In place, with a kink at 0, where it is called with many zeros."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.mark_dirty(x)
        x.clamp_(min=0)
        ctx.save_for_backward(x)
        return x

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        (x,) = ctx.saved_tensors
        return grad * (x > 0)


class Mixed(Function):
    """Several inputs and outputs, an index, a constant; setup_context; one gradient is wrong."""

    @staticmethod
    def forward(x: Tensor, index: Tensor, w: Tensor, factor: float) -> tuple[Tensor, Tensor]:
        return x[index] * w * factor, index + 1

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        x, index, w, ctx.factor = inputs
        ctx.save_for_backward(x, index, w)
        ctx.mark_non_differentiable(output[1])

    @staticmethod
    def backward(ctx: Any, grad: Tensor, _: Tensor) -> Any:
        x, index, w = ctx.saved_tensors
        into_x = torch.zeros_like(x).index_add(0, index, grad * w * ctx.factor)
        return into_x, None, grad * w, None


class NoneForW(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, w: Tensor) -> Tensor:
        ctx.save_for_backward(x, w)
        return x * w

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        _, w = ctx.saved_tensors
        return grad * w, None


class Noise(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x * torch.rand_like(x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        return grad


class OnlyFloat32(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        if x.dtype != torch.float32:
            raise TypeError("float32 wanted")
        return x * 2

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        return grad * 2


class InFloat32(Function):
    """Right, but calculated in float32 whatever comes in."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x.float().sin().to(x.dtype)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        (x,) = ctx.saved_tensors
        return grad * x.cos()


def tried(function: Any, *args: Any, calls: int = 1) -> tuple[Trace, Report]:
    with gradscope.trace(verify_functions=True) as t:
        for _ in range(calls):
            out = function.apply(*args)
            first = out[0] if isinstance(out, tuple) else out
            first.sum().backward()
    return t.trace, t._report


def found(function: Any, *args: Any) -> list[Finding]:
    _, report = tried(function, *args)
    assert not any(skipped.failed for skipped in report.skipped)
    return [f for f in report.findings if f.code == "GS607"]


def leaf(*shape: int) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(*shape, generator=generator).requires_grad_()


def gradient_of(x: Tensor) -> Tensor:
    assert x.grad is not None
    return x.grad.clone()


@pytest.mark.parametrize("function", [Cube, InFloat32])
def test_a_right_backward_is_no_finding(function: Any) -> None:
    trace, report = tried(function, leaf(4, 3))
    (check,) = trace.functions
    assert (check.name, check.skipped) == (function.__name__, "")
    (given,) = check.inputs
    assert (given.name, given.given, len(given.slopes)) == ("x", True, 9)
    assert not [f for f in report.findings if f.code == "GS607"]
    assert "wrong-backward" in report.checked


def test_the_slopes_are_those_of_the_forward() -> None:
    trace, _ = tried(Cube, leaf(4, 3))
    for slope in trace.functions[0].inputs[0].slopes:
        assert slope.difference == pytest.approx(slope.backward, rel=1e-6)
        assert slope.wider == pytest.approx(slope.backward, rel=1e-5)


def test_a_wrong_backward_is_a_warning_at_its_line() -> None:
    (finding,) = found(WrongCube, leaf(4, 3))
    assert finding.severity == "warning"
    assert finding.where.source is not None
    assert finding.where.source.text.startswith("def backward")
    assert finding.where.source.function == "WrongCube.backward"
    assert finding.where.variable == "x"
    assert "is not the derivative" in finding.message


def test_one_element_is_enough_to_tell_wrong_from_scaled() -> None:
    (wrong,), (scaled,) = found(WrongCube, leaf(1)), found(HalfCube, leaf(1))
    assert (wrong.severity, scaled.severity) == ("warning", "info")


@pytest.mark.parametrize(
    ("function", "args", "words"),
    [
        (HalfCube, (), "gives 0.5 times the derivative"),
        (Reversal, (0.3,), "gives -0.3 times the derivative"),
        (ClipGradient, (), "changes the gradient"),
        (Round, (), "straight-through"),
        (Spike, (), "straight-through"),
    ],
)
def test_what_may_be_meant_is_only_told(function: Any, args: tuple[Any, ...], words: str) -> None:
    (finding,) = found(function, leaf(4, 3), *args)
    assert finding.severity == "info"
    assert words in finding.message


def test_none_in_the_place_of_a_gradient_is_wrong() -> None:
    (finding,) = found(NoneForW, leaf(4, 3), leaf(4, 3))
    assert finding.severity == "warning"
    assert "returns None for `w`" in finding.message
    assert finding.fix.startswith("torch.autograd.gradcheck(NoneForW.apply")


def test_a_large_straight_through_is_not_noise() -> None:
    (finding,) = found(Round, leaf(300, 300))
    assert finding.severity == "info"


def test_kinks_in_place_and_zeros() -> None:
    x = torch.cat([torch.zeros(50), leaf(50).detach()]).requires_grad_()
    with gradscope.trace(verify_functions=True) as t:
        Relu.apply(x * 1).sum().backward()  # type: ignore[no-untyped-call]
    assert t.trace.functions[0].skipped == ""
    assert t.findings == ()


def test_several_inputs_and_outputs() -> None:
    index = torch.tensor([0, 2, 2])
    (finding,) = found(Mixed, leaf(4), index, leaf(3), 2.0)
    assert finding.where.variable == "w"
    assert finding.severity == "warning"


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (Noise, "its forward is random"),
        (OnlyFloat32, "its forward failed in float64: TypeError: float32 wanted"),
    ],
)
def test_what_cannot_be_compared_says_why(function: Any, reason: str) -> None:
    trace, report = tried(function, leaf(4, 3))
    assert trace.functions[0].skipped.startswith(reason)
    (skipped,) = [s for s in report.skipped if s.code == "GS607"]
    assert reason in skipped.reason
    assert "wrong-backward" not in report.checked


def test_only_the_first_call_with_a_gradient_counts() -> None:
    with gradscope.trace(verify_functions=True) as t:
        Cube.apply(torch.full((2,), 7.0))  # type: ignore[no-untyped-call]
        for _ in range(3):
            Cube.apply(leaf(2)).sum().backward()  # type: ignore[no-untyped-call]
    assert len(t.trace.functions) == 1


def test_an_early_bound_apply_is_seen() -> None:
    apply: Run = WrongCube.apply
    with gradscope.trace(verify_functions=True) as t:
        apply(leaf(3)).sum().backward()
    assert [f.code for f in t.findings if f.severity == "warning"] == ["GS607"]


class Exits(Cube):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        if x.dtype == torch.float64:
            raise SystemExit(3)
        return Cube.forward(ctx, x)


def test_a_forward_that_exits_does_not_end_the_program() -> None:
    trace, _ = tried(Exits, leaf(2))
    assert trace.functions[0].skipped == "its forward failed in float64: SystemExit: 3"


def test_nothing_runs_after_an_interrupt() -> None:
    t = gradscope.trace(verify_functions=True)
    with pytest.raises(KeyboardInterrupt), t:  # noqa: PT012 - the block is the subject
        WrongCube.apply(leaf(3)).sum().backward()  # type: ignore[no-untyped-call]
        raise KeyboardInterrupt
    assert t.trace.functions == ()


def test_nothing_runs_unasked() -> None:
    with gradscope.trace() as t:
        WrongCube.apply(leaf(3)).sum().backward()  # type: ignore[no-untyped-call]
    assert t.trace.functions == ()
    assert t.findings == ()
    assert "wrong-backward" not in t._report.checked
    assert not [s for s in t._report.skipped if s.code == "GS607"]


def test_the_users_state_is_left_alone(capsys: pytest.CaptureFixture[str]) -> None:
    class Loud(Cube):
        @staticmethod
        def forward(ctx: Any, x: Tensor) -> Tensor:
            print("forward")
            torch.rand(1), random.random(), numpy.random.rand()
            return Cube.forward(ctx, x)

    x = leaf(4)
    before = x.detach().clone()
    torch.manual_seed(3), random.seed(3), numpy.random.seed(3)
    Loud.apply(x).sum().backward()  # type: ignore[no-untyped-call]
    plain = gradient_of(x)
    x.grad = None
    states = torch.get_rng_state(), random.getstate(), numpy.random.rand()
    torch.manual_seed(3), random.seed(3), numpy.random.seed(3)
    capsys.readouterr()
    with gradscope.trace(verify_functions=True) as t:
        Loud.apply(x).sum().backward()  # type: ignore[no-untyped-call]
    assert len(t.trace.functions) == 1
    assert capsys.readouterr().out == "forward\n"
    assert torch.equal(torch.get_rng_state(), states[0])
    assert random.getstate() == states[1]
    assert numpy.random.rand() == states[2]
    assert torch.equal(x, before)
    assert torch.equal(gradient_of(x), plain)
    assert torch.get_default_dtype() == torch.float32
    assert torch._functorch.utils.unwrap_dead_wrappers.__name__ == "unwrap_dead_wrappers"
