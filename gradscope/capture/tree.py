"""A module's tree of submodules, those in plain lists and dicts included.

Read from the modules' own ``__dict__``, since ``named_modules`` may be the user's, recurses, and
misses what was not registered.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any, NamedTuple

from torch import Tensor, nn

MAX_MEMBERS = 1024  # of one plain container
REGISTERED = frozenset(vars(nn.Module()))


class Place(NamedTuple):
    """Where a module is: its path below the root and the class names down to it."""

    path: str
    types: tuple[str, ...]
    module: nn.Module


def submodules(root: nn.Module) -> Iterator[Place]:
    """Every module once, the root first, depth first in the order of registration."""
    seen: set[int] = set()
    waiting = [Place("", (type(root).__name__,), root)]
    while waiting:
        place = waiting.pop()
        if id(place.module) in seen:
            continue
        seen.add(id(place.module))
        yield place
        children = [*_registered(place.module), *_unregistered(place.module)]
        for name, child in reversed(children):
            path = f"{place.path}.{name}" if place.path else name
            waiting.append(Place(path, (*place.types, type(child).__name__), child))


def registered(root: nn.Module) -> set[int]:
    """Ids of the modules whose parameters the root lists: those not only in plain containers."""
    found: set[int] = set()
    waiting = [root]
    while waiting:
        module = waiting.pop()
        if id(module) not in found:
            found.add(id(module))
            waiting.extend(child for _, child in _registered(module))
    return found


def parameters(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """The module's own parameters."""
    for name, parameter in list(module.__dict__.get("_parameters", {}).items()):
        if parameter is not None:
            yield name, parameter


def named_parameters(root: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Every parameter of the tree with its path; one of several modules comes several times."""
    for place in submodules(root):
        for name, parameter in parameters(place.module):
            yield (f"{place.path}.{name}" if place.path else name), parameter


def extras(module: nn.Module) -> Iterator[tuple[str, Any]]:
    """Attributes that are the user's and not registered as parameters, buffers or modules."""
    for name, value in list(module.__dict__.items()):
        if name not in REGISTERED:
            yield name, value


def _registered(module: nn.Module) -> list[tuple[str, nn.Module]]:
    found = module.__dict__.get("_modules", {})
    return [(name, child) for name, child in found.items() if child is not None]


def _unregistered(module: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    for name, value in extras(module):
        if type(value) in (list, tuple):
            members = [(f"{name}[{i}]", v) for i, v in enumerate(islice(value, MAX_MEMBERS))]
        elif type(value) is dict:
            keyed = islice(value.items(), MAX_MEMBERS)
            members = [(f"{name}[{k!r}]", v) for k, v in keyed if type(k) in (str, int)]
        else:
            continue
        # A dot would look like another level of the path.
        yield from ((n.replace(".", "_"), v) for n, v in members if issubclass(type(v), nn.Module))
