"""Where grad mode was switched off: one line per thread, for a loss that has no graph."""

from __future__ import annotations

import sys
import threading
from types import CodeType

import torch

from gradscope.capture.quiet import grad_enabled
from gradscope.capture.source import UserCode, place
from gradscope.model.events import Cut

SET_GRAD = torch._C._set_grad_enabled  # behind no_grad, enable_grad and set_grad_enabled


class Switching:
    """Remembers the user's line that switched grad mode off last, until it is on again.

    Inference mode is switched where no torch function is called; only whether it is on is known.

    Args:
        user: Tells the user's code.
    """

    def __init__(self, user: UserCode) -> None:
        self._user = user
        self._off: dict[int, tuple[CodeType, int] | None] = {}  # by thread

    def before(self, on: object) -> None:
        """Before a call of ``SET_GRAD``."""
        if on:
            self._off.pop(threading.get_ident(), None)
        elif torch.is_grad_enabled():
            user = self._user.innermost(sys._getframe(2))
            line = (user.f_code, user.f_lasti) if user is not None else None
            self._off[threading.get_ident()] = line

    @property
    def line(self) -> tuple[CodeType, int] | None:
        """The user's line that switched this thread's grad mode off, while it is off."""
        return self._off.get(threading.get_ident())

    def off(self, after_step: int) -> Cut | None:
        """What this thread's grad mode does to a loss; None while it is on.

        Args:
            after_step: Index of the step that began last.
        """
        if torch.is_inference_mode_enabled():
            return Cut("inference_mode", None, after_step, depth=0)
        if grad_enabled():
            return None
        line = self.line
        source = place(*line) if line is not None else None
        return Cut("grad_mode", source, after_step, depth=0)
