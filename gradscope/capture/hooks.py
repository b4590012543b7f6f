"""Hooks on the nodes of a graph, and which slot of it a tensor belongs to."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor


def hook_outputs(
    nodes: list[Any],
    chosen: list[int],
    hook: Callable[[int, Tensor | None], None],
    hooks: list[dict[int, Any]],
) -> None:
    """Hooks nodes with one output as a hook of a tensor's would: a fifth of the price.

    What stays behind in a node is an empty dict, so this is for nodes that run only once.

    Args:
        nodes: Of the graph.
        chosen: Which of them.
        hook: Called with the node's number and its gradient.
        hooks: Grows; clearing its dicts removes the hooks.
    """
    carrier = torch.empty(0)
    for i in chosen:
        held = carrier._backward_hooks = {0: partial(hook, i)}
        hooks.append(held)
        nodes[i]._register_hook_dict(carrier)
    carrier._backward_hooks = None


def slot_of(asked: Any, ids: dict[Any, int], leaves: dict[int, int]) -> tuple[int, int] | None:
    """Where in the graph a tensor or ``GradientEdge`` is that a gradient was asked for."""
    if not isinstance(asked, Tensor):
        found, output_nr = ids.get(asked.node), asked.output_nr
    elif asked.grad_fn is not None:
        found, output_nr = ids.get(asked.grad_fn), asked.output_nr
    else:
        found, output_nr = leaves.get(id(unwrapped(asked))), 0
    return None if found is None else (found, output_nr)


def unwrapped(tensor: Tensor) -> Tensor:
    """The user's tensor behind what ``torch.func`` made of it."""
    while torch._C._functorch.is_functorch_wrapped_tensor(tensor):
        tensor = torch._C._functorch.get_unwrapped(tensor)
    return tensor
