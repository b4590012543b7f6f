"""The user's names for tensors and modules, read from the variables that are alive.

Only plain reading: containers of built-in types and ``__dict__`` fetched past any property, so
that no code of the user's runs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from types import FrameType, FunctionType, ModuleType
from typing import Any

from torch import Tensor, nn

MAX_DEPTH = 3
MAX_VALUES = 4000
MAX_CHILDREN = 256
_OPAQUE = frozenset({"builtins", "torch", "numpy", "typing", "functools", "logging", "gradscope"})


class Names:
    """What the variables of some frames call the tensors and modules they reach.

    Attributes:
        tensors: ``id(tensor)`` → name. A parameter's module path wins over a loop variable.
        modules: ``id(module)`` → name, submodules included.
        results: Non-leaf tensors that require grad, with their names, nearest first.
        leaves: Leaf tensors that require grad, parameters of modules included.
        found_modules: The modules that variables hold, outermost first.
    """

    def __init__(self) -> None:
        self.tensors: dict[int, str] = {}
        self.modules: dict[int, str] = {}
        self.results: list[tuple[str, Tensor]] = []
        self.leaves: list[tuple[str, Tensor]] = []
        self.found_modules: list[nn.Module] = []
        self._seen: set[int] = set()

    def scan(self, frames: Iterable[FrameType]) -> Names:
        """Reads the variables of the frames, innermost frame first, breadth first."""
        return self.read([_variables(frame) for frame in frames])

    def read(self, scopes: Iterable[Iterable[tuple[str, Any]]]) -> Names:
        """Reads ``(name, value)`` pairs, nearest scope first."""
        layer = [
            (name, value)
            for scope in scopes
            for name, value in scope
            if not name.startswith("_") and _worth_opening(value)
        ]
        plain: list[tuple[str, Tensor]] = []
        for depth in range(MAX_DEPTH + 1):
            following: list[tuple[str, Any]] = []
            for name, value in layer:
                if id(value) in self._seen or len(self._seen) > MAX_VALUES:
                    continue
                if isinstance(value, Tensor):
                    self._seen.add(id(value))
                    plain.append((name, value))
                elif isinstance(value, nn.Module):
                    self._seen.add(id(value))
                    self._module(name, value)
                    following.extend(_module_extras(name, value))
                elif depth < MAX_DEPTH:
                    following.extend(self._inside(name, value))
            layer = following
        for name, tensor in plain:
            self._tensor(name, tensor)
        return self

    def _inside(self, name: str, value: Any) -> list[tuple[str, Any]]:
        children = list(_children(name, value))
        if children:
            self._seen.add(id(value))
        return children

    def _module(self, name: str, module: nn.Module) -> None:
        if id(module) in self.modules:
            return
        self.found_modules.append(module)
        for path, inner in module.named_modules():
            self.modules.setdefault(id(inner), f"{name}.{path}" if path else name)
        for path, parameter in module.named_parameters():
            if id(parameter) not in self.tensors:
                self.tensors[id(parameter)] = f"{name}.{path}"
                self.leaves.append((f"{name}.{path}", parameter))

    def _tensor(self, name: str, tensor: Tensor) -> None:
        if id(tensor) in self.tensors:
            return
        self.tensors[id(tensor)] = name
        if tensor.requires_grad:
            (self.leaves if tensor.is_leaf else self.results).append((name, tensor))


def _variables(frame: FrameType) -> list[tuple[str, Any]]:
    variables = frame.f_globals if frame.f_code.co_name == "<module>" else frame.f_locals
    return list(variables.items())


def _worth_opening(value: Any) -> bool:
    if isinstance(value, Tensor | nn.Module | list | tuple | dict):
        return True
    if isinstance(value, type | ModuleType | FunctionType | str | bytes | int | float):
        return False
    return type(value).__module__.partition(".")[0] not in _OPAQUE


def _children(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """The tensors, modules and containers directly inside a plain container or object."""
    for child_name, child in _items(name, value):
        if _worth_opening(child):
            yield child_name, child


def _items(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        by_attribute = type(value) is not dict and hasattr(type(value), "__dataclass_fields__")
        for key in list(value)[:MAX_CHILDREN]:
            dotted = by_attribute and isinstance(key, str)
            yield (f"{name}.{key}" if dotted else f"{name}[{key!r}]"), dict.get(value, key)
    elif isinstance(value, list | tuple):
        fields = getattr(type(value), "_fields", None)
        for i, child in enumerate(value[:MAX_CHILDREN]):
            yield (f"{name}.{fields[i]}" if fields else f"{name}[{i}]"), child
    else:
        yield from _attributes(name, value)


def _attributes(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    try:
        attributes = object.__getattribute__(value, "__dict__")
    except Exception:
        return
    if isinstance(attributes, dict):
        for key, child in list(attributes.items())[:MAX_CHILDREN]:
            yield f"{name}.{key}", child


def _module_extras(name: str, module: nn.Module) -> Iterator[tuple[str, Any]]:
    """Tensors and modules that a module holds outside its registered ones."""
    for child_name, child in _attributes(name, module):
        if not child_name.rpartition(".")[2].startswith("_") and _worth_opening(child):
            yield child_name, child
