"""Which module call is running: a stack of calls per thread, kept by torch's global hooks."""

from __future__ import annotations

import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import CodeType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.module import (
    register_module_forward_hook,
    register_module_forward_pre_hook,
)

from gradscope.capture.dynamo import own_work
from gradscope.capture.holders import Holders
from gradscope.capture.names import Names
from gradscope.capture.quiet import quiet, recover
from gradscope.capture.tree import named_parameters, submodules

MAX_NAMINGS = 64  # readings of the user's variables; one usually names all modules
MAX_ROOTS = 4096


class ModuleCall:
    """One call of one module.

    Attributes:
        serial: Unique per call, rising.
        root: The outermost module of the call stack, to be named from the user's variables.
        root_id: Its ``id``, valid while it lives.
        root_name: What the user called it when it was first called; may be empty.
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
        "root_name",
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
        name: str = "",
    ) -> None:
        self.serial = serial
        self.module_id = id(module)
        self.path, self.types = place
        self.parent = parent
        self.root: weakref.ref[nn.Module] = parent.root if parent else weakref.ref(module)
        self.root_id: int = parent.root_id if parent else id(module)
        self.root_name: str = parent.root_name if parent else name
        self.is_user = is_user
        inside_library = parent is not None and not parent.is_user
        self.execution: int = parent.execution if parent and inside_library else serial


class ModuleTracker:
    """Follows module calls while installed.

    Args:
        is_user_code: Whether a code object is the user's.
        find_names: Reads the variables of the running frames.

    Attributes:
        failures: Calls that could not be followed.
    """

    def __init__(
        self,
        is_user_code: Callable[[CodeType], bool],
        find_names: Callable[[], Names] = Names,
    ) -> None:
        self.failures = 0
        self.holders = Holders()
        self._is_user_code = is_user_code
        self._find_names = find_names
        self._namings = 0
        self._lock = threading.Lock()
        self._away = 1  # who wants the hooks away: at first nobody has installed them
        self._handles: list[Any] = []
        self._local = threading.local()
        self._serial = 0
        self._places: dict[int, tuple[weakref.ref[nn.Module], dict[int, Any]]] = {}
        self._user_types: dict[type, bool] = {}
        self._roots: dict[int, tuple[weakref.ref[nn.Module], str]] = {}
        self._parameters: dict[int, tuple[weakref.ref[Tensor], str]] = {}
        self._named: dict[int, tuple[weakref.ref[nn.Module], str]] = {}  # called or not

    def install(self, undo: ExitStack) -> None:
        """Registers the global hooks; ``undo`` removes them."""
        undo.callback(self._retire)
        self.attach()

    def attach(self) -> None:
        """Registers the global hooks unless a thread still wants them away."""
        with self._lock:
            self._away -= 1
            if self._away == 0:
                self._handles = [register_module_forward_pre_hook(self._enter)]
                leave = register_module_forward_hook(self._leave, always_call=True)
                self._handles.append(leave)

    def detach(self) -> None:
        """Takes the hooks away until ``attach``; for all threads, since they are global."""
        with self._lock:
            self._away += 1
            handles, self._handles = self._handles, []
            for handle in handles:
                handle.remove()

    def _retire(self) -> None:
        self.detach()
        self._away = sys.maxsize

    @contextmanager
    def around(self, module: nn.Module) -> Iterator[None]:
        """Stands in for the hooks while a module is called that must not have any."""
        self._enter(module, ())
        self.detach()
        try:
            yield
        finally:
            self.attach()
            self._leave(module, (), None)

    @property
    def current(self) -> ModuleCall | None:
        """The innermost running call of this thread."""
        stack = getattr(self._local, "stack", None)
        return stack[-1][1] if stack else None

    def roots(self) -> Iterator[tuple[str, nn.Module]]:
        """The modules that were called from outside any module and are alive, with their names."""
        for reference, name in list(self._roots.values()):
            module = reference()
            if module is not None:
                yield name or type(module).__name__, module

    def names(self) -> Iterator[tuple[str, nn.Module | Tensor]]:
        """Names by which modules were called, and of the parameters of those that are gone."""
        yield from self.roots()
        for reference, name in list(self._parameters.values()):
            parameter = reference()
            if parameter is not None:
                yield name, parameter

    @own_work
    def _enter(self, module: nn.Module, _args: object) -> None:
        if torch.compiler.is_compiling():
            return
        stack = getattr(self._local, "stack", None)
        if stack is None:
            stack = self._local.stack = []
        call = None
        try:
            call = self._call(module, stack[-1][1] if stack else None)
        except BaseException as error:
            recover(error)
            self.failures += 1
        stack.append((id(module), call))

    @own_work
    def _leave(self, module: nn.Module, _args: object, _result: object) -> None:
        if torch.compiler.is_compiling():
            return
        stack = getattr(self._local, "stack", None) or []
        key = id(module)
        if stack and stack[-1][0] == key:
            stack.pop()
        elif any(entry[0] == key for entry in stack):
            while stack.pop()[0] != key:
                pass

    def _call(self, module: nn.Module, parent: ModuleCall | None) -> ModuleCall:
        self._serial += 1
        name = ""
        if parent is None:
            name = self._meet_root(module)
            place: tuple[str, tuple[str, ...]] = ("", (type(module).__name__,))
        else:
            place = self._place(module, parent)
        return ModuleCall(self._serial, module, place, parent, self._is_user(type(module)), name)

    def _meet_root(self, module: nn.Module) -> str:
        """Reads a root's name while the frame that calls it is still there."""
        known = self._roots.get(id(module))
        if known is not None and known[0]() is module:
            return known[1]
        if len(self._roots) > MAX_ROOTS:
            self._roots = {k: r for k, r in self._roots.items() if r[0]() is not None}
            alive = [(k, p) for k, p in self._parameters.items() if p[0]() is not None]
            self._parameters = dict(alive)
        name = self._name(module)
        self._roots[id(module)] = (weakref.ref(module), name)
        with quiet():
            self.holders.read(name or type(module).__name__, module)
            for path, parameter in named_parameters(module):
                found = f"{name or type(module).__name__}.{path}"
                self._parameters[id(parameter)] = (weakref.ref(parameter), found)
        return name

    def _name(self, module: nn.Module) -> str:
        named = self._named.get(id(module))
        if (named is None or named[0]() is not module) and self._namings < MAX_NAMINGS:
            self._namings += 1
            names = self._find_names()
            found = {id(m): m for m in (*names.found_modules, module) if id(m) in names.modules}
            self._named = {k: (weakref.ref(m), names.modules[k]) for k, m in found.items()}
            named = self._named.get(id(module))
        return named[1] if named is not None and named[0]() is module else ""

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
        name = type(module).__name__  # created during the call
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
    return {
        id(module): (weakref.ref(module), path, types) for path, types, module in submodules(root)
    }
