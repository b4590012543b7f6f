"""Sees the calls of a training loop: clearing, clipping, loss scaling, learning rate schedules.

What is patched is what the public functions call, where there is such a thing, so that a script
that imported them early is seen as well.
"""

from __future__ import annotations

import functools
import sys
import threading
from collections.abc import Callable
from contextlib import ExitStack
from types import FrameType
from typing import Any

import torch
from torch import Tensor, nn
from torch.amp.grad_scaler import GradScaler
from torch.nn.utils import clip_grad
from torch.optim import Optimizer, lr_scheduler

from gradscope.capture.calls import Calls
from gradscope.capture.dynamo import own_work, way_through
from gradscope.capture.leaves import Leaf, Leaves
from gradscope.capture.optimizers import Optimizers
from gradscope.capture.patching import replace
from gradscope.capture.quiet import recover

_See = Callable[..., None]  # is given what the call was given, and the frame of the call
_CLIP_VALUE = getattr(
    getattr(clip_grad.clip_grad_value_, "__wrapped__", clip_grad.clip_grad_value_), "__code__", None
)


class LoopCalls:
    """Notes the calls of the loop while installed; inert afterwards.

    Args:
        calls: Where they are noted.
        optimizers: Knows the optimizers' labels.
        leaves: Knows the parameters.

    Attributes:
        failures: Calls that could not be noted.
    """

    def __init__(self, calls: Calls, optimizers: Optimizers, leaves: Leaves) -> None:
        self.failures = 0
        self._active = True
        self._calls = calls
        self._optimizers = optimizers
        self._leaves = leaves
        self._local = threading.local()  # ``inside``: of a scaler's or scheduler's call

    def install(self, undo: ExitStack) -> None:
        """Replaces what the loop calls; ``undo`` puts it back."""
        undo.callback(self.retire)
        replace(undo, Optimizer, "zero_grad", self._after(self._cleared))
        replace(undo, nn.Module, "zero_grad", self._after(self._cleared))
        replace(undo, clip_grad, "_clip_grads_with_norm_", self._before(self._clipped))
        replace(undo, torch.nn.utils, "clip_grads_with_norm_", self._before(self._clipped))
        grouping = "_group_tensors_by_device_and_dtype"
        replace(undo, clip_grad, grouping, self._before(self._grouped))
        replace(undo, GradScaler, "unscale_", self._around(self._unscaled))
        replace(undo, GradScaler, "step", self._around(self._scaler_stepped))
        for kind in list(vars(lr_scheduler).values()):
            if isinstance(kind, type) and issubclass(kind, lr_scheduler.LRScheduler):
                replace(undo, kind, "step", self._around(self._scheduled))

    def retire(self) -> None:
        """Lets every call pass unseen."""
        self._active = False

    def _before(self, see: _See) -> Callable[[Any], Any]:
        """Wraps a function so that ``see`` looks at what it is given."""

        def wrap(original: Callable[..., Any]) -> Callable[..., Any]:
            @functools.wraps(original)
            @way_through
            def run(*args: Any, **kwargs: Any) -> Any:
                if self._active and not torch.compiler.is_compiling():
                    self._guarded(see, sys._getframe(1), *args, **kwargs)
                return original(*args, **kwargs)

            return run

        return wrap

    def _after(self, see: _See) -> Callable[[Any], Any]:
        """Wraps a function so that ``see`` is told when it has returned."""

        def wrap(original: Callable[..., Any]) -> Callable[..., Any]:
            @functools.wraps(original)
            @way_through
            def run(*args: Any, **kwargs: Any) -> Any:
                out = original(*args, **kwargs)
                if self._active and not torch.compiler.is_compiling():
                    self._guarded(see, sys._getframe(1), *args, **kwargs)
                return out

            return run

        return wrap

    def _around(self, see: _See) -> Callable[[Any], Any]:
        """The same, but not told of what such a call itself calls."""

        def wrap(original: Callable[..., Any]) -> Callable[..., Any]:
            @functools.wraps(original)
            @way_through
            def run(*args: Any, **kwargs: Any) -> Any:
                if not self._active or torch.compiler.is_compiling() or self._is_inside:
                    return original(*args, **kwargs)
                self._local.inside = True
                try:
                    out = original(*args, **kwargs)
                finally:
                    self._local.inside = False
                self._guarded(see, sys._getframe(1), *args, **kwargs)
                return out

            return run

        return wrap

    @property
    @own_work
    def _is_inside(self) -> bool:
        return getattr(self._local, "inside", False)

    @own_work
    def _guarded(self, see: _See, frame: FrameType, *args: Any, **kwargs: Any) -> None:
        try:
            see(frame, *args, **kwargs)
        except BaseException as error:
            recover(error)
            self.failures += 1

    def _cleared(
        self, frame: FrameType, owner: Optimizer | nn.Module, *_: object, **__: object
    ) -> None:
        if isinstance(owner, Optimizer):
            self._calls.note("zero_grad", frame, label=self._optimizers.label(owner))
        else:
            self._calls.note("zero_grad", frame, label=type(owner).__name__)

    def _clipped(
        self,
        frame: FrameType,
        parameters: Any,
        max_norm: float,
        total_norm: Tensor,
        *_: object,
        **__: object,
    ) -> None:
        norm = (total_norm,) if isinstance(total_norm, Tensor) else ()
        leaf = self._leaf_of(parameters)
        self._calls.note("clip", frame, limit=float(max_norm), leaf=leaf, numbers=norm)

    def _grouped(self, frame: FrameType, *_: object, **__: object) -> None:
        """Both ways of clipping come here; of clipping by value nothing else does."""
        if frame.f_code is not _CLIP_VALUE:
            return
        given = frame.f_locals
        leaf = self._leaf_of(given.get("parameters"))
        self._calls.note("clip_value", frame, limit=given["clip_value"], leaf=leaf)

    def _leaf_of(self, parameters: object) -> Leaf | None:
        """The first one that is known; what can be read only once is left alone."""
        if isinstance(parameters, Tensor):
            return self._leaves.known(parameters)
        if type(parameters) not in (list, tuple):
            return None
        found = (self._leaves.known(p) for p in parameters)  # type: ignore[attr-defined]
        return next((leaf for leaf in found if leaf is not None), None)

    def _unscaled(self, frame: FrameType, scaler: GradScaler, optimizer: Optimizer) -> None:
        if scaler.is_enabled():
            self._calls.note("unscale", frame, label=self._optimizers.label(optimizer))

    def _scaler_stepped(
        self, frame: FrameType, scaler: GradScaler, optimizer: Optimizer, *_: object, **__: object
    ) -> None:
        if scaler.is_enabled():
            found = scaler._per_optimizer_states[id(optimizer)]["found_inf_per_device"]
            label = self._optimizers.label(optimizer)
            self._calls.note("scaler_step", frame, label=label, numbers=list(found.values()))

    def _scheduled(
        self, frame: FrameType, scheduler: lr_scheduler.LRScheduler, *_: object, **__: object
    ) -> None:
        if not scheduler._is_initial:
            optimizer = getattr(scheduler, "optimizer", None)
            label = self._optimizers.label(optimizer) if optimizer is not None else ""
            self._calls.note("scheduler_step", frame, label=label)
