"""The program's threads, when it has come to its end."""

from __future__ import annotations

import threading


def others_run() -> bool:
    """Whether threads that the program waits for at its end are still at work."""
    here = threading.current_thread()
    return any(t is not here and not t.daemon for t in threading.enumerate())


def join_threads() -> None:
    """Wait for the program's threads as the interpreter does before it exits.

    NOTE: joining ``threading.enumerate()`` would hang on the idle workers of an executor, which
    only the interpreter's own shutdown wakes; it may be called twice.
    """
    shutdown = getattr(threading, "_shutdown", None)
    if shutdown is not None and threading.current_thread() is threading.main_thread():
        shutdown()
