"""Which module call is running: a stack of calls per thread, kept by torch's global hooks."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from contextlib import ExitStack
from types import CodeType
from typing import Any

import torch
from torch import nn
from torch.nn.modules.module import (
    register_module_forward_hook,
    register_module_forward_pre_hook,
)


class ModuleCall:
    """One call of one module.

    Attributes:
        serial: Unique per call, rising.
        root: The outermost module of the call stack, to be named from the user's variables.
        root_id: Its ``id``, valid while it lives.
        path: Path below the root: empty for the root itself.
        types: Class names from the root down to this module.
        execution: The outermost library module that the user's line called: what one execution
            of that line is known by.
    """

    __slots__ = (
        "execution",
        "is_user",
        "module_id",
        "parent",
        "path",
        "root",
        "root_id",
        "serial",
        "types",
    )

    def __init__(
        self,
        serial: int,
        module: nn.Module,
        place: tuple[str, tuple[str, ...]],
        parent: ModuleCall | None,
        is_user: bool,
    ) -> None:
        self.serial = serial
        self.module_id = id(module)
        self.path, self.types = place
        self.parent = parent
        self.root: weakref.ref[nn.Module] = parent.root if parent else weakref.ref(module)
        self.root_id: int = parent.root_id if parent else id(module)
        self.is_user = is_user
        inside_library = parent is not None and not parent.is_user
        self.execution: int = parent.execution if parent and inside_library else serial


class ModuleTracker:
    """Follows module calls while installed.

    Args:
        is_user_code: Whether a code object is the user's.
    """

    def __init__(self, is_user_code: Callable[[CodeType], bool]) -> None:
        self._is_user_code = is_user_code
        self._local = threading.local()
        self._serial = 0
        self._places: dict[int, tuple[weakref.ref[nn.Module], dict[int, Any]]] = {}
        self._user_types: dict[type, bool] = {}
        self.roots: weakref.WeakSet[nn.Module] = weakref.WeakSet()
        self.paused = False

    def install(self, undo: ExitStack) -> None:
        """Registers the global hooks; ``undo`` removes them."""
        undo.callback(register_module_forward_pre_hook(self._enter).remove)
        leave = register_module_forward_hook(self._leave, always_call=True)
        undo.callback(leave.remove)

    @property
    def current(self) -> ModuleCall | None:
        """The innermost running call of this thread."""
        stack = getattr(self._local, "stack", None)
        return stack[-1][1] if stack else None

    def _enter(self, module: nn.Module, _args: object) -> None:
        if torch.compiler.is_compiling():
            return
        stack = getattr(self._local, "stack", None)
        if stack is None:
            stack = self._local.stack = []
        stack.append((id(module), None if self.paused else self._call(module, stack)))

    def _leave(self, module: nn.Module, _args: object, _result: object) -> None:
        if torch.compiler.is_compiling():
            return
        stack = getattr(self._local, "stack", None) or []
        key = id(module)
        if any(entry[0] == key for entry in stack):
            while stack.pop()[0] != key:
                pass

    def _call(self, module: nn.Module, stack: list[tuple[int, ModuleCall | None]]) -> ModuleCall:
        self._serial += 1
        parent = stack[-1][1] if stack else None
        if parent is None:
            self.roots.add(module)
            place: tuple[str, tuple[str, ...]] = ("", (type(module).__name__,))
        else:
            place = self._place(module, parent)
        return ModuleCall(self._serial, module, place, parent, self._is_user(type(module)))

    def _place(self, module: nn.Module, parent: ModuleCall) -> tuple[str, tuple[str, ...]]:
        """Path and types of a module below the root of its call stack."""
        root = parent.root()
        known = self._places.get(id(root))
        if root is not None and (known is None or known[0]() is not root):
            known = self._places[id(root)] = (weakref.ref(root), _paths(root))
        if known is not None:
            found = known[1].get(id(module))
            if found is not None and found[0]() is module:
                return found[1], found[2]
        name = type(module).__name__  # created during the call, or kept in a plain list
        path = f"{parent.path}.{name}" if parent.path else name
        return path, (*parent.types, name)

    def _is_user(self, cls: type) -> bool:
        known = self._user_types.get(cls)
        if known is None:
            code = getattr(getattr(cls, "forward", None), "__code__", None)
            known = self._user_types[cls] = code is not None and self._is_user_code(code)
        return known


def _paths(root: nn.Module) -> dict[int, tuple[weakref.ref[nn.Module], str, tuple[str, ...]]]:
    """Per submodule: a reference to tell a reused id, its path, the class names down to it."""
    types: dict[str, tuple[str, ...]] = {}
    found: dict[int, tuple[weakref.ref[nn.Module], str, tuple[str, ...]]] = {}
    for path, module in root.named_modules():
        above = types.get(path.rpartition(".")[0], ()) if path else ()
        types[path] = (*above, type(module).__name__)
        found[id(module)] = (weakref.ref(module), path, types[path])
    return found
