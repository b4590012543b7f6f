"""The user's names for tensors and modules, read from the variables that are alive.

Only plain reading: containers of built-in types past whatever a subclass overrides, attributes
past any property, types instead of ``isinstance`` (which asks a proxy for its class), so that no
code of the user's runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from enum import Enum
from itertools import islice
from types import (
    CodeType,
    FrameType,
    FunctionType,
    GetSetDescriptorType,
    MemberDescriptorType,
    ModuleType,
)
from typing import Any

from torch import Tensor, nn

from gradscope.capture.tree import extras, parameters, submodules
from gradscope.capture.variables import Variable, variables

MAX_DEPTH = 3
MAX_VALUES = 4000  # tensors, modules and containers to remember
MAX_LOOKED_AT = 20_000  # members of containers to look at
MAX_CHILDREN = 1024
MAX_KEY = 40  # characters of a key that a name may hold
_OPAQUE = frozenset({"builtins", "torch", "numpy", "typing", "functools", "logging", "gradscope"})
_OPENED = (Tensor, nn.Module, list, tuple, dict)
_CLOSED = (type, ModuleType, str, bytes, int, float)
_PLAIN_KEYS = frozenset({str, int, float, bool, bytes, type(None)})


class Names:
    """What the variables of some frames call the tensors and modules they reach.

    Args:
        owns: Whether a code object is the user's: only such functions' closures are opened.

    Attributes:
        tensors: ``id(tensor)`` → name. A parameter's module path wins over any other, and a
            variable that only a loop ever bound comes last.
        modules: ``id(module)`` → name, submodules included.
        results: Non-leaf tensors that require grad, with their names, nearest first.
        leaves: Leaf tensors that require grad, parameters of modules included.
        found_modules: The modules that variables hold, outermost first.
    """

    def __init__(self, owns: Callable[[CodeType], bool] = lambda _: True) -> None:
        self._owns = owns
        self.tensors: dict[int, str] = {}
        self.modules: dict[int, str] = {}
        self.results: list[tuple[str, Tensor]] = []
        self.leaves: list[tuple[str, Tensor]] = []
        self.found_modules: list[nn.Module] = []
        self._plain: list[tuple[str, Tensor]] = []
        self._seen: set[int] = set()
        self._left = MAX_LOOKED_AT

    def scan(self, frames: Iterable[FrameType], others: Iterable[Variable] = ()) -> Names:
        """Reads the variables of the frames, innermost frame first, breadth first.

        Args:
            frames: The frames.
            others: Names to use for what no frame has a name for.
        """
        found = [variables(frame) for frame in frames]
        self._read([pair for scope in found for pair in scope.plain])
        self._read([pair for scope in found for pair in scope.leftovers])
        self._read(list(others))
        for name, tensor in self._plain:
            self._tensor(name, tensor)
        return self

    def _read(self, layer: list[Variable]) -> None:
        layer = [(name, value) for name, value in layer if _worth_opening(value)]
        for depth in range(MAX_DEPTH + 1):
            following: list[Variable] = []
            for name, value in layer:
                if id(value) not in self._seen and len(self._seen) <= MAX_VALUES:
                    self._value(name, value, following if depth < MAX_DEPTH else [])
            layer = following

    def _value(self, name: str, value: Any, following: list[Variable]) -> None:
        kind = type(value)
        if issubclass(kind, Tensor):
            self._seen.add(id(value))
            self._plain.append((name, value))
        elif issubclass(kind, nn.Module):
            self._seen.add(id(value))
            self._module(name, value)
            members = ((f"{name}.{key}", child) for key, child in extras(value))
            following.extend(self._inside(members))
        else:
            children = self._inside(self._members(name, value))
            if children:
                self._seen.add(id(value))
                following.extend(children)

    def _members(self, name: str, value: Any) -> Iterator[Variable]:
        """What is directly inside a container, a function's closure or a plain object."""
        kind = type(value)
        if issubclass(kind, dict):
            return _entries(name, value)
        if issubclass(kind, list | tuple):
            return _elements(name, value)
        if kind is FunctionType:
            return self._free_variables(value)
        return _attributes(name, value)

    def _free_variables(self, function: FunctionType) -> Iterator[Variable]:
        cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=False)
        mine = self._owns(function.__code__)
        for name, cell in cells:
            try:
                value = cell.cell_contents
            except ValueError:  # not bound yet
                continue
            if mine or type(value) is FunctionType:  # a library's decorator around the user's
                yield name, value

    def _inside(self, members: Iterator[Variable]) -> list[Variable]:
        looked_at = list(islice(members, max(0, self._left)))
        self._left -= len(looked_at)
        return [(name, value) for name, value in looked_at if _worth_opening(value)]

    def _module(self, name: str, module: nn.Module) -> None:
        if id(module) in self.modules:
            return
        self.found_modules.append(module)
        for place in submodules(module):
            path = f"{name}.{place.path}" if place.path else name
            if self.modules.setdefault(id(place.module), path) != path:
                continue
            for own_name, parameter in parameters(place.module):
                if id(parameter) not in self.tensors:
                    self.tensors[id(parameter)] = f"{path}.{own_name}"
                    self.leaves.append((f"{path}.{own_name}", parameter))

    def _tensor(self, name: str, tensor: Tensor) -> None:
        if id(tensor) in self.tensors:
            return
        self.tensors[id(tensor)] = name
        if tensor.requires_grad:
            (self.leaves if tensor.is_leaf else self.results).append((name, tensor))


def _worth_opening(value: Any) -> bool:
    kind = type(value)
    if issubclass(kind, _OPENED):
        return True
    if kind is FunctionType:
        return value.__closure__ is not None
    if issubclass(kind, _CLOSED):
        return False
    module = kind.__module__
    return type(module) is str and module.partition(".")[0] not in _OPAQUE


def _entries(name: str, value: dict[Any, Any]) -> Iterator[Variable]:
    by_attribute = type(value) is not dict and hasattr(type(value), "__dataclass_fields__")
    for key, child in list(islice(dict.items(value), MAX_CHILDREN)):
        dotted = by_attribute and type(key) is str
        yield (f"{name}.{key}" if dotted else f"{name}[{_key(key)}]"), child


def _key(key: Any) -> str:
    """A key as the user might write it, without calling its own ``__repr__``."""
    if type(key) is str and len(key) > MAX_KEY:
        key = key[: MAX_KEY - 1] + "…"
    if type(key) in _PLAIN_KEYS or (
        type(key) is tuple and all(type(part) in _PLAIN_KEYS for part in key)
    ):
        return repr(key)
    if issubclass(type(key), Enum):
        return f"{type(key).__name__}.{key._name_}"
    return f"<{type(key).__name__}>"


def _elements(name: str, value: list[Any] | tuple[Any, ...]) -> Iterator[Variable]:
    iterate: Any = list.__iter__ if issubclass(type(value), list) else tuple.__iter__
    fields = getattr(type(value), "_fields", ())
    fields = fields if type(fields) is tuple else ()
    for i, child in enumerate(islice(iterate(value), MAX_CHILDREN)):
        yield (f"{name}.{fields[i]}" if i < len(fields) else f"{name}[{i}]"), child


def _attributes(name: str, value: Any) -> Iterator[Variable]:
    attributes = _own_dict(value)
    if type(attributes) is dict:
        for key, child in list(islice(attributes.items(), MAX_CHILDREN)):
            yield f"{name}.{key}", child
    yield from _slots(name, value)


def _own_dict(value: Any) -> Any:
    """The attributes of an instance, read without running what its class makes of ``__dict__``."""
    for cls in type(value).__mro__:
        if "__dict__" in vars(cls):
            found = vars(cls)["__dict__"]
            return found.__get__(value) if type(found) is GetSetDescriptorType else None
    return None


def _slots(name: str, value: Any) -> Iterator[Variable]:
    for cls in type(value).__mro__:
        if "__slots__" not in vars(cls):
            continue
        for key, member in list(vars(cls).items()):
            if type(member) is MemberDescriptorType:
                try:
                    yield f"{name}.{key}", member.__get__(value)
                except AttributeError:  # not set
                    continue
