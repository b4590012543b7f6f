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
from typing import TypeGuard

import torch
from torch import Tensor

from gradscope.capture.engine import EngineCall
from gradscope.capture.plan import Plan

AGREEING = 2  # runs that must agree first
COMPARED = 1 << 20  # elements of leaves that are compared


def leaves_all(call: EngineCall, leaves: Iterable[tuple[int, Tensor]]) -> bool:
    """Whether a run would leave in ``.grad``, if None now, what each leaf received."""
    if call.create_graph or call.inputs or _has_company():
        return False
    return all(leaf._post_accumulate_grad_hooks is None for _, leaf in leaves)


def compare(plan: Plan, heard: Iterable[tuple[Tensor, Tensor]]) -> None:
    """Books whether leaves had in ``.grad`` what was heard.

    Args:
        plan: Of the run's graph.
        heard: Leaves and copies of what each received.
    """
    compared = 0
    for leaf, gradient in heard:
        left = leaf.grad
        compared += gradient.numel()
        if compared > COMPARED or gradient.device.type != "cpu":
            return
        if not (_is_plain(left) and _is_plain(gradient) and torch.equal(left, gradient)):
            if not (_is_plain(gradient) and bool(gradient.isnan().any())):  # NaN equals nothing
                plan.agreed = -1
            return
    plan.agreed += 1


def _is_plain(gradient: Tensor | None) -> TypeGuard[Tensor]:
    if type(gradient) is not Tensor or gradient.is_nested:
        return False
    return gradient.layout is torch.strided


def _has_company() -> bool:
    """Whether other processes may write to ``.grad``."""
    distributed = torch.distributed
    return distributed.is_available() and distributed.is_initialized()
