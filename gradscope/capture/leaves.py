"""The leaves of a run: who they are, by object and not by a reused id, and their history."""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Iterator
from typing import Literal

import torch
from torch import Tensor, nn

from gradscope.capture.readable import PLAIN
from gradscope.model.stats import TensorStats
from gradscope.model.trace import GradientHistory, Parameter, UpdateHistory

MAX_LEAVES = 20_000


class Leaf:
    """What is known about one leaf while the run goes on.

    Attributes:
        index: Position in the finished trace.
        sought: Whether the user's variables were searched for its name.
        fresh: Contributions to ``.grad`` since the last update.
        carried: Older ones that are still in ``.grad``.
        lost: Contributions since the last update that were cleared.
        by_optimizer: Whether an optimizer has ever stepped on it.
        change: Version counter and sampled elements, to notice an update by hand.
    """

    def __init__(self, index: int, tensor: Tensor) -> None:
        self.index = index
        self.name = ""
        self.sought = False
        self.optimizers: list[str] = []
        self.fan_in = 0
        self.value: TensorStats | None = None
        self.registered: bool | None = None
        self.module = ""
        self.uses = 0
        self.gradients = GradientHistory()
        self.updates = UpdateHistory()
        self.attach(tensor)

    def attach(self, tensor: Tensor) -> None:
        """Makes ``tensor`` the object behind this leaf; its ``.grad`` starts empty."""
        self.ref = weakref.ref(tensor)
        self.is_parameter = isinstance(tensor, nn.Parameter)
        self.shape = () if tensor.is_nested else tuple(tensor.shape)
        self.dtype = str(tensor.dtype).removeprefix("torch.")
        self.device = str(tensor.device)
        self.count = tensor.numel()
        self.requires_grad = tensor.requires_grad
        self.fresh = self.carried = self.lost = 0
        self.by_optimizer = False
        self.change: tuple[int, Tensor] | None = None

    @property
    def tensor(self) -> Tensor | None:
        """The tensor, or None when the user let it go."""
        return self.ref()

    @property
    def kind(self) -> Literal["parameter", "input"]:
        """``parameter`` when a module, an optimizer or the user's updates own it."""
        owned = self.is_parameter or self.optimizers or len(self.updates)
        return "parameter" if owned else "input"

    def freeze(self) -> Parameter:
        """The finished, torch-free form."""
        tensor = self.ref()
        return Parameter(
            index=self.index,
            name=self.name or f"tensor{list(self.shape)}",
            kind=self.kind,
            shape=self.shape,
            dtype=self.dtype,
            device=self.device,
            count=self.count,
            requires_grad=self.requires_grad if tensor is None else tensor.requires_grad,
            optimizers=tuple(self.optimizers),
            fan_in=self.fan_in,
            value=self.value,
            gradients=self.gradients,
            updates=self.updates,
            registered=self.registered,
            module=self.module,
            uses=self.uses,
        )


class Leaves:
    """Every leaf met, in order of meeting."""

    def __init__(self) -> None:
        self._all: list[Leaf] = []
        self._by_id: dict[int, Leaf] = {}
        self.dropped = 0

    def __iter__(self) -> Iterator[Leaf]:
        return iter(self._all)

    def known(self, tensor: Tensor) -> Leaf | None:
        """The leaf behind a tensor, if it was met before."""
        leaf = self._by_id.get(id(tensor))
        return leaf if leaf is not None and leaf.ref() is tensor else None

    def all_known(self, tensors: Iterable[Tensor]) -> list[Leaf] | None:
        """The leaves behind tensors, if all of them were met before."""
        found = []
        for tensor in tensors:
            leaf = self.known(tensor)
            if leaf is None:
                return None
            found.append(leaf)
        return found

    def get(self, tensor: Tensor, name: str = "") -> Leaf | None:
        """The leaf behind a tensor, met now if need be; None past the limit.

        A leaf that the user made anew under the same name and shape (``w`` after
        ``w = w - lr * w.grad``) goes on where the one that is gone left off. So do those without
        a name, or the detached inputs of every checkpoint would be listed.
        """
        leaf = self.known(tensor)
        if leaf is not None:
            leaf.name = leaf.name or name
            return leaf
        leaf = self._successor(tensor, name)
        if leaf is None:
            if len(self._all) >= MAX_LEAVES:
                self.dropped += 1
                return None
            leaf = Leaf(len(self._all), tensor)
            leaf.name = name
            self._all.append(leaf)
        self._by_id[id(tensor)] = leaf
        return leaf

    def _successor(self, tensor: Tensor, name: str) -> Leaf | None:
        for leaf in reversed(self._all[-512:]):
            same = leaf.name == name and leaf.shape == tuple(tensor.shape)
            if (
                same
                and leaf.ref() is None
                and leaf.is_parameter == isinstance(tensor, nn.Parameter)
            ):
                leaf.attach(tensor)
                return leaf
        return None


def sample(tensor: Tensor, elements: int) -> Tensor:
    """A copy of up to ``elements`` elements, evenly spread; call under ``quiet``.

    Nothing where elements cannot be read plainly: fake, sparse, nested, wrapped.
    """
    if type(tensor) not in PLAIN or tensor.layout is not torch.strided or tensor.is_nested:
        return torch.empty(0)
    flat = tensor.detach()
    flat = flat.reshape(-1) if flat.is_contiguous() else flat.flatten()
    step = max(1, flat.numel() // elements)
    return flat[::step][:elements].clone()


def same(a: Tensor, b: Tensor) -> bool:
    """Whether two samples hold the same bits (NaN equals NaN)."""
    return a.shape == b.shape and bool(torch.equal(a.nan_to_num(), b.nan_to_num()))
