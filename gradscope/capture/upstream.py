"""The leaves that a tensor was computed from."""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Sequence
from typing import Any

from torch import Tensor

from gradscope.capture.leaves import Leaf

MOST = 400  # nodes; a deep graph whose nodes Python has touched is dangerous to free
MAX_ITEMS = 8

Reference = weakref.ref[Tensor]


def leaves_behind(arguments: Sequence[Any]) -> tuple[Reference, ...]:
    """The leaves behind the first arguments of a call; none when the graph is too large."""
    first: Any = arguments[0] if arguments else None
    given = first[:MAX_ITEMS] if type(first) in (list, tuple) else arguments[:2]
    tensors = [t for t in given if issubclass(type(t), Tensor) and t.requires_grad]
    found = {id(t): weakref.ref(t) for t in tensors if t.is_leaf}
    waiting = [t.grad_fn for t in tensors if t.grad_fn is not None]
    seen = set(waiting)
    while waiting:
        node = waiting.pop()
        leaf = getattr(node, "variable", None)
        if leaf is not None:
            found[id(leaf)] = weakref.ref(leaf)
        following = {n for n, _ in node.next_functions if n is not None} - seen
        seen |= following
        waiting.extend(following)
        if len(seen) > MOST:
            return ()
    return tuple(found.values())


def indices(references: Iterable[Reference], leaves: Iterable[Leaf]) -> tuple[int, ...]:
    """Where in the finished trace these leaves are; those that the run never met are left out."""
    # Python gives one weak reference object per tensor, also when that is gone.
    wanted = {id(reference) for reference in references}
    return tuple(leaf.index for leaf in leaves if id(leaf.ref) in wanted)
