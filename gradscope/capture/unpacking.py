"""Asks a node of the graph whether what it has saved can still be read."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from torch import Tensor


def raises(node: Any, said: str, *, any_of: bool = False) -> Any:
    """What the node saved and can no longer read, with that error; None when it can.

    Args:
        node: The node.
        said: What the error says.
        any_of: Whether the error is about all that was saved: then True, not the tensor.
    """
    kind: Any = type(node)
    for name, raw_name in _saved_names(kind):
        kept = getattr(node, raw_name, None)
        for saved in kept if isinstance(kept, tuple | list) else (kept,):
            if getattr(saved, "unpack_hook", None) is not None:
                return None
        try:
            getattr(node, name)
        except RuntimeError as error:
            if said in str(error):
                return True if any_of else _first_changed(kept, node, name)
    return None


def _first_changed(kept: Any, node: Any, name: str) -> Tensor | None:
    """The tensor behind a saved one; of several the first that was changed since."""
    if not isinstance(kept, tuple | list):
        return getattr(kept, "data", None)
    return next((saved.data for saved in kept if _is_unreadable(saved)), None)


def _is_unreadable(saved: Any) -> bool:
    try:
        saved.unpack()
    except RuntimeError:
        return True
    return False


@lru_cache(maxsize=1024)
def _saved_names(kind: type) -> tuple[tuple[str, str], ...]:
    """Attributes that unpack a saved tensor, and their packed forms."""
    raw = [name for name in dir(kind) if name.startswith("_raw_saved_")]
    pairs = ((name.removeprefix("_raw"), name) for name in raw)
    return tuple((n if hasattr(kind, n) else n.removeprefix("_"), r) for n, r in pairs)
