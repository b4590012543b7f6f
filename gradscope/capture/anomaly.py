"""Anomaly mode's "Traceback of forward call that caused the error", without gradscope's frames."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable
from contextlib import ExitStack
from functools import wraps
from types import FrameType

from torch.fx import traceback as kept_stacks

from gradscope.capture.frames import by_python_alone, stack_of
from gradscope.capture.patching import replace
from gradscope.capture.quiet import recover
from gradscope.capture.source import is_own

_LAUNCHER = "launch.py"


class AnomalyStacks:
    """Stands before the function that torch asks for the stack of every node, while installed.

    Attributes:
        failures: Stacks that were left as they are.
    """

    def __init__(self) -> None:
        self.failures = 0
        self._active = True

    def install(self, undo: ExitStack) -> None:
        """Replaces it; ``undo`` puts it back."""
        undo.callback(self._retire)
        replace(undo, kept_stacks, "format_stack", self._wrap)

    def _retire(self) -> None:
        self._active = False

    def _wrap(self, original: Callable[[], list[str]]) -> Callable[[], list[str]]:
        @wraps(original)
        def format_stack() -> list[str]:
            if not self._active or kept_stacks.should_preserve_node_meta:
                return original()
            try:
                return _formatted(sys._getframe(1))
            except BaseException as error:
                recover(error)
                self.failures += 1
                return original()

        return format_stack


def _formatted(frame: FrameType) -> list[str]:
    stack = stack_of(frame)
    outside = [i for i, (above, _, _) in enumerate(stack) if _launches(above)]
    theirs = by_python_alone(stack[outside[-1] + 1 :] if outside else stack)
    return traceback.StackSummary.extract((frame, line) for frame, _, line in theirs).format()


def _launches(frame: FrameType) -> bool:
    """Whether a frame is the one that runs the user's script; those outside it are ours, too."""
    file = frame.f_code.co_filename
    return file.endswith(_LAUNCHER) and is_own(file)
