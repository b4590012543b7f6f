"""Room on the stack for freeing deep graphs.

NOTE [Deep graphs]
Once a node has a Python wrapper, freeing the graph recurses through Python's deallocation: a
chain of some 30,000 touched nodes overflows the usual 8 MiB. The main thread's stack may grow up
to the soft limit, which is read at every page fault, so raising it while such graphs are alive is
enough. Where the hard limit forbids that, and in other threads, no more nodes are touched than can
be freed. Whether a deep graph is still alive is told by small objects in the (public) ``metadata``
of some of its nodes, which die with them; the limit is restored when the run ends and all are gone.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Sequence
from typing import Any

try:
    import resource
except ImportError:  # not a POSIX system
    resource = None  # type: ignore[assignment]

WANTED = 1 << 30  # bytes: 1,000,000 nodes were freed within it
BYTES_PER_NODE = 400  # of stack, to free one: about 270 were measured
SAFE_NODES = 20_000  # within the smallest usual stack, 8 MiB
SPACING = 5_000  # nodes between two that are watched: what lies between may be freed anywhere
_KEY = "gradscope"


class _Witness:
    """Lives as long as the node whose metadata holds it."""

    __slots__ = ("__weakref__",)


class DeepStack:
    """Raises the soft stack limit on demand and puts it back."""

    def __init__(self) -> None:
        self._before: tuple[int, int] | None = None  # limits
        self._witnesses: list[weakref.ref[_Witness]] = []

    @property
    def raised(self) -> bool:
        """Whether the limit is raised at the moment."""
        return self._before is not None

    def raise_limit(self) -> None:
        """Lets the main thread's stack grow to 1 GiB, or as far as the hard limit allows."""
        if self.raised or resource is None:
            return
        soft, hard = resource.getrlimit(resource.RLIMIT_STACK)
        wanted = _reachable(soft, hard)
        if soft in (resource.RLIM_INFINITY, wanted):
            return
        try:
            resource.setrlimit(resource.RLIMIT_STACK, (wanted, hard))
        except (ValueError, OSError):
            return
        self._before = (soft, hard)

    def restore(self) -> None:
        """Puts the limit back."""
        if self._before is not None and resource is not None:
            resource.setrlimit(resource.RLIMIT_STACK, self._before)
            self._before = None

    def watch(self, nodes: Sequence[Any]) -> None:
        """Remembers a deep graph, given root first, to tell later whether it is still alive."""
        self._witnesses = [ref for ref in self._witnesses if ref() is not None]
        for node in nodes[::SPACING]:
            witness = node.metadata.setdefault(_KEY, _Witness())
            self._witnesses.append(weakref.ref(witness))

    @property
    def is_needed(self) -> bool:
        """Whether a part of a deep graph is still alive."""
        return any(ref() is not None for ref in self._witnesses)


def walk_limit(limit: int) -> int:
    """Nodes that may be walked from this thread so that freeing them fits its stack."""
    in_main = threading.current_thread() is threading.main_thread()
    if not in_main or resource is None:  # a thread's stack cannot grow
        return min(limit, SAFE_NODES)
    size = _reachable(*resource.getrlimit(resource.RLIMIT_STACK))
    if size == resource.RLIM_INFINITY:
        return limit
    return min(limit, max(SAFE_NODES, size // BYTES_PER_NODE))


def _reachable(soft: int, hard: int) -> int:
    """The soft limit that can be had: at least the present one."""
    if soft == resource.RLIM_INFINITY or soft >= WANTED:
        return soft
    return WANTED if hard == resource.RLIM_INFINITY else max(soft, min(WANTED, hard))
