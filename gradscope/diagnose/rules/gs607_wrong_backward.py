"""A custom Function's backward is not the derivative of its forward.

What: On request (``--verify-functions``), every custom ``torch.autograd.Function`` of the run is
tried again in float64 on copies of the inputs of one call: what its backward gives along random
directions is compared with the central difference of its forward. Three kinds of difference are
usually meant, and are only told: a forward that is flat almost everywhere with a backward that
passes gradients on (straight-through), a backward that is one constant times the derivative
(gradient reversal, scaling), and a forward that returns its input unchanged.

Why it hurts: Training follows a gradient that does not belong to the loss. It may still go down,
slower and to another place, and nothing else will tell.

Example::

    class Cube(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x**3

        @staticmethod
        def backward(ctx, grad):
            (x,) = ctx.saved_tensors
            return grad * 3 * x

Instead::

    return grad * 3 * x**2  # and test it: torch.autograd.gradcheck(Cube.apply, (x.double(),))
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from gradscope.diagnose.rule import CannotJudgeError, NotAskedError, Rule
from gradscope.diagnose.run import Run
from gradscope.diagnose.words import name, number, percent
from gradscope.model.asked import FunctionCheck, InputCheck
from gradscope.model.finding import Finding, Where

RULE = Rule("GS607", "wrong-backward", "A custom Function's backward is not its derivative.")

CLOSE = 1e-2  # relative error in the norm over all directions; float64 gets 1e-7
FLAT = 1e-9  # of the backward's slopes: the forward does not move


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one input's slopes come to.

    Attributes:
        kind: ``wrong``, ``scaled``, ``flat``, ``none``, ``meant`` or ``unstable``.
        check: The input.
        error: Norm of the difference over the larger norm.
        factor: Backward over finite difference, as a least squares fit.
    """

    kind: str
    check: InputCheck
    error: float
    factor: float


def check(run: Run) -> Iterator[Finding]:
    """One finding per Function that differs."""
    functions = run.trace.functions
    if not functions:
        raise NotAskedError
    reasons = [f"{name(f.name)}: {f.skipped}" for f in functions if f.skipped]
    for function in functions:
        verdicts = [v for each in function.inputs if (v := judge(each, function.identity))]
        told = [v for v in verdicts if v.kind != "unstable"]
        if told:
            yield _finding(function, min(told, key=lambda v: _ORDER.index(v.kind)))
        if len(told) < len(verdicts):
            reasons.append(f"{name(function.name)}: its finite difference depends on the step")
    if reasons:
        raise CannotJudgeError(f"not compared were {'; '.join(reasons)}.")


_ORDER = ("wrong", "none", "scaled", "meant", "flat")


def judge(check: InputCheck, identity: bool = False) -> Verdict | None:
    """How backward and finite difference of one input differ; None where they agree."""
    backward = [slope.backward for slope in check.slopes]
    near = [slope.difference for slope in check.slopes]
    wide = [slope.wider for slope in check.slopes]
    if not all(map(math.isfinite, (*backward, *near, *wide))):
        return Verdict("unstable", check, math.nan, math.nan)
    error = min(_error(backward, near), _error(backward, wide))
    if error <= CLOSE:
        return None
    factor = _factor(backward, near)
    kind = _kind(check, backward, near, wide, factor)
    return Verdict("meant" if kind == "wrong" and identity else kind, check, error, factor)


def _kind(
    check: InputCheck,
    backward: Sequence[float],
    near: Sequence[float],
    wide: Sequence[float],
    factor: float,
) -> str:
    largest = max(map(abs, backward))
    still = sum(abs(difference) <= FLAT * largest for difference in near)
    if largest and still >= len(near) / 2:
        return "flat"
    if _error(near, wide) > CLOSE:
        return "unstable"
    if not check.given:
        return "none"
    scaled = _error(backward, [factor * difference for difference in near]) <= CLOSE
    return "scaled" if scaled else "wrong"


def _error(first: Sequence[float], second: Sequence[float]) -> float:
    apart = math.hypot(*(a - b for a, b in zip(first, second, strict=True)))
    size = max(math.hypot(*first), math.hypot(*second))
    return apart / size if size else 0.0


def _factor(backward: Sequence[float], difference: Sequence[float]) -> float:
    size = math.hypot(*difference)
    products = (b / size * (d / size) for b, d in zip(backward, difference, strict=True) if size)
    return math.fsum(products)


def _finding(function: FunctionCheck, verdict: Verdict) -> Finding:
    given = verdict.check.name
    of = f" for {name(given)}" if given else f" for argument {verdict.check.index}"
    tries = len(verdict.check.slopes)
    return RULE.finding(
        "warning" if verdict.kind in ("wrong", "none") else "info",
        _message(function, verdict, of),
        where=Where(source=function.source, op=f"{function.name}Backward", variable=given),
        seen=tries,
        of=tries,
        evidence={
            "relative_error": verdict.error,
            "factor": verdict.factor,
            "directions": tries,
        },
        cause=_CAUSES[verdict.kind],
        fix=f"torch.autograd.gradcheck({function.name}.apply, inputs)  # float64 inputs; then "
        f"{_CORRECTION[verdict.kind == 'none']}",
        silence="A backward that is meant to differ: # gradscope: ignore[GS607] at its def.",
    )


def _message(function: FunctionCheck, verdict: Verdict, of: str) -> str:
    backward, forward = name(f"{function.name}.backward"), name(f"{function.name}.forward")
    factor = number(verdict.factor)
    messages = {
        "wrong": f"{backward} is not the derivative of {forward}{of}: it is "
        f"{percent(min(verdict.error, 1.0))} off the finite difference in float64",
        "scaled": f"{backward} gives {factor} times the derivative of {forward}{of}",
        "none": f"{backward} returns None{of}, though the result of {forward} depends on it",
        "meant": f"{backward} changes the gradient{of}, though {forward} returns its input",
        "flat": f"{forward} is flat almost everywhere{of}, and {backward} sends a gradient all "
        "the same (straight-through)",
    }
    return messages[verdict.kind]


_CAUSES = {
    "wrong": "A formula in backward does not belong to what forward computes.",
    "scaled": "Gradient reversal and scaling are meant to; a forgotten factor is not.",
    "none": "The gradient of this input is left out.",
    "meant": "Clipping or changing a gradient on its way is usually meant.",
    "flat": "A straight-through estimator is meant to.",
}
_CORRECTION = ("correct backward", "return the gradient in the place of None")
