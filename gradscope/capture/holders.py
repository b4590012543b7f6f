"""Which module holds which leaf, and which leaves the forward pass uses.

Both are kept by weak reference: a script's ``main()`` has let its model go by the time the trace
is made. Python gives one weak reference object per tensor, by which a leaf is found again then.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from sys import getrefcount
from typing import Any, NamedTuple
from weakref import ref

from torch import Tensor, nn

from gradscope.capture.leaves import Leaves
from gradscope.capture.tree import MAX_MEMBERS, extras, parameters, registered, submodules

MAX_HELD = 100_000
MANY_USED = 1000
_ONLY_OURS = 2  # references to a reference: of its count, and of the call that asks
_LISTS = frozenset({list, tuple})

Reference = ref[Tensor]


class Holder(NamedTuple):
    """The module that holds a leaf.

    Attributes:
        leaf: The leaf.
        path: Of the module, as the user calls it.
        registered: Whether the outermost module lists the leaf among its ``parameters()``.
    """

    leaf: Reference
    path: str
    registered: bool


class Holders:
    """The holder of every leaf of the modules that were called."""

    def __init__(self) -> None:
        self._held: dict[int, Holder] = {}

    def read(self, name: str, root: nn.Module) -> None:
        """Reads the tree of a module that was called from outside of any module."""
        known = registered(root)
        for place in submodules(root):
            path = f"{name}.{place.path}" if place.path else name
            for _, parameter in parameters(place.module):
                self._add(parameter, path, id(place.module) in known)
            for leaf in _loose_leaves(place.module):
                self._add(leaf, path, False)

    def _add(self, leaf: Tensor, path: str, is_registered: bool) -> None:
        reference = ref(leaf)
        known = self._held.get(id(reference))
        if known is not None and known.registered:
            return  # also in a list, but its optimizer finds it
        if len(self._held) < MAX_HELD:
            self._held[id(reference)] = Holder(reference, path, is_registered)

    def tell(self, leaves: Leaves) -> None:
        """Writes down what is known about each leaf of the run."""
        for leaf in leaves:
            held = self._held.get(id(leaf.ref))
            if held is not None:
                leaf.module, leaf.registered = held.path, held.registered


def _loose_leaves(module: nn.Module) -> Iterable[Tensor]:
    """Leaves that are plain attributes of a module, or in a plain container of it."""
    for _, value in extras(module):
        kind = type(value)
        members: Iterable[Any] = (value,)
        if kind in (list, tuple):
            members = islice(value, MAX_MEMBERS)
        elif kind is dict:
            members = islice(value.values(), MAX_MEMBERS)
        yield from filter(_is_leaf, members)


def _is_leaf(value: Any) -> bool:
    return issubclass(type(value), Tensor) and value.requires_grad and value.is_leaf


class _Used:
    """One leaf and how often it was used."""

    __slots__ = ("count", "leaf")

    def __init__(self, leaf: Reference) -> None:
        self.leaf = leaf
        self.count = 1


class Uses:
    """How many torch calls that built graph took each leaf."""

    def __init__(self) -> None:
        self._used: dict[int, _Used] = {}  # by the reference's id, which outlives the leaf
        self._many = MANY_USED

    def __len__(self) -> int:
        """How many leaves are counted."""
        return len(self._used)

    def note(self, arguments: Iterable[Any]) -> None:
        """Counts the leaves among the arguments of a call, one level deep."""
        for argument in arguments:
            if issubclass(type(argument), Tensor):
                if argument.requires_grad and argument.is_leaf:
                    used = self._used.get(id(ref(argument)))
                    if used is not None:
                        used.count += 1
                    else:
                        self._meet(argument)
            elif type(argument) in _LISTS:
                self.note(filter(_is_leaf, argument[:MAX_MEMBERS]))

    def _meet(self, leaf: Tensor) -> None:
        if len(self._used) >= self._many:
            self._forget()
        if len(self._used) < MAX_HELD:
            reference = ref(leaf)
            self._used[id(reference)] = _Used(reference)

    def _forget(self) -> None:
        """Lets go of leaves that are gone and that nobody else knows."""
        for key, used in list(self._used.items()):
            if used.leaf() is None and getrefcount(used.leaf) <= _ONLY_OURS:
                self._used.pop(key, None)
        self._many = max(MANY_USED, 2 * len(self._used))

    def tell(self, leaves: Leaves) -> None:
        """Writes down how often each leaf of the run was used."""
        counts = {id(used.leaf): used.count for used in self._used.values()}
        for leaf in leaves:
            leaf.uses = counts.get(id(leaf.ref), 0)
