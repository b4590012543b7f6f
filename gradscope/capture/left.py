"""Gradients of leaves read from ``.grad`` after a run, instead of heard during it.

NOTE [What a run leaves]
Where ``.grad`` was None before a run, what is there afterwards is what the leaf received: one copy
for all leaves, where a hook at each of them takes a small model a tenth of its step. Unless
somebody else writes to ``.grad`` meanwhile: a hook of the user's, a backward inside this one or
beside it, an optimizer that steps in it, another process. So the leaves of graphs of one shape are
heard at hooks until twice what was left has been what was heard, and whenever others may be at
work. Only on the CPU: to compare is to wait for a device.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, TypeGuard

import torch
from torch import Tensor

from gradscope.capture.engine import EngineCall
from gradscope.capture.plan import Plan
from gradscope.capture.quiet import quiet

if TYPE_CHECKING:
    from gradscope.capture.updates import Ledger

AGREEING = 2  # runs that must agree first
COMPARED = 1 << 20  # elements of leaves that are compared


class LeftGrads:
    """Whether what one run leaves in ``.grad`` tells what its leaves received.

    Args:
        plan: Of the run's graph; keeps how often the two agreed.
        ledger: Knows the updates so far.

    Attributes:
        may_tell: As far as can be told before the run.
        disturbed: Whether another run was under way as well.
    """

    __slots__ = ("_heard", "_ledger", "_plan", "_updates", "disturbed", "may_tell")

    def __init__(self, plan: Plan, ledger: Ledger) -> None:
        self.may_tell = False
        self.disturbed = False
        self._plan = plan
        self._ledger = ledger
        self._updates = len(ledger.updates)
        self._heard: list[tuple[Tensor, Tensor]] | None = None

    def ask(self, call: EngineCall, leaves: Iterable[tuple[int, Tensor]]) -> None:
        """Looks at a run that begins, with no ``.grad`` in the leaves of its graph."""
        plain = not (self.disturbed or call.create_graph or call.inputs)
        self.may_tell = plain and self._plan.agreed >= 0 and not _has_company()
        if self.may_tell:
            self.may_tell = all(x._post_accumulate_grad_hooks is None for _, x in leaves)

    def is_enough(self, kept: bool) -> bool:
        """Whether no leaf needs a hook.

        Args:
            kept: Whether more is asked of the gradients, so that all are heard.
        """
        if self.may_tell and (kept or self._plan.agreed < AGREEING):
            self._heard = []
        return self.may_tell and self._heard is None

    def heard(self, leaf: Tensor, gradient: Tensor) -> None:
        """What a leaf received, to be compared with what is left; not when ``is_unusual``."""
        if self._heard is None or self._plan.agreed >= AGREEING:
            return
        if type(gradient) is Tensor:
            with quiet():
                self._heard.append((leaf, gradient.clone()))
        else:
            self.may_tell = False

    def is_told(self, failed: bool) -> bool:
        """After the run: whether the leaves are still to be read, and may be.

        Args:
            failed: Whether it raised.
        """
        alone = not self.disturbed and len(self._ledger.updates) == self._updates
        if not alone:
            self._plan.agreed = -1
        elif self._heard and not failed and 0 <= self._plan.agreed < AGREEING:
            self._compare(self._heard)
        return alone

    def _compare(self, heard: Iterable[tuple[Tensor, Tensor]]) -> None:
        compared = 0
        for leaf, gradient in heard:
            left = leaf.grad
            compared += gradient.numel()
            if compared > COMPARED or gradient.device.type != "cpu":
                return
            if not (_is_plain(left) and _is_plain(gradient) and torch.equal(left, gradient)):
                if not (_is_plain(gradient) and bool(gradient.isnan().any())):  # equals nothing
                    self._plan.agreed = -1
                return
        self._plan.agreed += 1

    @property
    def by_hooks(self) -> bool:
        """Whether the leaves were heard at hooks."""
        return not self.may_tell or self._heard is not None

    def close(self) -> None:
        """Lets go of the leaves."""
        self._heard = None


def _is_plain(gradient: Tensor | None) -> TypeGuard[Tensor]:
    if type(gradient) is not Tensor or gradient.is_nested:
        return False
    return gradient.layout is torch.strided


def _has_company() -> bool:
    """Whether other processes may write to ``.grad``."""
    distributed = torch.distributed
    return distributed.is_available() and distributed.is_initialized()
