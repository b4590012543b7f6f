"""Children of ``fork`` go on without the capture: it belongs to the process that started it.

A lock that another thread held at the fork would never be released in the child, and a DataLoader's
worker should not pay for being watched.
"""

from __future__ import annotations

import os
import weakref
from typing import Protocol


class Retires(Protocol):
    """What can be told to do nothing any more."""

    def retire(self) -> None:
        """Goes inert; takes no lock and does not raise."""


_watched: weakref.WeakSet[Retires] = weakref.WeakSet()
_registered = False


def retire_in_children(capture: Retires) -> None:
    """Retires the capture in every child forked while it is alive."""
    global _registered
    _watched.add(capture)
    if not _registered and hasattr(os, "register_at_fork"):
        _registered = True
        os.register_at_fork(after_in_child=_retire_all)


def _retire_all() -> None:
    for capture in list(_watched):
        capture.retire()
