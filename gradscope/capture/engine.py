"""Every run of the autograd engine passes here on its way.

Both names under which Python reaches the engine are private; where one is missing the run is not
seen and the trace says so.

NOTE [Raised from inside the entry]: Ctrl-C, or a signal handler of the program's that raises, may
come while gradscope works before or after the engine. Without gradscope it would have come in the
engine, so it is raised again from where torch calls that, and the traceback is the same.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass
from types import FunctionType
from typing import Any, Protocol

import torch
from torch import Tensor

from gradscope.capture.dynamo import own_work, way_through
from gradscope.capture.quiet import let_pass
from gradscope.capture.raised import entries
from gradscope.capture.source import is_own

_ENTRY = "_engine_run_backward"


@dataclass(slots=True)
class EngineCall:
    """The arguments of one engine run; the tensors are let go of when it is over.

    Attributes:
        outputs: Tensors or ``GradientEdge``s it starts from.
        keep_graph: As passed (``retain_graph``).
        create_graph: As passed.
        inputs: What gradients are asked for; empty: all leaves.
        fills_grad: False when gradients are returned instead of added to ``.grad``.
    """

    outputs: tuple[Any, ...]
    keep_graph: bool
    create_graph: bool
    inputs: tuple[Any, ...]
    fills_grad: bool


class Listener(Protocol):
    """What is told of engine runs; neither method may raise."""

    def begin(self, call: EngineCall) -> Any:
        """Before the engine starts; the result is handed to ``end``."""

    def end(self, begun: Any, gradients: object, error: BaseException | None) -> None:
        """After it returned or raised."""


class EngineWatch:
    """Wraps the engine's entry while installed; inert afterwards, even under another's patch.

    Args:
        listener: Is told of every run.
        during: Makes the context in which the engine runs.
    """

    def __init__(
        self,
        listener: Listener,
        during: Callable[[], AbstractContextManager[Any]] = nullcontext,
    ) -> None:
        self._listener: Listener | None = listener
        self._during = during
        self.failures = 0
        self.missing: list[str] = []

    def install(self, undo: ExitStack) -> None:
        """Replaces both entries; ``undo`` puts back what was there unless others built on it."""
        undo.callback(self.retire)
        for module in (torch.autograd.graph, torch.autograd):
            original = getattr(module, _ENTRY, None)
            if original is None:
                self.missing.append(f"{module.__name__}.{_ENTRY}")
                continue
            wrapped = self._wrap(original)
            undo.callback(_put_back, module, wrapped, original)
            setattr(module, _ENTRY, wrapped)

    def retire(self) -> None:
        """Lets every run pass untold."""
        self._listener = None

    def _wrap(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        @way_through
        def run_backward(outputs: Sequence[Any], *args: Any, **kwargs: Any) -> Any:
            listener = self._listener
            if listener is None or torch.compiler.is_compiling():
                return original(outputs, *args, **kwargs)
            try:
                begun = self._begin(listener, outputs, args, kwargs)
                try:
                    with self._during():
                        gradients = original(outputs, *args, **kwargs)
                except BaseException as error:
                    listener.end(begun, None, error)
                    raise
                listener.end(begun, gradients, None)
            except BaseException as error:
                self._raise_inside(original, error)
                raise
            return gradients

        return run_backward

    @own_work
    def _begin(
        self,
        listener: Listener,
        outputs: Sequence[Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Any:
        try:
            call = _engine_call(outputs, *args, **kwargs)
        except BaseException as error:  # called in a way that this torch does not know
            let_pass(error)
            self.failures += 1
            return None
        return listener.begin(call)

    @own_work
    def _raise_inside(self, original: Any, error: BaseException) -> None:
        """See NOTE [Raised from inside the entry]; does nothing where it has come through there."""
        entry = None
        try:
            entry = _missed(original, error)
        except BaseException as failure:
            let_pass(failure)
            self.failures += 1
        if entry is None:
            return
        try:
            entry((), (), _Raises(error), False)
        except BaseException as raised:
            if raised is error:
                raise


class _Raises:
    """Stands for a number; whoever reads it gets the error."""

    def __init__(self, error: BaseException) -> None:
        self._error = error

    def __index__(self) -> int:
        raise self._error


def _missed(entry: Any, error: BaseException) -> FunctionType | None:
    """The entry of torch itself, where nobody but gradscope stands before it and it was not met."""
    while isinstance(entry, FunctionType) and is_own(entry.__code__.co_filename):
        entry = getattr(entry, "__wrapped__", None)
    if not isinstance(entry, FunctionType) or entry.__globals__ is not vars(torch.autograd.graph):
        return None
    met = [each.tb_frame.f_code for each in entries(error.__traceback__)]
    return None if entry.__code__ in met else entry


def _put_back(module: Any, wrapped: object, original: object) -> None:
    if getattr(module, _ENTRY, None) is wrapped:
        setattr(module, _ENTRY, original)


def _engine_call(
    outputs: Sequence[Any],
    gradients: object = None,
    keep_graph: object = False,
    create_graph: object = False,
    inputs: Sequence[Any] | None = (),
    allow_unreachable: object = False,
    accumulate_grad: object = True,
    **_: object,
) -> EngineCall:
    """Reads the arguments in the engine's order."""
    fills_grad = bool(accumulate_grad)
    asked = _as_tuple(inputs or ())
    return EngineCall(_as_tuple(outputs), bool(keep_graph), bool(create_graph), asked, fills_grad)


def _as_tuple(results: Any) -> tuple[Any, ...]:
    return (results,) if isinstance(results, Tensor) else tuple(results)
