"""Replacing an attribute of torch for the time of a capture."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any


def replace(undo: ExitStack, owner: Any, name: str, wrap: Callable[[Any], Any]) -> None:
    """Sets ``owner.name`` to ``wrap(original)``; nothing where there is none.

    ``undo`` puts the original back, unless somebody else has patched over ours: what ``wrap`` made
    must then be an inert link.
    """
    original = vars(owner).get(name)
    if original is None:
        return
    wrapped = wrap(original)
    undo.callback(_put_back, owner, name, wrapped, original)
    setattr(owner, name, wrapped)


def _put_back(owner: Any, name: str, wrapped: object, original: object) -> None:
    if vars(owner).get(name) is wrapped:
        setattr(owner, name, original)
