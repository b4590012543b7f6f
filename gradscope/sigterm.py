"""Do something before SIGTERM ends the process, and leave its children alone."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

# Supervisors send SIGTERM to the process and to its group, and Ctrl-C is often pressed twice:
# within so many seconds that is one request.
REPEATS_S = 1.0


@contextmanager
def on_sigterm(then: Callable[[], bool]) -> Iterator[None]:
    """While open, SIGTERM calls ``then`` and after that ends the process as it always does.

    Where ``then`` gives False, because what it does is being done already, the process ends when
    this closes. Another SIGTERM, more than a second after the first, ends it at once. Where the
    process already handles or ignores SIGTERM, nothing is changed. Forked children die of SIGTERM
    at once, as they would without this.
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
        if handler.waits:
            handler.end()


class _Handler:
    """What SIGTERM calls.

    Attributes:
        waits: Whether the process is to end as soon as what it does is done.
    """

    def __init__(self, then: Callable[[], bool]) -> None:
        self.waits = False
        self._then = then
        self._first: float | None = None
        self._masks = threading.local()

    def __call__(self, signum: int, frame: FrameType | None) -> None:
        if self._first is not None:
            if time.monotonic() - self._first > REPEATS_S:
                self.end()
            return
        self._first = time.monotonic()
        over = True
        try:
            over = self._then()
        finally:
            self.waits = not over
            if over:
                self.end()

    def end(self) -> None:
        """Ends the process as SIGTERM does."""
        self.remove()
        os.kill(os.getpid(), signal.SIGTERM)

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
        self.waits = False
        self.remove()
        self.release()
