"""A custom Function's backward against the finite difference of its forward.

NOTE [On copies, in float64]: the user's forward and backward run again, on copies of the inputs of
one call converted to float64, a little away from them so that kinks such as relu's at 0 are not
hit. Random numbers, printing, the default data type and autocast are set aside for the time; what
else a forward does on the side (counting calls, writing files) happens again, which is why this is
done on request only.
"""

from __future__ import annotations

import inspect
import io
import random
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from time import monotonic
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from gradscope.capture.source import message_of
from gradscope.model.asked import FunctionCheck, InputCheck, Slope
from gradscope.model.graph import Source

JITTERS = (1e-3, 0.1, 0.1)  # distance of each point from the captured inputs, over their RMS
DIRECTIONS = 3
STEP, WIDER = 1e-6, 1e-4  # over the RMS of the inputs; see ``torch.autograd.gradcheck``
LIMIT_S = 10.0  # no further points after that
_SAME = 1e-9


class CannotCompare(Exception):
    """There is nothing to compare; its message says why."""


def compare(function: Any, args: tuple[Any, ...], source: Source | None) -> FunctionCheck:
    """Tries one Function; never raises but for interrupts.

    Args:
        function: The subclass of ``torch.autograd.Function``.
        args: Copies of what it was called with.
        source: Where its backward begins.
    """
    name = function.__name__
    try:
        with _apart():
            trial = _Trial(function, args)
            return FunctionCheck(name, source, tuple(trial.inputs()), trial.identity)
    except CannotCompare as reason:
        return FunctionCheck(name, source, skipped=str(reason))
    except Exception as error:
        raised = f"{type(error).__name__}: {message_of(error)}"
        return FunctionCheck(name, source, skipped=f"it could not be tried: {raised}")


@contextmanager
def _apart() -> Iterator[None]:
    """Everything that the user's code could change or depend on, and that can be set aside."""
    dtype, state = torch.get_default_dtype(), random.getstate()
    numpy: Any = sys.modules.get("numpy")
    numpy_state = numpy.random.get_state() if numpy is not None else None
    devices = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()
    with ExitStack() as stack:
        stack.enter_context(torch.random.fork_rng(list(devices)))
        stack.callback(random.setstate, state)
        if numpy_state is not None:
            stack.callback(numpy.random.set_state, numpy_state)
        stack.callback(torch.set_default_dtype, dtype)
        torch.set_default_dtype(torch.float64)
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        for kind in ("cpu", "cuda") if devices else ("cpu",):
            stack.enter_context(torch.autocast(kind, enabled=False))
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        stack.enter_context(redirect_stdout(io.StringIO()))
        stack.enter_context(redirect_stderr(io.StringIO()))
        yield


@dataclass(frozen=True)
class _Point:
    """Where the Function is tried: the checked inputs, by position, and its results there."""

    number: int
    inputs: dict[int, Tensor]
    results: list[Tensor]


class _Trial:
    """One Function with float64 copies of its arguments.

    Raises:
        CannotCompare: Its forward is random, or fails, or gives nothing that can be compared.
    """

    def __init__(self, function: Any, args: tuple[Any, ...]) -> None:
        self._function = function
        self._args = tuple(tree_map(_in_double, arg) for arg in args)
        self._checked = [
            i
            for i, arg in enumerate(args)
            if isinstance(arg, Tensor) and arg.requires_grad and arg.is_floating_point()
        ]
        if not self._checked:
            raise CannotCompare("none of its own arguments is a tensor that requires a gradient")
        self._generator = torch.Generator().manual_seed(0)
        self._differentiable: list[int] = []
        self.identity = False

    def inputs(self) -> list[InputCheck]:
        """What was measured, input by input."""
        slopes: dict[int, list[Slope]] = {i: [] for i in self._checked}
        given = dict.fromkeys(self._checked, False)
        started = monotonic()
        for point in self._points():
            for _ in range(DIRECTIONS):
                weights = [self._random(result) for result in point.results]
                gradients = self._backward(point.inputs, weights)
                for i in self._checked:
                    given[i] |= gradients[i] is not None
                    slopes[i].append(self._slope(point, i, gradients[i], weights))
            if monotonic() - started > LIMIT_S:
                break
        if not any(slopes.values()):
            raise CannotCompare("its results are not finite near the inputs it met")
        names = _argument_names(self._function)
        return [
            InputCheck(i, names[i] if i < len(names) else "", tuple(slopes[i]), given[i])
            for i in self._checked
        ]

    def _points(self) -> Iterator[_Point]:
        for number, jitter in enumerate(JITTERS):
            for distance in (jitter, 0.0) if number == 0 else (jitter,):
                inputs = {i: self._moved(self._args[i], distance) for i in self._checked}
                results = self._differentiable_results(inputs)
                if all(result.isfinite().all() for result in results):
                    yield _Point(number, inputs, results)
                    break

    def _moved(self, x: Tensor, distance: float) -> Tensor:
        return x + self._random(x) * distance * _size(x)

    def _differentiable_results(self, inputs: dict[int, Tensor]) -> list[Tensor]:
        """The results without their graph; finds out once which of them have a gradient."""
        if self._differentiable:
            return self._forward(inputs)
        leaves = {i: x.clone().requires_grad_() for i, x in inputs.items()}
        found = self._call({i: leaf.clone() for i, leaf in leaves.items()})
        self._differentiable = [
            nr for nr, r in enumerate(found) if r.requires_grad and r.is_floating_point()
        ]
        if not self._differentiable:
            raise CannotCompare("none of its results has a gradient")
        first, second = self._forward(inputs), self._forward(inputs)
        for one, other in zip(first, second, strict=True):
            if not torch.allclose(one, other, rtol=_SAME, atol=0.0, equal_nan=True):
                raise CannotCompare("its forward is random: it gave two results for equal inputs")
        self.identity = any(
            x.shape == r.shape and torch.equal(x, r) for x in inputs.values() for r in first
        )
        return first

    def _forward(self, inputs: dict[int, Tensor]) -> list[Tensor]:
        with torch.no_grad():
            found = self._call({i: x.clone() for i, x in inputs.items()})
        return [found[nr].detach().clone() for nr in self._differentiable]

    def _call(self, inputs: dict[int, Tensor]) -> list[Tensor]:
        args = [inputs.get(i, _fresh(arg)) for i, arg in enumerate(self._args)]
        found = _telling("forward", lambda: self._function.apply(*args))
        several = found if isinstance(found, tuple) else (found,)
        return [r if isinstance(r, Tensor) else torch.zeros(()) for r in several]

    def _backward(
        self, inputs: dict[int, Tensor], weights: list[Tensor]
    ) -> dict[int, Tensor | None]:
        leaves = [inputs[i].clone().requires_grad_() for i in self._checked]
        calls = {i: leaf.clone() for i, leaf in zip(self._checked, leaves, strict=True)}
        found = self._call(calls)
        results = [found[nr] for nr in self._differentiable]
        weights = [w.to(r.dtype) for w, r in zip(weights, results, strict=True)]
        gradients = _telling(
            "backward",
            lambda: torch.autograd.grad(results, leaves, weights, allow_unused=True),
        )
        return dict(zip(self._checked, gradients, strict=True))

    def _slope(
        self, point: _Point, i: int, gradient: Tensor | None, weights: list[Tensor]
    ) -> Slope:
        along = self._random(point.inputs[i]) * _size(point.inputs[i])
        backward = 0.0 if gradient is None else float((gradient.double() * along).sum())
        near, wide = (self._difference(point, i, along * h, weights) / h for h in (STEP, WIDER))
        return Slope(point.number, backward, near, wide)

    def _difference(self, point: _Point, i: int, move: Tensor, weights: list[Tensor]) -> float:
        """Half the change of the weighted results from one side to the other."""
        x = point.inputs[i]
        above = self._forward({**point.inputs, i: x + move})
        below = self._forward({**point.inputs, i: x - move})
        changes = [(a.double() - b.double()) / 2 for a, b in zip(above, below, strict=True)]
        return sum(float((c * w).sum()) for c, w in zip(changes, weights, strict=True))

    def _random(self, like: Tensor) -> Tensor:
        drawn = torch.randn(like.shape, generator=self._generator, dtype=torch.float64)
        return drawn.to(like.device)


def _telling(part: str, run: Callable[[], Any]) -> Any:
    """Runs a part of the user's Function; what it raises becomes the reason."""
    try:
        return run()
    except (Exception, SystemExit) as error:
        reason = f"{type(error).__name__}: {message_of(error)}"
        raise CannotCompare(f"its {part} failed in float64: {reason}") from None


def _in_double(leaf: Any) -> Any:
    if not isinstance(leaf, Tensor):
        return leaf
    return leaf.detach().double() if leaf.is_floating_point() else leaf.detach()


def _fresh(arg: Any) -> Any:
    """A copy of its own for every call, since a forward may write into its inputs."""
    return tree_map(lambda leaf: leaf.clone() if isinstance(leaf, Tensor) else leaf, arg)


def _size(x: Tensor) -> float:
    """RMS of the elements; 1 where they are all 0."""
    return float(x.square().mean().sqrt()) or 1.0 if x.numel() else 1.0


def _argument_names(function: Any) -> list[str]:
    """What ``forward`` calls its arguments, the context left out."""
    try:
        parameters = list(inspect.signature(function.forward).parameters.values())
    except (TypeError, ValueError):
        return []
    separate = function.setup_context is not torch.autograd.Function.setup_context
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return [p.name for p in parameters if p.kind in kinds][0 if separate else 1 :]
