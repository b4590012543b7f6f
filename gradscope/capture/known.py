"""Torch functions that are treated apart: what changes tensors in place, what only views them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from gradscope.capture.switching import SET_GRAD

GET_DATA = Tensor.data.__get__  # type: ignore[attr-defined]


def hashable(functions: Iterable[Any]) -> frozenset[Any]:
    """Functions by which to look others up; the program may have put anything into their place."""
    return frozenset(f for f in functions if type(f).__hash__ is not None)


def _in_place_functions() -> frozenset[Any]:
    names = [n for n in dir(Tensor) if n.endswith("_") and not n.endswith("__")]
    names += [n for n in dir(Tensor) if n.startswith("__i") and n != "__init__"]
    found = [getattr(Tensor, name, None) for name in names]
    found += [torch.nn.functional.relu_, torch.relu_, Tensor.__setitem__]
    found += [GET_DATA, Tensor.data.__set__, SET_GRAD]  # type: ignore[attr-defined]
    return hashable(f for f in found if callable(f) and f is not Tensor.__init_subclass__)


def _whole_views() -> frozenset[Any]:
    """Functions whose nodes are all of ``PLUMBING`` when their result is a view."""
    names = (
        "t T mT view view_as reshape transpose swapaxes permute movedim unsqueeze squeeze flatten"
    )
    owners = (torch, Tensor)
    found = [getattr(owner, name, None) for owner in owners for name in names.split()]
    return hashable(getattr(f, "__get__", f) if not callable(f) else f for f in found if f)


IN_PLACE = _in_place_functions()
ALL_SEEN = _whole_views()
RUNS_ENGINE = hashable([Tensor.backward, torch.autograd.backward, torch.autograd.grad])
