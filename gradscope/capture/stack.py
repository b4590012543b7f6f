"""Room on the stack for freeing deep graphs.

NOTE [Deep graphs]
Once a node has a Python wrapper, freeing the graph recurses through Python's deallocation: a
chain of some 30,000 touched nodes overflows the usual 8 MiB. The main thread's stack may grow up
to the soft limit, which is read at every page fault, so raising it while such graphs are alive is
enough. It is restored when the run ends, unless a deep graph may still be held.
"""

from __future__ import annotations

import threading

try:
    import resource
except ImportError:  # not a POSIX system
    resource = None  # type: ignore[assignment]

WANTED = 1 << 30  # bytes: 1,000,000 nodes were freed within it


class DeepStack:
    """Raises the soft stack limit on demand and puts it back."""

    def __init__(self) -> None:
        self._before: tuple[int, int] | None = None

    @property
    def raised(self) -> bool:
        """Whether the limit is raised at the moment."""
        return self._before is not None

    def raise_limit(self) -> None:
        """Lets the main thread's stack grow to 1 GiB, or as far as the hard limit allows."""
        if self.raised or resource is None:
            return
        soft, hard = resource.getrlimit(resource.RLIMIT_STACK)
        if soft == resource.RLIM_INFINITY or soft >= WANTED:
            return
        wanted = WANTED if hard == resource.RLIM_INFINITY else min(WANTED, hard)
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


def walk_limit(limit: int) -> int:
    """Nodes that may be walked from this thread: a thread's stack cannot grow."""
    return limit if threading.current_thread() is threading.main_thread() else min(limit, 20_000)
