"""Hooks on the nodes of a graph, and which slot of it a tensor belongs to."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import ExitStack
from itertools import count
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.autograd.function import _HookMixin

from gradscope.capture.dynamo import way_through
from gradscope.capture.patching import replace

_keys = count(-1, -1)  # torch's own keys count up from 0


class NodeHooks(dict[int, Any]):
    """The hooks of one node; the user's may join them, and their handles refer to it weakly."""

    __slots__ = ("__weakref__",)


class Hooks:
    """One run's hooks on nodes, without the handle that torch makes for each.

    What stays behind in a node is an empty dict. The hooks are not told which node they are called
    at; ``torch._C._current_autograd_node`` tells.

    Attributes:
        registering: Those to which hooks are being added.
        key: Of all of them in the dict of their node.
        hook: That is being added.
        dicts: Those that they are in.
    """

    registering: ClassVar[Hooks | None] = None

    def __init__(self) -> None:
        self.key = next(_keys)
        self.hook: Any = None
        self.dicts: list[dict[int, Any]] = []
        self._handles: list[Any] = []

    def before(self, nodes: Iterable[Any], hook: Callable[..., None]) -> None:
        """Has a hook called with the gradients that each of the nodes received."""
        Hooks.registering, self.hook = self, hook
        for node in nodes:
            handle = node.register_prehook(hook)
            if handle is not None:  # ``without_handles`` is not installed
                self._handles.append(handle)
        Hooks.registering = self.hook = None

    def after(self, nodes: Iterable[Any], hook: Callable[..., None]) -> None:
        """Has a hook called with the gradients that each of the nodes sent, and received."""
        Hooks.registering, self.hook = self, hook
        for node in nodes:
            handle = node.register_hook(hook)
            if handle is not None:
                self._handles.append(handle)
        Hooks.registering = self.hook = None

    def before_single(self, nodes: Iterable[Any], hook: Callable[[Tensor | None], None]) -> None:
        """Has a hook called with the one gradient that each received, as a tensor's hook is.

        The cheapest, but a dict for each time stays behind: for nodes that run only once.
        """
        carrier = torch.empty(0)
        held = carrier._backward_hooks = {self.key: hook}
        self.dicts.append(held)
        for node in nodes:
            node._register_hook_dict(carrier)
        carrier._backward_hooks = None

    def remove(self) -> None:
        """Removes them all."""
        key = self.key
        for hooks in self.dicts:
            hooks.pop(key, None)
        for handle in self._handles:
            handle.remove()
        self.dicts.clear()
        self._handles.clear()


def without_handles(undo: ExitStack) -> None:
    """Until ``undo``, has torch ask us for the dict of the hooks that ``Hooks`` registers."""
    replace(undo, _HookMixin, "_register_hook", _asking)


def _asking(original: Callable[..., Any]) -> Any:
    @way_through
    def _register_hook(backward_hooks: Any, hook: Any) -> Any:
        here = Hooks.registering
        if here is None or hook is not here.hook:
            return original(backward_hooks, hook)
        hooks = NodeHooks() if backward_hooks is None else backward_hooks
        hooks[here.key] = hook
        here.dicts.append(hooks)
        return hooks, None

    return staticmethod(_register_hook)


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
