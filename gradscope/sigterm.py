"""Do something before SIGTERM ends the process, and leave its children alone."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def on_sigterm(then: Callable[[], None]) -> Iterator[None]:
    """While open, SIGTERM calls ``then`` and after that ends the process as it always does.

    Where the process already handles or ignores SIGTERM, nothing is changed. Forked children die
    of SIGTERM at once, as they would without this.
    """
    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return
    handler = _Handler(then)
    signal.signal(signal.SIGTERM, handler)
    os.register_at_fork(
        before=handler.hold, after_in_parent=handler.release, after_in_child=handler.leave_child
    )
    try:
        yield
    finally:
        handler.remove()


class _Handler:
    def __init__(self, then: Callable[[], None]) -> None:
        self._then = then
        self._masks = threading.local()

    def __call__(self, signum: int, frame: FrameType | None) -> None:
        self.remove()
        try:
            self._then()
        finally:
            os.kill(os.getpid(), signum)

    def remove(self) -> None:
        if self._installed:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)

    @property
    def _installed(self) -> bool:
        return signal.getsignal(signal.SIGTERM) is self

    def hold(self) -> None:
        """Block SIGTERM over a fork: Python drops what arrives before the child is set up."""
        if self._installed:
            self._masks.before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})

    def release(self) -> None:
        before = self._masks.__dict__.pop("before", None)
        if before is not None:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def leave_child(self) -> None:
        self.remove()
        self.release()
