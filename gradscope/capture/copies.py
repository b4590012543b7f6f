"""The values of an optimizer's parameters, copied once for all who need them.

NOTE [Shared copies]
What a step of an optimizer left is what the next backward and the next step begin with, unless
somebody wrote to the parameters in between. That moves their version counter, except through
aliases that do not share it: ``.data``, an array, a storage. Parameters of which the program has
ever taken such an alias are copied each time.
"""

from __future__ import annotations

import weakref
from collections.abc import Collection, Sequence
from itertools import accumulate, chain
from typing import NamedTuple

from torch import Tensor

from gradscope.capture.leaves import Leaf

MAX_COPIES = 4  # of different optimizers


class Copy(NamedTuple):
    """Values of leaves, one after the other.

    Attributes:
        flat: The values.
        leaves: Whose they are.
        refs: The tensors of the leaves at that time.
        versions: Version counter of each.
        addresses: Where the elements of each are.
        storages: Addresses of their storages.
        offsets: Where in ``flat`` those of each leaf begin.
    """

    flat: Tensor
    leaves: list[Leaf]
    refs: list[weakref.ref[Tensor]]
    versions: list[int]
    addresses: list[int]
    storages: frozenset[int]
    offsets: dict[Leaf, int]

    def is_current(self) -> bool:
        """Whether the tensors are alive, at the same place, and their counters unmoved."""
        tensors = [tensor for ref in self.refs if (tensor := ref()) is not None]
        versions = [tensor._version for tensor in tensors]
        return versions == self.versions and self.addresses == [t.data_ptr() for t in tensors]


class Copies:
    """The latest copies.

    Args:
        opened: Addresses of storages to which the program has an alias.
    """

    def __init__(self, opened: Collection[int]) -> None:
        self._opened = opened
        self._latest: dict[str, Copy] = {}

    def took(
        self, name: str, leaves: list[Leaf], tensors: Sequence[Tensor], flat: Tensor | None
    ) -> None:
        """Remembers the values after a step of an optimizer; None: they were not copied."""
        known = self._latest.pop(name, None)
        if flat is None:
            return
        refs = [leaf.ref for leaf in leaves]
        versions = [tensor._version for tensor in tensors]
        addresses = [tensor.data_ptr() for tensor in tensors]
        if known is not None and known.addresses == addresses and known.leaves == leaves:
            storages, offsets = known.storages, known.offsets
        else:
            storages = frozenset(tensor.untyped_storage().data_ptr() for tensor in tensors)
            ends = accumulate(tensor.numel() for tensor in tensors)
            offsets = dict(zip(leaves, chain((0,), ends), strict=False))
        self._latest[name] = Copy(flat, leaves, refs, versions, addresses, storages, offsets)
        if len(self._latest) > MAX_COPIES:
            del self._latest[next(iter(self._latest))]

    def of(self, name: str, leaves: list[Leaf]) -> Tensor | None:
        """The values of leaves that this optimizer has stepped before, where nobody wrote since."""
        copy = self._latest.get(name)
        if copy is None or copy.leaves != leaves or not self._is_current(copy):
            return None
        return copy.flat

    def holding(self, leaves: Collection[Leaf]) -> Copy | None:
        """A copy with the values of all these leaves."""
        for copy in self._latest.values():
            if copy.offsets.keys() >= set(leaves) and self._is_current(copy):
                return copy
        return None

    def _is_current(self, copy: Copy) -> bool:
        return copy.storages.isdisjoint(self._opened) and copy.is_current()
