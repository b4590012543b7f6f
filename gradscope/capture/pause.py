"""Lets torch's own optimizers step without our torch function mode, which has nothing to see there.

An optimizer calls dozens of torch functions even on a small model, and each would pass the mode. It
is taken off only where nothing of the user's runs inside the step and it is on top of the stack,
and put back where it was. Should a step raise, it is put back when the capture next has its turn.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import torch
from torch._C import (
    _get_function_stack_at,
    _len_torch_function_stack,
    _pop_torch_function_stack,
    _push_on_torch_function_stack,
)
from torch.optim import Optimizer
from torch.optim.optimizer import (
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
)

from gradscope.capture.forward import ForwardMode, ForwardRecorder
from gradscope.capture.quiet import recover


class Pause:
    """Takes the mode off during optimizer steps while installed.

    Attributes:
        failures: Times that it could not be taken off or put back.
    """

    def __init__(self, recorder: ForwardRecorder) -> None:
        self.failures = 0
        self._recorder = recorder

    def install(self, undo: ExitStack) -> None:
        """Registers the global optimizer hooks; ``undo`` removes them."""
        undo.callback(self.put_back)
        undo.callback(register_optimizer_step_pre_hook(self._before).remove)
        undo.callback(register_optimizer_step_post_hook(self._after).remove)

    def put_back(self) -> None:
        """Puts the mode back if it is off and the stack is as it was."""
        record = self._recorder.windows.here
        if record.paused is not None:
            (below, mode), record.paused = record.paused, None
            if _len_torch_function_stack() == below:
                _push_on_torch_function_stack(mode)

    def _before(self, optimizer: Optimizer, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        try:
            self.put_back()
            if len(args) > 1 or kwargs or not _is_torchs_own(optimizer):
                return
            below = _len_torch_function_stack() - 1
            mode = _get_function_stack_at(below) if below >= 0 else None
            if isinstance(mode, ForwardMode) and mode.recorder is self._recorder:
                self._recorder.windows.here.paused = (below, mode)
                _pop_torch_function_stack()
        except BaseException as error:
            recover(error)
            self.failures += 1

    def _after(self, _optimizer: Optimizer, _args: object, _kwargs: object) -> None:
        try:
            self.put_back()
        except BaseException as error:
            recover(error)
            self.failures += 1


def _is_torchs_own(optimizer: Optimizer) -> bool:
    """Whether the step runs no code of the user's and makes no graph."""
    return (
        type(optimizer).__module__.startswith("torch.optim.")
        and not optimizer._optimizer_step_pre_hooks
        and not optimizer._optimizer_step_post_hooks
        and not any(group.get("differentiable") for group in optimizer.param_groups)
        and not torch.compiler.is_compiling()
    )
