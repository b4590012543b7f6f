"""Which module call is running in each thread, and inside which: kept by torch's global hooks.

NOTE [Hooks, not calls]
A ``__call__`` of ours on torch's own small layers, without hooks and the function mode, would take
a tenth off what tracing adds to a small model. But profilers find modules by torch's own call,
signal handlers run in the middle of it, and what the program has put into its way (bases, classes,
other hooks) cannot all be told beforehand.
"""

from __future__ import annotations

import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import count
from types import CodeType
from typing import Any, NamedTuple

from torch import Tensor, nn
from torch.compiler import is_compiling
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


class Root:
    """A module that is called from outside any module.

    Attributes:
        module: To be named from the user's variables.
        id: Its ``id``, valid while it lives.
        kind: Its class.
        name: What the user called it when it was first called; may be empty.
        site: Its own.
        sites: Of its submodules, by their ``id``; None until one is called.
    """

    __slots__ = ("id", "kind", "module", "name", "site", "sites")

    def __init__(self, module: nn.Module, name: str) -> None:
        self.module = weakref.ref(module)
        self.id = id(module)
        self.kind = type(module)
        self.name = name
        self.site = Site(self.module, "", (self.kind.__name__,), self)
        self.sites: dict[int, Site] | None = None

    def read(self) -> dict[int, Site]:
        """Where each of its submodules is."""
        module = self.module()
        places = submodules(module) if module is not None else ()
        self.sites = {id(m): Site(weakref.ref(m), path, types, self) for path, types, m in places}
        return self.sites


class Site(NamedTuple):
    """Where a module is in the tree below the root of its call stack.

    Attributes:
        module: The module; tells a reused id.
        path: Path below the root: empty for the root itself.
        types: Class names from the root down to this module.
        root: The outermost module of the call stack.
    """

    module: weakref.ref[nn.Module]
    path: str
    types: tuple[str, ...]
    root: Root


class ModuleCall:
    """One call of one module.

    Attributes:
        serial: Unique per call, rising.
        site: Where the module is.
        parent: The call that this one was made in.
        execution: What one execution of the user's line is known by: the outermost library module
            that it called; 0 where the user's own ``forward`` runs.
    """

    __slots__ = ("execution", "parent", "serial", "site")

    def __init__(self, serial: int, site: Site, parent: ModuleCall | None, is_user: bool) -> None:
        self.serial = serial
        self.site = site
        self.parent = parent
        self.execution: int = (
            0 if is_user else (parent.execution if parent is not None else 0) or serial
        )


class _Local(threading.local):
    """The innermost running call of each thread."""

    current: ModuleCall | None = None


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
        self._local = _Local()
        self._serials = count(1)
        self._user_types: dict[type, bool] = {}
        self._roots: dict[int, Root] = {}
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
        return self._local.current

    def roots(self) -> Iterator[tuple[str, nn.Module]]:
        """The modules that were called from outside any module and are alive, with their names."""
        for root in list(self._roots.values()):
            module = root.module()
            if module is not None:
                yield root.name or root.kind.__name__, module

    def names(self) -> Iterator[tuple[str, nn.Module | Tensor]]:
        """Names by which modules were called, and of the parameters of those that are gone."""
        yield from self.roots()
        for reference, name in list(self._parameters.values()):
            parameter = reference()
            if parameter is not None:
                yield name, parameter

    @own_work
    def _enter(self, module: nn.Module, _args: object) -> None:
        if is_compiling():
            return
        local = self._local
        try:
            local.current = self._call(module, local.current)
        except BaseException as error:
            recover(error)
            self.failures += 1

    @own_work
    def _leave(self, module: nn.Module, _args: object, _result: object) -> None:
        if is_compiling():
            return
        local = self._local
        call = local.current
        while call is not None and call.site.module() is not module:
            call = call.parent
        if call is not None:
            local.current = call.parent

    def _call(self, module: nn.Module, parent: ModuleCall | None) -> ModuleCall:
        site = self._site(module, parent.site) if parent is not None else self._root(module).site
        is_user = self._user_types.get(type(module))
        if is_user is None:
            is_user = self._meet_type(type(module))
        return ModuleCall(next(self._serials), site, parent, is_user)

    def _root(self, module: nn.Module) -> Root:
        known = self._roots.get(id(module))
        if known is not None and known.module() is module and known.kind is type(module):
            return known
        return self._meet_root(module)

    def _meet_root(self, module: nn.Module) -> Root:
        """Reads a root's name while the frame that calls it is still there."""
        if len(self._roots) > MAX_ROOTS:
            self._roots = {k: r for k, r in self._roots.items() if r.module() is not None}
            alive = [(k, p) for k, p in self._parameters.items() if p[0]() is not None]
            self._parameters = dict(alive)
        name = self._name(module)
        root = self._roots[id(module)] = Root(module, name)
        with quiet():
            self.holders.read(name or type(module).__name__, module)
            for path, parameter in named_parameters(module):
                found = f"{name or type(module).__name__}.{path}"
                self._parameters[id(parameter)] = (weakref.ref(parameter), found)
        return root

    def _name(self, module: nn.Module) -> str:
        named = self._named.get(id(module))
        if (named is None or named[0]() is not module) and self._namings < MAX_NAMINGS:
            self._namings += 1
            names = self._find_names()
            found = {id(m): m for m in (*names.found_modules, module) if id(m) in names.modules}
            self._named = {k: (weakref.ref(m), names.modules[k]) for k, m in found.items()}
            named = self._named.get(id(module))
        return named[1] if named is not None and named[0]() is module else ""

    def _site(self, module: nn.Module, parent: Site) -> Site:
        """Where a module is that was called in another's call."""
        sites = parent.root.sites
        if sites is None:
            sites = parent.root.read()
        site = sites.get(id(module))
        if site is not None and site.module() is module:
            return site
        name = type(module).__name__  # created during the call
        path = f"{parent.path}.{name}" if parent.path else name
        return Site(weakref.ref(module), path, (*parent.types, name), parent.root)

    def _meet_type(self, cls: type) -> bool:
        """Whether a class of modules has a ``forward`` of the user's."""
        code = getattr(getattr(cls, "forward", None), "__code__", None)
        is_user = self._user_types[cls] = code is not None and self._is_user_code(code)
        return is_user
